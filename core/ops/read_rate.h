// Owns the reading of memory as fast as the machine can, to compare products with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/parallel/thread_pool.h"

namespace tessera {

/// Reads all of `bytes` with the pool's threads, in pieces of 256 KB, and returns the sum of its whole 64-bit words, so that the reading
/// cannot be left out. `bytes` begins at a multiple of 8.
uint64_t read_all(ThreadPool& pool, std::span<const std::byte> bytes);

}  // namespace tessera

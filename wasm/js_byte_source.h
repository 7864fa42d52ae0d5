// Owns the way from a synchronous JavaScript reader (a file handle in the worker) to the core's ByteSource.
#pragma once

#include <emscripten/val.h>

#include "core/base/byte_source.h"

namespace tessera {

/// Bytes of a JavaScript object {size, readInto(address, length, offset) → "" or what went wrong}. The JavaScript side looks
/// the heap up anew at every call, so growth in between is harmless. Only the thread that owns the object may read.
class JsByteSource final : public ByteSource {
 public:
  explicit JsByteSource(emscripten::val reader);
  uint64_t size() const override { return size_; }
  Result<void> read(uint64_t offset, std::span<std::byte> out) const override;

 private:
  emscripten::val reader_;
  uint64_t size_;
};

/// `readers`: array of JavaScript objects as in JsByteSource, one a file.
std::vector<std::shared_ptr<const ByteSource>> sources_of(const emscripten::val& readers);

}  // namespace tessera

// Owns raw memory aligned for SIMD: weights, KV cache, activations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <string>
#include <utility>

#if defined(__linux__) && !defined(__EMSCRIPTEN__)
#include <sys/mman.h>
#endif

#include "core/base/result.h"

namespace tessera {

/// A fixed block of memory aligned to 64 bytes; contents start undefined. Movable, not copyable.
class AlignedBuffer {
 public:
  static constexpr size_t kAlignment = 64;

  AlignedBuffer() = default;
  /// kOutOfMemory with `what` and the number of bytes when the allocation is refused.
  static Result<AlignedBuffer> allocate(uint64_t bytes, const std::string& what) {
    AlignedBuffer buffer;
    const uint64_t padded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (padded >= bytes && padded <= SIZE_MAX) {
      buffer.data_ = static_cast<std::byte*>(std::aligned_alloc(kAlignment, padded > 0 ? static_cast<size_t>(padded) : kAlignment));
    }
    if (buffer.data_ == nullptr) {
      return Error{ErrorCode::kOutOfMemory, "no memory for " + what + ": " + std::to_string(bytes) + " bytes were refused",
                   "use a smaller model or context, or close other programs"};
    }
    buffer.size_ = static_cast<size_t>(bytes);
    ask_for_large_pages(buffer.data_, static_cast<size_t>(padded));
    return buffer;
  }
  ~AlignedBuffer() { std::free(data_); }
  AlignedBuffer(AlignedBuffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  // A hint: a product that streams through all weights otherwise misses the page tables at every 4 KB.
  static void ask_for_large_pages([[maybe_unused]] std::byte* data, [[maybe_unused]] size_t bytes) {
#if defined(__linux__) && !defined(__EMSCRIPTEN__)
    constexpr size_t kLargePage = 2u << 20;
    const size_t skip = (kLargePage - reinterpret_cast<uintptr_t>(data) % kLargePage) % kLargePage;
    if (bytes >= skip + kLargePage) madvise(data + skip, (bytes - skip) / kLargePage * kLargePage, MADV_HUGEPAGE);
#endif
  }

  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tessera

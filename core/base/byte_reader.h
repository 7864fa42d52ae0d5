// Owns sequential reading of little-endian fields from a ByteSource, every step checked against the bytes that remain.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"

namespace tessera {

/// A cursor over a source that outlives it, with a read buffer of 64 KiB. Not thread-safe.
/// All errors are kBadFile (the bytes end too early; the message names the field) or the source's own kIo; the cursor is then unspecified.
class ByteReader {
 public:
  explicit ByteReader(const ByteSource& source, uint64_t offset = 0) : source_(source), position_(std::min(offset, source.size())) {}

  /// Bytes from the start of the source to the cursor.
  uint64_t position() const { return position_; }
  /// Bytes from the cursor to the end of the source.
  uint64_t remaining() const { return source_.size() - position_; }

  /// The bytes behind the cursor that are in memory already; perhaps none.
  std::string_view buffered() const {
    if (position_ < buffer_start_ || position_ >= buffer_start_ + buffer_.size()) return {};
    const auto local = static_cast<size_t>(position_ - buffer_start_);
    return {reinterpret_cast<const char*>(buffer_.data()) + local, buffer_.size() - local};
  }
  /// Moves the cursor on by `length` of those.
  void skip(size_t length) { position_ += length; }

  /// Copies the next out.size() bytes.
  Result<void> read(std::span<std::byte> out, std::string_view field) {
    if (out.size() > remaining()) return too_short(out.size(), field);
    while (!out.empty()) {
      if (position_ < buffer_start_ || position_ >= buffer_start_ + buffer_.size()) {
        if (auto filled = fill(); !filled) return filled;
      }
      const uint64_t local = position_ - buffer_start_;
      const auto length = static_cast<size_t>(std::min<uint64_t>(out.size(), buffer_.size() - local));
      std::memcpy(out.data(), buffer_.data() + local, length);
      out = out.subspan(length);
      position_ += length;
    }
    return {};
  }

  /// The next little-endian integer or IEEE float.
  template <class T>
  Result<T> scalar(std::string_view field) {
    static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
    T value{};
    if (auto done = read(std::as_writable_bytes(std::span(&value, 1)), field); !done) return done.error();
    return value;
  }

  /// The next `length` bytes as a string; checked before anything is allocated.
  Result<std::string> string(uint64_t length, std::string_view field) {
    if (length > remaining()) return too_short(length, field);
    std::string text(static_cast<size_t>(length), '\0');
    if (auto done = read(std::as_writable_bytes(std::span(text)), field); !done) return done.error();
    return text;
  }

 private:
  static constexpr uint64_t kBufferBytes = 64 * 1024;

  Result<void> fill() {
    buffer_.resize(static_cast<size_t>(std::min(kBufferBytes, remaining())));
    buffer_start_ = position_;
    return source_.read(position_, buffer_);
  }

  Error too_short(uint64_t length, std::string_view field) const {
    return {ErrorCode::kBadFile,
            std::string(field) + " needs " + std::to_string(length) + " bytes at offset " + std::to_string(position_) + ", but only " +
                std::to_string(remaining()) + " remain",
            "the file is damaged or incomplete; download it again"};
  }

  const ByteSource& source_;
  uint64_t position_;
  uint64_t buffer_start_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace tessera

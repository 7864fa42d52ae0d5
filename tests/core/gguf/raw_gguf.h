// Owns the making of GGUF bytes that no well-behaved writer would write, for tests of the parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/byte_source.h"
#include "core/gguf/gguf_file.h"
#include "tests/core/source_path.h"

namespace tessera::test {

/// GGUF's numbers of value types.
enum : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

/// Little-endian fields laid end to end.
class RawGguf {
 public:
  /// magic, version 3 and the counts.
  static RawGguf header(uint64_t tensors, uint64_t keys) { return RawGguf().raw("GGUF").put<uint32_t>(3).put(tensors).put(keys); }

  template <class T>
  RawGguf& put(T value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  RawGguf& raw(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  RawGguf& text(std::string_view text) { return put<uint64_t>(text.size()).raw(text); }
  RawGguf& key(std::string_view name, uint32_t type) { return text(name).put(type); }
  RawGguf& tensor(std::string_view name, const std::vector<uint64_t>& shape, uint32_t dtype, uint64_t offset) {
    text(name).put(static_cast<uint32_t>(shape.size()));
    for (const uint64_t size : shape) put(size);
    return put(dtype).put(offset);
  }
  RawGguf& pad(size_t alignment = 32) { return zeros((alignment - bytes_.size() % alignment) % alignment); }
  RawGguf& zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

inline Result<GgufFile> open_bytes(std::vector<std::byte> bytes) {
  return GgufFile::open(std::make_shared<MemorySource>(std::move(bytes)));
}
inline Result<GgufFile> open_raw(const RawGguf& raw) { return open_bytes(raw.bytes()); }

/// A file of tests/data.
inline std::vector<std::byte> data_file(const std::string& name) {
  std::ifstream file(source_path("tests/data/" + name), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

}  // namespace tessera::test

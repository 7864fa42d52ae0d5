#include "core/gguf/raw_metadata.h"

#include <cstring>
#include <span>
#include <utility>

#include "core/base/byte_reader.h"

namespace tessera {
namespace {

constexpr uint64_t kCountsAt = 8;  // behind the magic and the version
constexpr uint64_t kString = 8, kArray = 9;
/// Bytes of a value by the number of its type; 0 for strings and arrays, which begin with their length.
constexpr uint64_t kValueBytes[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/// Reads fields and keeps every byte it reads.
class Copier {
 public:
  explicit Copier(const ByteSource& source) : reader_(source, kCountsAt) {}

  Result<void> copy(uint64_t count) {
    if (count > reader_.remaining()) {
      return Error{ErrorCode::kBadFile, "the metadata ends early", "the file is damaged or incomplete; download it again"};
    }
    const size_t before = bytes_.size();
    bytes_.resize(before + static_cast<size_t>(count));
    return reader_.read(std::span(bytes_).subspan(before), "the metadata");
  }
  /// An unsigned integer of that many bytes.
  Result<uint64_t> number(uint64_t width) {
    if (auto done = copy(width); !done) return done.error();
    uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + bytes_.size() - width, static_cast<size_t>(width));
    return value;
  }
  Result<void> string() {
    const auto length = number(8);
    return length ? copy(length.value()) : length.error();
  }
  Result<void> value() {
    const auto type = number(4);
    if (!type) return type.error();
    if (type.value() == kString) return string();
    if (type.value() != kArray) return copy(kValueBytes[type.value()]);
    const auto element = number(4);
    if (!element) return element.error();
    const auto count = number(8);
    if (!count) return count.error();
    if (element.value() != kString) return copy(count.value() * kValueBytes[element.value()]);
    for (uint64_t i = 0; i < count.value(); ++i) {
      if (auto done = string(); !done) return done;
    }
    return {};
  }
  std::vector<std::byte> take() { return std::exchange(bytes_, {}); }

 private:
  ByteReader reader_;
  std::vector<std::byte> bytes_;
};

}  // namespace

Result<std::vector<RawMetadata>> read_raw_metadata(const ByteSource& source) {
  Copier copier(source);
  if (const auto tensors = copier.number(8); !tensors) return tensors.error();
  const auto count = copier.number(8);
  if (!count) return count.error();
  copier.take();
  std::vector<RawMetadata> entries;
  for (uint64_t i = 0; i < count.value(); ++i) {
    if (auto done = copier.string(); !done) return done.error();
    const std::vector<std::byte> key = copier.take();
    if (auto done = copier.value(); !done) return done.error();
    // The key comes with its length of 8 bytes in front.
    entries.push_back({std::string(reinterpret_cast<const char*>(key.data()) + 8, key.size() - 8), copier.take()});
  }
  return entries;
}

}  // namespace tessera

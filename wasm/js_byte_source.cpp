#include "wasm/js_byte_source.h"

namespace tessera {

JsByteSource::JsByteSource(emscripten::val reader)
    : reader_(std::move(reader)), size_(static_cast<uint64_t>(reader_["size"].as<double>())) {}

Result<void> JsByteSource::read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return Error{ErrorCode::kIo,
                 "read of " + std::to_string(out.size()) + " bytes at " + std::to_string(offset) + " leaves a file of " +
                     std::to_string(size_) + " bytes",
                 "the file may be incomplete: fetch it again"};
  }
  // Offsets of files beyond 4 GiB are exact in a double, JavaScript's only number.
  const auto failure =
      reader_.call<std::string>("readInto", reinterpret_cast<uintptr_t>(out.data()), out.size(), static_cast<double>(offset));
  if (!failure.empty()) return Error{ErrorCode::kIo, "reading the model failed: " + failure, "load the model again"};
  return {};
}

std::vector<std::shared_ptr<const ByteSource>> sources_of(const emscripten::val& readers) {
  std::vector<std::shared_ptr<const ByteSource>> parts;
  for (auto& reader : emscripten::vecFromJSArray<emscripten::val>(readers)) parts.push_back(std::make_shared<JsByteSource>(reader));
  return parts;
}

}  // namespace tessera

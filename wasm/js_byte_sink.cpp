#include "wasm/js_byte_sink.h"

namespace tessera {

Result<void> JsByteSink::operator()(std::span<const std::byte> bytes) const {
  const auto failure = target_.call<std::string>("write", reinterpret_cast<uintptr_t>(bytes.data()), bytes.size());
  if (!failure.empty()) return Error{ErrorCode::kIo, "writing failed: " + failure, "free some storage and try again"};
  return {};
}

}  // namespace tessera

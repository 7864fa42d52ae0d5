// Owns the way from the core's ByteSink to a JavaScript object that takes bytes at once.
#pragma once

#include <emscripten/val.h>

#include <cstddef>
#include <span>

#include "core/base/result.h"

namespace tessera {

/// Gives bytes to a JavaScript object {write(address, length) → "" or what went wrong}, which must copy what it wants to keep before it
/// returns. Only the thread that owns the object may write.
class JsByteSink {
 public:
  explicit JsByteSink(emscripten::val target) : target_(std::move(target)) {}
  Result<void> operator()(std::span<const std::byte> bytes) const;

 private:
  emscripten::val target_;
};

}  // namespace tessera

// Owns the way from one instance of the module to the one with the layers before it: both live in the same JavaScript thread, each in a
// memory of its own, so JavaScript copies between them.
#pragma once

#include <emscripten/val.h>

#include "core/engine/session.h"

namespace tessera {

/// A JavaScript object {begin(position, address, count), step(), read(address, count)}: addresses are of this memory, counts of tokens
/// (int32) and floats. Only the thread that owns the object may use it.
class JsUpstream final : public Upstream {
 public:
  explicit JsUpstream(emscripten::val object) : object_(std::move(object)) {}
  void begin(int position, std::span<const int32_t> tokens) override;
  void step() override;
  void read(std::span<float> x) override;

 private:
  emscripten::val object_;
};

}  // namespace tessera

#include "wasm/js_upstream.h"

namespace tessera {

void JsUpstream::begin(int position, std::span<const int32_t> tokens) {
  object_.call<void>("begin", position, reinterpret_cast<uintptr_t>(tokens.data()), tokens.size());
}

void JsUpstream::step() { object_.call<void>("step"); }

void JsUpstream::read(std::span<float> x) { object_.call<void>("read", reinterpret_cast<uintptr_t>(x.data()), x.size()); }

}  // namespace tessera

#include "wasm/js_json.h"

#include <emscripten/val.h>

#include <cmath>

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kMostExact = 9007199254740992;  // 2^53: beyond it not every whole number is a JavaScript number

Json number(double value) {
  if (value != std::floor(value) || std::fabs(value) > kMostExact) return value;
  return value < 0 ? Json(static_cast<int64_t>(value)) : Json(static_cast<uint64_t>(value));
}

Json copy(const emscripten::val& value) {
  if (value.isNull()) return nullptr;
  if (value.isTrue() || value.isFalse()) return value.isTrue();
  if (value.isNumber()) return number(value.as<double>());
  if (value.isString()) return value.as<std::string>();
  const bool is_array = value.isArray();
  Json copied = is_array ? Json::array() : Json::object();
  const auto items = is_array ? value : emscripten::val::global("Object").call<emscripten::val>("entries", value);
  for (const auto& item : emscripten::vecFromJSArray<emscripten::val>(items)) {
    if (is_array) {
      copied.push_back(copy(item));
    } else {
      copied[item[0].as<std::string>()] = copy(item[1]);
    }
  }
  return copied;
}

}  // namespace

Json parse_json(const std::string& text) {
  return copy(emscripten::val::global("JSON").call<emscripten::val>("parse", emscripten::val::u8string(text.c_str())));
}

}  // namespace tessera

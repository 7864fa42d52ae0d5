#include "wasm/answer.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

Object& Object::add(const char* key, Json value) {
  json_[key] = std::move(value);
  return *this;
}

std::string value(Json json) { return dump(Object().add("value", std::move(json)).json()); }

std::string failure(const Error& error) {
  const auto code = error_code_name(error.code);
  return dump(Object().add("error", Object().add("code", code).add("message", error.message).add("hint", error.hint).json()).json());
}

}  // namespace tessera

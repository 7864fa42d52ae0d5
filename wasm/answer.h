// Owns how calls answer JavaScript: JSON text with a value or an error (web/engine/wasm-border.js opens it).
#pragma once

#include <string>

#include "core/base/result.h"
#include "nlohmann/json.hpp"

namespace tessera {

/// An object made field by field: lists of initialisers cost several times the code (1.6 KB gzip).
class Object {
 public:
  Object& add(const char* key, nlohmann::ordered_json value);
  nlohmann::ordered_json json() { return std::move(json_); }

 private:
  nlohmann::ordered_json json_ = nlohmann::ordered_json::object();
};

/// {"value": …}
std::string value(nlohmann::ordered_json json);
/// {"error": {"code", "message", "hint"}}
std::string failure(const Error& error);

}  // namespace tessera

// Owns the reading of JSON text in the modules.
#pragma once

#include <string>

#include "nlohmann/json.hpp"

namespace tessera {

/// The value of a JSON text. JavaScript's parser reads it and the result is copied: nlohmann's own would bring 10 KB gzip along
/// module. Whole numbers up to 2^53 become integers (unsigned unless negative), others f64. Text that JSON.stringify cannot have made
/// throws a JavaScript SyntaxError, which ends the module like a trap (web/engine/wasm-runtime.js).
nlohmann::ordered_json parse_json(const std::string& text);

}  // namespace tessera

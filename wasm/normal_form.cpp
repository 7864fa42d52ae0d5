// Owns NFC in the browser: JavaScript has it, and the tables of core/base would be 9 KB gzip.
#include "core/base/normal_form.h"

#include <emscripten/val.h>

namespace tessera {

std::string compose_utf8(std::string_view text) {
  return emscripten::val(std::string(text)).call<std::string>("normalize");  // to NFC, its default
}

}  // namespace tessera

// Owns the case of characters in the browser: JavaScript has it, and the table of core/base would be 2 KB gzip.
#include "core/base/case_mapping.h"

#include <emscripten/val.h>

#include "core/base/utf8.h"

namespace tessera {
namespace {

char32_t map_case(char32_t c, const char* method) {
  std::string text;
  append_utf8(text, c);
  text = emscripten::val(text).call<std::string>(method);
  const Utf8Step mapped = decode_utf8(text);
  return mapped.kind == Utf8Step::Kind::kValid && mapped.length == text.size() ? mapped.code_point : c;
}

}  // namespace

char32_t lower_case(char32_t c) { return map_case(c, "toLowerCase"); }
char32_t upper_case(char32_t c) { return map_case(c, "toUpperCase"); }

}  // namespace tessera

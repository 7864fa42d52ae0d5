// Owns the case of characters in the modules: JavaScript has it, and the table of core/text/jinja would be 2 KB gzip in each.
#include <emscripten/val.h>

#include "core/base/utf8.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

char32_t map_case(char32_t c, const char* method) {
  std::string text;
  append_utf8(text, c);
  text = emscripten::val(text).call<std::string>(method);
  const CodePoint mapped = decode_first(text);
  return mapped.length == text.size() ? mapped.value : c;
}

}  // namespace

char32_t lower_case(char32_t c) { return map_case(c, "toLowerCase"); }
char32_t upper_case(char32_t c) { return map_case(c, "toUpperCase"); }

}  // namespace tessera::jinja

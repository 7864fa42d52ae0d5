// Owns strtod of the modules: JavaScript's own number parser, correctly rounded as musl's is, which would bring 128-bit floating-point
// arithmetic along (5 KB gzip in each module). Called with whole numbers in the syntax that core/text/jinja has checked already.
#include <emscripten/val.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

extern "C" double __wrap_strtod(const char* text, char** end) {
  const double value = emscripten::val::global("Number")(emscripten::val::u8string(text)).as<double>();
  if (end != nullptr) *end = const_cast<char*>(text) + (std::isnan(value) ? 0 : std::strlen(text));
  return value;
}

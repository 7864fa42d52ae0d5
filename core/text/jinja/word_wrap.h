// Owns the breaking of a line of text into lines of a width, as Python's textwrap does it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/character_classes.h"

namespace tessera::jinja {

struct WrapStyle {
  size_t width;  ///< in characters, at least 1
  bool break_long_words;
  bool break_on_hyphens;
};

/// textwrap.wrap without expanding tabs or replacing white space; `line` has no line ends. Takes time in proportion to the line.
std::vector<std::string> wrap_line(const CharacterClasses& classes, std::string_view line, const WrapStyle& style);

}  // namespace tessera::jinja

// Owns characters in template strings: counting and finding them, and the Unicode properties that Python's str methods look at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/text/character_classes.h"

namespace tessera::jinja {

struct CodePoint {
  char32_t value;  ///< U+FFFD for a byte that starts no valid sequence
  size_t length;   ///< bytes, 1…4
};

/// The first code point of a text that is not empty.
CodePoint decode_first(std::string_view text);

/// Code points in the text.
size_t count_code_points(std::string_view text);
/// Byte offset of code point `index`, the text's size when there are fewer.
size_t offset_of_code_point(std::string_view text, size_t index);

/// Python's str.isspace for one character.
bool is_space(char32_t code_point);
/// False where Python's repr writes an escape (unassigned code points are taken as printable).
bool is_printable(char32_t code_point);
/// What \\w matches in Python's regular expressions: letters, numbers and the underscore.
bool is_word_character(const CharacterClasses& classes, char32_t code_point);
/// Has an upper- or lower-case form.
bool is_cased(char32_t code_point);

/// Simple case mapping, and "SS" for the sharp s.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
/// The first character in upper case, the others in lower case.
std::string to_capitalized(std::string_view text);

/// The text without white space at its ends.
std::string_view strip_space(std::string_view text, bool left, bool right);
/// The text without the characters of `characters` at its ends.
std::string_view strip_characters(std::string_view text, std::string_view characters, bool left, bool right);

}  // namespace tessera::jinja

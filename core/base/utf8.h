// Owns UTF-8: checked decoding, encoding, and the question "how much of this is whole characters?".
// Source: RFC 3629; errors follow the Unicode Standard's "maximal subpart" practice (chapter 3.9, U+FFFD substitution).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tessera {

/// What the first bytes of a text are.
struct Utf8Step {
  enum class Kind : uint8_t {
    kValid,       ///< one character
    kInvalid,     ///< bytes that no continuation can make valid
    kIncomplete,  ///< the text ends inside a character that more bytes may complete
  };
  uint32_t code_point;  ///< U+FFFD unless kValid
  uint8_t length;       ///< bytes to step over, 1…4, never past the end of the text
  Kind kind;
};

/// Decodes the first character of a text that is not empty. Refuses overlong forms, surrogates and values above U+10FFFF.
Utf8Step decode_utf8(std::string_view text);

/// Appends the UTF-8 form of a code point; what is not a Unicode scalar value becomes U+FFFD.
void append_utf8(std::string& out, uint32_t code_point);

/// Length of the longest prefix that is valid UTF-8.
size_t valid_utf8_prefix(std::string_view text);

/// Length of the prefix that can be decided now: all of the text but for a last character that is still incomplete (1…3 bytes).
size_t decidable_utf8_prefix(std::string_view text);

inline bool is_valid_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }

}  // namespace tessera

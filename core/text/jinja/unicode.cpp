// Owns UTF-8 walking, white space and case mapping for template strings.
#include "core/text/jinja/unicode.h"

#include "core/base/case_mapping.h"
#include "core/base/utf8.h"

namespace tessera::jinja {
namespace {

char32_t lower(char32_t c) { return c < 0x80 ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : lower_case(c); }
char32_t upper(char32_t c) { return c < 0x80 ? (c >= 'a' && c <= 'z' ? c - 32 : c) : upper_case(c); }

constexpr char32_t kSharpS = 0xDF;
constexpr char32_t kDottedI = 0x130;
constexpr char32_t kSigma = 0x3A3;

/// Signs and marks that may stand inside a word (the common ones of the property Case_Ignorable).
bool is_case_ignorable(char32_t c) {
  constexpr std::u32string_view kSigns = U"'.:^`\u00a8\u00ad\u00af\u00b4\u00b7\u00b8\u2018\u2019\u2024\u2027";
  return (c >= 0x2B0 && c < 0x370) || kSigns.find(c) != std::u32string_view::npos;
}

bool begins_cased(std::string_view text) {
  while (!text.empty() && is_case_ignorable(decode_first(text).value)) text.remove_prefix(decode_first(text).length);
  return !text.empty() && is_cased(decode_first(text).value);
}

void append_upper(std::string& out, char32_t code_point, std::string_view sharp_s) {
  if (code_point == kSharpS) {
    out += sharp_s;
  } else {
    append_utf8(out, upper(code_point));
  }
}

/// The last code point of a text that is not empty.
CodePoint decode_last(std::string_view text) {
  size_t start = text.size() - 1;
  while (start > 0 && text.size() - start < 4 && (static_cast<unsigned char>(text[start]) & 0xC0u) == 0x80u) --start;
  const CodePoint last = decode_first(text.substr(start));
  if (start + last.length == text.size()) return last;
  return {0xFFFD, 1};
}

template <class Predicate>
std::string_view strip_while(std::string_view text, bool left, bool right, Predicate drop) {
  while (left && !text.empty()) {
    const CodePoint first = decode_first(text);
    if (!drop(first.value)) break;
    text.remove_prefix(first.length);
  }
  while (right && !text.empty()) {
    const CodePoint last = decode_last(text);
    if (!drop(last.value)) break;
    text.remove_suffix(last.length);
  }
  return text;
}

}  // namespace

CodePoint decode_first(std::string_view text) {
  const Utf8Step step = decode_utf8(text);
  // An invalid byte counts as one character, as Python's surrogateescape has it, so that lengths and offsets stay per byte.
  if (step.kind != Utf8Step::Kind::kValid) return {0xFFFD, 1};
  return {step.code_point, step.length};
}

size_t count_code_points(std::string_view text) {
  size_t count = 0;
  for (size_t offset = 0; offset < text.size(); offset += decode_first(text.substr(offset)).length) ++count;
  return count;
}

size_t offset_of_code_point(std::string_view text, size_t index) {
  size_t offset = 0;
  for (; index > 0 && offset < text.size(); --index) offset += decode_first(text.substr(offset)).length;
  return offset;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  if (is_space(c) || c < 0x20 || (c >= 0x7F && c <= 0xA0)) return false;
  const bool format = c == 0xAD || (c >= 0x600 && c <= 0x605) || c == 0x61C || c == 0x6DD || c == 0x70F || c == 0x180E ||
                      (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
                      (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
  const bool private_or_surrogate = (c >= 0xD800 && c <= 0xF8FF) || c >= 0xF0000;
  return !format && !private_or_surrogate;
}

bool is_word_character(const CharacterClasses& classes, char32_t c) { return c == '_' || (classes.of(c) & (kLetter | kNumber)) != 0; }

bool is_cased(char32_t code_point) { return lower(code_point) != code_point || upper(code_point) != code_point || code_point == kSharpS; }

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (; !text.empty(); text.remove_prefix(decode_first(text).length)) append_upper(out, decode_first(text).value, "SS");
  return out;
}

// Beyond the header's words: Python has a form of its own for a sigma that ends a word, and two characters for a dotted capital I.
std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool after_cased = false;
  while (!text.empty()) {
    const CodePoint c = decode_first(text);
    text.remove_prefix(c.length);
    if (c.value == kSigma) {  // at the end of a word it has a form of its own
      append_utf8(out, after_cased && !begins_cased(text) ? 0x3C2 : 0x3C3);
    } else if (c.value == kDottedI) {
      out += "i\u0307";
    } else {
      append_utf8(out, lower(c.value));
    }
    if (!is_case_ignorable(c.value)) after_cased = is_cased(c.value);
  }
  return out;
}

std::string to_capitalized(std::string_view text) {
  if (text.empty()) return {};
  const CodePoint first = decode_first(text);
  std::string out;
  append_upper(out, first.value, "Ss");
  return out + to_lower(text).substr(to_lower(text.substr(0, first.length)).size());
}

std::string_view strip_space(std::string_view text, bool left, bool right) { return strip_while(text, left, right, is_space); }

std::string_view strip_characters(std::string_view text, std::string_view characters, bool left, bool right) {
  std::u32string set;
  for (; !characters.empty(); characters.remove_prefix(decode_first(characters).length)) set += decode_first(characters).value;
  return strip_while(text, left, right, [&](char32_t c) { return set.find(c) != std::u32string::npos; });
}

}  // namespace tessera::jinja

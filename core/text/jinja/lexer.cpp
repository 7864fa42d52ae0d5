// Owns the template lexer. The rules follow Jinja2's lexer.py: text up to the nearest "{{", "{%" or "{#", then tokens up to its end.
#include "core/text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "core/base/hex_digit.h"
#include "core/base/utf8.h"
#include "core/text/jinja/unicode.h"
#include "core/text/jinja/value.h"

namespace tessera::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_byte(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

/// Python's unicode-escape decoding of the inside of a quoted string. Empty for a malformed escape.
std::optional<std::string> decode_escapes(std::string_view raw) {
  constexpr std::string_view kLetters = "abfnrtv\\'\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  std::string out;
  out.reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\' || i + 1 == raw.size()) {
      out += raw[i];
      continue;
    }
    const char letter = raw[++i];
    if (letter == '\n') continue;
    if (const size_t known = kLetters.find(letter); known != std::string_view::npos) {
      out += kMeanings[known];
      continue;
    }
    if (letter >= '0' && letter <= '7') {
      char32_t value = 0;
      size_t end = i;
      for (; end < raw.size() && end < i + 3 && raw[end] >= '0' && raw[end] <= '7'; ++end) value = value * 8 + (raw[end] - '0');
      append_utf8(out, value);
      i = end - 1;
      continue;
    }
    const size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (digits == 0) {
      if (letter == 'N') return std::nullopt;  // \N{name} would need the whole Unicode name list
      out += '\\';
      out += letter;
      continue;
    }
    if (raw.size() - i - 1 < digits) return std::nullopt;
    uint64_t value = 0;
    for (size_t k = 1; k <= digits; ++k) {
      const int digit = hex_digit(raw[i + k]);
      if (digit < 0) return std::nullopt;
      value = value * 16 + static_cast<uint64_t>(digit);
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return std::nullopt;
    append_utf8(out, static_cast<uint32_t>(value));
    i += digits;
  }
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) {
      Result<void> step = next_text_and_tag();
      if (!step) return step.error();
    }
    add(TokenKind::kEnd, source_.size(), "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest(size_t offset) const { return source_.substr(offset); }
  bool has(size_t offset, std::string_view text) const { return offset <= source_.size() && rest(offset).starts_with(text); }
  Error error_at(size_t offset, const std::string& message) const {
    return located_error(source_, static_cast<Offset>(offset), failure(message));
  }
  void add(TokenKind kind, size_t offset, std::string text) { tokens_.push_back({kind, static_cast<Offset>(offset), std::move(text)}); }
  size_t skip_space(size_t offset) const {
    while (offset < source_.size()) {
      const CodePoint next = decode_first(rest(offset));
      if (!is_space(next.value)) break;
      offset += next.length;
    }
    return offset;
  }

  /// Offset of the next tag, or the size of the source.
  size_t find_tag(size_t from) const {
    for (size_t open = source_.find('{', from); open != std::string_view::npos && open + 1 < source_.size();
         open = source_.find('{', open + 1)) {
      if (source_[open + 1] == '{' || source_[open + 1] == '%' || source_[open + 1] == '#') return open;
    }
    return source_.size();
  }

  /// Emits the text before a tag, shortened as the tag's sign and lstrip_blocks ask.
  void add_text(size_t begin, size_t end, char sign, bool is_print) {
    std::string_view text = source_.substr(begin, end - begin);
    if (sign == '-') {
      text = strip_space(text, false, true);
    } else if (sign != '+' && !is_print) {
      const size_t newline = text.rfind('\n');
      const size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
      if ((line_start > 0 || at_line_start_) && strip_space(text.substr(line_start), true, false).empty())
        text = text.substr(0, line_start);
    }
    if (!text.empty()) add(TokenKind::kText, begin, std::string(text));
  }

  /// Length of an end marker such as "%}" at `offset` with the white space it takes along; 0 when there is none.
  size_t match_end(size_t offset, std::string_view marker, bool trims_newline) const {
    if (has(offset, "-") && has(offset + 1, marker)) return skip_space(offset + 1 + marker.size()) - offset;
    if (trims_newline && has(offset, "+") && has(offset + 1, marker)) return 1 + marker.size();
    if (!has(offset, marker)) return 0;
    return marker.size() + (trims_newline && has(offset + marker.size(), "\n") ? 1 : 0);
  }

  char sign_at(size_t offset) const {
    return offset < source_.size() && (source_[offset] == '-' || source_[offset] == '+') ? source_[offset] : ' ';
  }

  /// Offset after "{%[-+] word" when that stands at `offset`, else npos.
  size_t match_tag_word(size_t offset, std::string_view word) const {
    if (!has(offset, "{%")) return std::string_view::npos;
    offset += sign_at(offset + 2) == ' ' ? 2 : 3;
    offset = skip_space(offset);
    return has(offset, word) ? skip_space(offset + word.size()) : std::string_view::npos;
  }

  void move_to(size_t offset) {
    at_line_start_ = offset > 0 && source_[offset - 1] == '\n';
    at_ = offset;
  }

  Result<void> next_text_and_tag() {
    const size_t tag = find_tag(at_);
    if (tag == source_.size()) {
      add(TokenKind::kText, at_, std::string(rest(at_)));
      at_ = tag;
      return {};
    }
    const char kind = source_[tag + 1];
    const char sign = sign_at(tag + 2);
    add_text(at_, tag, sign, kind == '{');
    const size_t inside = tag + (sign == ' ' ? 2 : 3);
    if (kind == '#') return comment(tag, inside);
    if (kind == '%') {
      const size_t after_word = match_tag_word(tag, "raw");
      const size_t end = after_word == std::string_view::npos ? 0 : match_end(after_word, "%}", false);
      if (end > 0) return raw_block(tag, after_word + end);
    }
    add(kind == '{' ? TokenKind::kPrintBegin : TokenKind::kBlockBegin, tag, "");
    return tag_tokens(tag, inside, kind == '{');
  }

  Result<void> comment(size_t tag, size_t inside) {
    const size_t close = source_.find("#}", inside);
    if (close == std::string_view::npos) return error_at(tag, "the comment has no end, expected '#}'");
    const bool has_sign = close > inside && (source_[close - 1] == '-' || source_[close - 1] == '+');
    const size_t end = has_sign ? close - 1 : close;
    move_to(end + match_end(end, "#}", true));
    return {};
  }

  Result<void> raw_block(size_t tag, size_t inside) {
    move_to(inside);
    for (size_t open = source_.find("{%", inside); open != std::string_view::npos; open = source_.find("{%", open + 1)) {
      const size_t after_word = match_tag_word(open, "endraw");
      const size_t end = after_word == std::string_view::npos ? 0 : match_end(after_word, "%}", true);
      if (end == 0) continue;
      add_text(inside, open, sign_at(open + 2), false);
      move_to(after_word + end);
      return {};
    }
    return error_at(tag, "the raw block has no end, expected '{% endraw %}'");
  }

  Result<void> tag_tokens(size_t tag, size_t inside, bool is_print) {
    std::string open_brackets;
    for (size_t at = skip_space(inside); at < source_.size(); at = skip_space(at)) {
      const size_t end = open_brackets.empty() ? match_end(at, is_print ? "}}" : "%}", !is_print) : 0;
      if (end > 0) {
        add(is_print ? TokenKind::kPrintEnd : TokenKind::kBlockEnd, at, "");
        move_to(at + end);
        return {};
      }
      Result<size_t> after = token(at, open_brackets);
      if (!after) return after.error();
      at = *after;
    }
    return error_at(tag, join_text(std::string("the tag has no end, expected '"), (is_print ? "}}'" : "%}'")));
  }

  /// Reads one token and returns the offset after it.
  Result<size_t> token(size_t at, std::string& open_brackets) {
    const char c = source_[at];
    if (is_digit(c)) return number(at);
    if (is_name_byte(c)) {
      size_t end = at;
      while (end < source_.size() && is_name_byte(source_[end]) && !is_space(decode_first(rest(end)).value)) ++end;
      add(TokenKind::kName, at, std::string(source_.substr(at, end - at)));
      return end;
    }
    if (c == '\'' || c == '"') return quoted(at);
    static constexpr std::array<std::string_view, 26> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                                                    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string_view op : kOperators) {
      if (!has(at, op)) continue;
      if (op == "(" || op == "[" || op == "{") open_brackets += op == "(" ? ')' : op == "[" ? ']' : '}';
      if (op == ")" || op == "]" || op == "}") {
        if (open_brackets.empty()) return error_at(at, join_text("unexpected '", op, "'"));
        if (open_brackets.back() != op[0]) return error_at(at, join_text("unexpected '", op, "', expected '", open_brackets.back(), "'"));
        open_brackets.pop_back();
      }
      add(TokenKind::kOperator, at, std::string(op));
      return at + op.size();
    }
    return error_at(at, join_text("unexpected character '", std::string(source_.substr(at, decode_first(rest(at)).length)), "'"));
  }

  /// Digits with single underscores between them; writes them without the underscores.
  template <class IsDigit>
  size_t digits(size_t at, std::string& out, IsDigit is_valid) const {
    while (at < source_.size()) {
      const bool underscore = source_[at] == '_' && !out.empty() && at + 1 < source_.size() && is_valid(source_[at + 1]);
      if (!underscore && !is_valid(source_[at])) break;
      if (!underscore) out += source_[at];
      ++at;
    }
    return at;
  }

  Result<size_t> number(size_t at) {
    const char base = at + 1 < source_.size() ? static_cast<char>(source_[at + 1] | 0x20) : ' ';
    const int radix = source_[at] != '0' ? 10 : base == 'x' ? 16 : base == 'o' ? 8 : base == 'b' ? 2 : 10;
    std::string text;
    const auto in_radix = [&](char c) { return hex_digit(c) >= 0 && hex_digit(c) < radix; };
    const size_t after_prefix = radix != 10 ? digits(at + 2, text, in_radix) : at;
    if (!text.empty()) {
      if (text.size() > 15) return error_at(at, "bad number, expected at most 15 digits after its prefix");
      uint64_t value = 0;
      for (const char c : text) value = value * static_cast<uint64_t>(radix) + static_cast<uint64_t>(hex_digit(c));
      add(TokenKind::kInteger, at, std::to_string(value));
      return after_prefix;
    }
    size_t end = digits(at, text, is_digit);
    bool is_float = false;
    const auto digit_at = [&](size_t offset) { return offset < source_.size() && is_digit(source_[offset]); };
    const bool after_dot = at > 0 && source_[at - 1] == '.';  // "a.0.1" is two subscripts, not a float
    if (!after_dot && has(end, ".") && digit_at(end + 1)) {
      text += '.';
      end = digits(end + 1, text, is_digit);
      is_float = true;
    }
    if (!after_dot && (has(end, "e") || has(end, "E"))) {
      const size_t sign = has(end + 1, "+") || has(end + 1, "-") ? 1 : 0;
      if (digit_at(end + 1 + sign)) {
        text += source_.substr(end, 1 + sign);
        end = digits(end + 1 + sign, text, is_digit);
        is_float = true;
      }
    }
    if (!is_float && text[0] == '0' && text.find_first_not_of('0') != std::string::npos) return error_at(at, "bad number, a leading zero");
    add(is_float ? TokenKind::kFloat : TokenKind::kInteger, at, std::move(text));
    return end;
  }

  Result<size_t> quoted(size_t at) {
    size_t end = at + 1;
    while (end < source_.size() && source_[end] != source_[at]) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return error_at(at, "the string has no closing quote");
    std::optional<std::string> text = decode_escapes(source_.substr(at + 1, end - at - 1));
    if (!text) return error_at(at, "bad escape in the string, expected \\xHH, \\uHHHH or \\UHHHHHHHH of a character");
    add(TokenKind::kString, at, std::move(*text));
    return end + 1;
  }

  std::string_view source_;
  size_t at_ = 0;
  bool at_line_start_ = true;  ///< what stands before at_ ended a line, or is nothing
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalized_source(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

Result<std::vector<Token>> tokenize_template(std::string_view source) { return Lexer(source).run(); }

Error located_error(std::string_view source, Offset offset, Error error) {
  const std::string_view before = source.substr(0, offset);
  const size_t line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  const size_t column = count_code_points(before.substr(line_start)) + 1;
  constexpr size_t kMostBytes = 1000;  // of what a template raises, or of a name in it
  error.message = join_text("chat template, line ", line, ", column ", column, ": ", shown(error.message, kMostBytes));
  return error;
}

}  // namespace tessera::jinja

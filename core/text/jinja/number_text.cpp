// Owns text → number as Python's int() and float() read it.
#include "core/text/jinja/number_text.h"

#include <cmath>
#include <cstdlib>
#include <string>

#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

/// Drops single underscores between digits; empty for any other underscore.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || i + 1 == text.size() || text[i - 1] == '_') {
      return std::nullopt;
    }
  }
  return out;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

}  // namespace

std::optional<int64_t> parse_integer(std::string_view text, int base) {
  if (base < 2 || base > 36) return std::nullopt;
  text = strip_space(text, true, true);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() > 2 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    if ((base == 16 && mark == 'x') || (base == 8 && mark == 'o') || (base == 2 && mark == 'b')) text.remove_prefix(2);
  }
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty()) return std::nullopt;
  int64_t value = 0;
  for (const char c : *digits) {
    const int digit = digit_value(c);
    if (digit >= base) return std::nullopt;
    // Counted downwards: the smallest integer has no positive twin.
    if (__builtin_mul_overflow(value, base, &value) || __builtin_sub_overflow(value, digit, &value)) return std::nullopt;
  }
  if (!negative && value == INT64_MIN) return std::nullopt;
  return negative ? value : -value;
}

std::optional<double> parse_real(std::string_view text) {
  text = strip_space(text, true, true);
  const std::string_view unsigned_text = text.substr(text.starts_with('-') || text.starts_with('+') ? 1 : 0);
  const std::string word = to_lower(unsigned_text);
  const double sign = text.starts_with('-') ? -1.0 : 1.0;
  if (word == "inf" || word == "infinity") return sign * INFINITY;
  if (word == "nan") return std::nan("");
  const std::optional<std::string> plain = without_underscores(unsigned_text);
  if (!plain || plain->find_first_not_of("0123456789.eE+-") != std::string::npos) return std::nullopt;
  if (plain->empty() || (*plain)[0] == '+' || (*plain)[0] == '-') return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(plain->c_str(), &end);
  if (end != plain->c_str() + plain->size()) return std::nullopt;
  return sign * value;
}

}  // namespace tessera::jinja

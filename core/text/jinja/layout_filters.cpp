// Owns the filters that lay text out in lines and columns, and that make or unmake HTML and addresses.
#include <array>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "core/base/utf8.h"
#include "core/text/jinja/filters.h"
#include "core/text/jinja/number_text.h"
#include "core/text/jinja/operators.h"
#include "core/text/jinja/string_methods.h"
#include "core/text/jinja/unicode.h"
#include "core/text/jinja/word_wrap.h"

namespace tessera::jinja {
namespace {

Result<Value> center(Call& call) {
  const Value text = call.self.is_string() ? call.self : call.text(soft_text(call.runtime, call.self));
  return call_builtin(*find_string_method("center"), call.runtime, text, {{call.given(0) ? call[0] : Value::integer(80)}, {}});
}

Result<Value> word_wrap(Call& call) {
  if (call.self.is_undefined()) return failure(call.self.undefined_reason());
  if (!call.self.is_string()) return failure("'", type_name(call.self), "' object has no attribute 'splitlines'");
  Result<int64_t> width = integer_argument(call, 0, 79);
  if (!width) return width.error();
  const std::string separator = call.given(2) && !call[2].is(Kind::kNone) ? soft_text(call.runtime, call[2]) : "\n";
  const auto flag = [&](size_t i) { return !call.given(i) || call[i].truthy(); };
  const WrapStyle style = {static_cast<size_t>(*width), flag(1), flag(3)};
  constexpr uint64_t kWorkPerByte = 64;  // tables of each character
  if (!call.runtime.budget.charge_bytes(call.self.text().size() * kWorkPerByte)) return call.runtime.budget.error();
  std::string out;
  bool is_first = true;
  for (const std::string_view line : split_lines(call.self.text())) {
    if (*width <= 0) return failure("invalid width ", *width, " (must be > 0)");
    if (!std::exchange(is_first, false)) out += separator;
    bool is_first_part = true;
    for (const std::string& part : wrap_line(call.runtime.classes(), line, style)) {
      if (!std::exchange(is_first_part, false)) out += separator;
      out += part;
      if (out.size() > call.runtime.budget.limits().text_bytes) return call.text(std::move(out));  // which reports it
    }
  }
  return call.text(std::move(out));
}

/// "1.5 kB"; in steps of 1000, or of 1024 and "KiB".
Result<Value> file_size(Call& call) {
  const bool binary = call.given(0) && call[0].truthy();
  std::optional<double> bytes;
  if (call.self.is_number()) bytes = call.self.as_real();
  if (call.self.is_string()) bytes = parse_real(call.self.text());
  if (call.self.is_undefined()) return failure(call.self.undefined_reason());
  if (!bytes) return failure("could not convert string to float: ", to_repr(call.runtime.budget, call.self));
  if (*bytes == 1) return call.text("1 Byte");
  const double base = binary ? 1024 : 1000;
  std::array<char, 400> text;
  if (*bytes < base) {
    std::snprintf(text.data(), text.size(), "%.0f Bytes", std::trunc(*bytes));
    return call.text(text.data());
  }
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  double unit = base * base;
  size_t i = 0;
  for (; i + 1 < kPrefixes.size() && *bytes >= unit; ++i) unit *= base;
  const char prefix = binary && i == 0 ? 'K' : kPrefixes[i];
  std::snprintf(text.data(), text.size(), "%.1f %c%s", base * *bytes / unit, prefix, binary ? "iB" : "B");
  return call.text(text.data());
}

/// Percent-encoded UTF-8, of the letters, digits and "_.-~" excepted; "/" too unless it is part of a query, which has "+" for a space.
std::string quoted(std::string_view text, bool in_query) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                       std::string_view(in_query ? "_.-~" : "_.-~/").find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else if (in_query && c == ' ') {
      out += '+';
    } else {
      out += {'%', kHex[byte >> 4u], kHex[byte & 15u]};
    }
  }
  return out;
}

/// A text as part of an address; a dict or a list of pairs as its query.
Result<Value> url_encode(Call& call) {
  if (!call.self.is(Kind::kDict) && !call.self.is(Kind::kSequence)) return call.text(quoted(soft_text(call.runtime, call.self), false));
  Value pairs = call.self;
  if (pairs.is(Kind::kDict)) {
    Result<Value> items = call_builtin(*find_dict_method("items"), call.runtime, pairs, {});
    if (!items) return items;
    pairs = std::move(*items);
  }
  Result<std::vector<Value>> items = iterate(call.runtime.budget, pairs);
  if (!items) return items.error();
  std::string out;
  for (const Value& item : *items) {
    Result<std::vector<Value>> pair = iterate(call.runtime.budget, item);
    if (!pair) return pair.error();
    if (pair->size() > 2) return failure("too many values to unpack (expected 2)");
    if (pair->size() < 2) return failure("not enough values to unpack (expected 2, got ", pair->size(), ")");
    if (!out.empty()) out += '&';
    for (const size_t i : {0, 1}) {
      out += quoted(soft_text(call.runtime, (*pair)[i]), true);
      if (i == 0) out += '=';
    }
    if (out.size() > call.runtime.budget.limits().text_bytes) break;  // text() reports it
  }
  return call.text(std::move(out));
}

std::string escaped(Call& call, const Value& value) {
  const std::string text = soft_text(call.runtime, value);
  return value.is_markup() ? text : escape_html(text);
}

/// A dict as the attributes of an element; those that are None or undefined are left out.
Result<Value> xml_attributes(Call& call) {
  const bool spaced = !call.given(0) || call[0].truthy();
  if (call.self.is_undefined()) return failure(call.self.undefined_reason());
  if (!call.self.is(Kind::kDict)) return failure("'", type_name(call.self), "' object has no attribute 'items'");
  std::string out;
  for (const auto& [key, value] : call.self.as_dict().entries()) {
    if (value.is(Kind::kNone) || value.is_undefined()) continue;
    if (!key.is_string()) return failure("expected string or bytes-like object, got '", type_name(key), "'");
    if (key.text().find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      return failure("Invalid character in attribute name: ", to_repr(call.runtime.budget, key));
    if (spaced || !out.empty()) out += ' ';
    out += escaped(call, key) + "=\"" + escaped(call, value) + '"';
    if (out.size() > call.runtime.budget.limits().text_bytes) break;  // text() reports it
  }
  return call.text(std::move(out));
}

/// The text without what is between `open` and `close`, both included; an `open` that is never closed stays.
std::string without(std::string_view text, std::string_view open, std::string_view close) {
  std::string out;
  while (true) {
    const size_t start = text.find(open);
    const size_t end = start == std::string_view::npos ? start : text.find(close, start);
    if (end == std::string_view::npos) return out + std::string(text);
    out += text.substr(0, start);
    text.remove_prefix(end + close.size());
  }
}

/// Entities as their characters: the numeric ones and those of XML and the no-break space. Others stay.
std::string unescaped(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char32_t>, 6> kNamed = {
      {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}, {"nbsp", 0xA0}}};
  std::string out;
  while (!text.empty()) {
    const size_t start = text.find('&');
    out += text.substr(0, start);
    if (start == std::string_view::npos) break;
    text.remove_prefix(start);
    const size_t end = text.substr(0, 12).find(';');
    std::optional<char32_t> character;
    if (end != std::string_view::npos) {
      const std::string_view name = text.substr(1, end - 1);
      for (const auto& [known, value] : kNamed) {
        if (name == known) character = value;
      }
      const bool hex = name.starts_with("#x") || name.starts_with("#X");
      if (name.size() > 1 && name[0] == '#') {
        const std::string_view digits = name.substr(hex ? 2 : 1);
        const bool plain =
            !digits.empty() && digits.find_first_not_of(hex ? "0123456789abcdefABCDEF" : "0123456789") == std::string_view::npos;
        if (const auto number = plain ? parse_integer(digits, hex ? 16 : 10) : std::nullopt)
          character = *number > 0 && *number < 0x110000 && (*number < 0xD800 || *number > 0xDFFF) ? static_cast<char32_t>(*number) : 0xFFFD;
      }
    }
    if (character) {
      append_utf8(out, *character);
    } else {
      out += '&';
    }
    text.remove_prefix(character ? end + 1 : 1);
  }
  return out;
}

Result<Value> strip_tags(Call& call) {
  const std::string text = soft_text(call.runtime, call.self);
  // Each comment that opens looks for its end again.
  if (!call.runtime.budget.charge_bytes(text.size() * 4)) return call.runtime.budget.error();
  const std::string bare = without(without(text, "<!--", "-->"), "<", ">");
  Result<Value> words = call_builtin(*find_string_method("split"), call.runtime, Value::string(bare), {});
  if (!words) return words;
  std::string out;
  for (const Value& word : words->as_sequence().items) {
    if (!out.empty()) out += ' ';
    out += word.text();
  }
  return call.text(unescaped(out));
}

constexpr auto kLayoutFilters = std::to_array<Builtin>({
    {"center", "width?", center},
    {"wordwrap", "width? break_long_words? wrapstring? break_on_hyphens?", word_wrap},
    {"filesizeformat", "binary?", file_size},
    {"urlencode", "", url_encode},
    {"xmlattr", "autospace?", xml_attributes},
    {"striptags", "", strip_tags},
});

}  // namespace

std::span<const Builtin> layout_filters() { return kLayoutFilters; }

}  // namespace tessera::jinja

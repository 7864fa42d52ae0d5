// Owns the methods of str.
#include "core/text/jinja/string_methods.h"

#include <algorithm>
#include <array>
#include <span>

#include "core/text/jinja/operators.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

/// A text made from self, which keeps being markup.
Value like_self(Call& call, std::string text) { return make_string(call.runtime.budget, std::move(text), call.self.is_markup()); }

Result<std::string_view> text_argument(const Call& call, size_t index) {
  if (call[index].is_string()) return std::string_view(call[index].text());
  if (call[index].is_undefined()) return failure(call[index].undefined_reason());
  return failure("must be str, not ", type_name(call[index]));
}

Result<Value> strip(Call& call, bool left, bool right) {
  const std::string_view text = call.self.text();
  if (!call.given(0) || call[0].is(Kind::kNone)) return like_self(call, std::string(strip_space(text, left, right)));
  Result<std::string_view> characters = text_argument(call, 0);
  if (!characters) return characters.error();
  if (!call.runtime.budget.charge_search(text.size(), characters->size())) return call.runtime.budget.error();
  return like_self(call, std::string(strip_characters(text, *characters, left, right)));
}

/// Parts between white space; at most `limit` cuts, made from the left or the right.
std::vector<std::string_view> split_space(std::string_view text, uint64_t limit, bool from_right) {
  std::vector<std::string_view> parts;
  for (text = strip_space(text, !from_right, from_right); !text.empty(); text = strip_space(text, !from_right, from_right)) {
    if (parts.size() == limit) {  // the rest keeps the white space at its far end
      parts.push_back(text);
      break;
    }
    if (from_right) {
      std::string_view before = text;
      while (!before.empty() && strip_space(before, false, true).size() == before.size()) {
        size_t length = 1;
        while (length < before.size() && (static_cast<unsigned char>(before[before.size() - length]) & 0xC0u) == 0x80u) ++length;
        before.remove_suffix(length);
      }
      parts.push_back(text.substr(before.size()));
      text = before;
      continue;
    }
    size_t end = 0;
    while (end < text.size() && !is_space(decode_first(text.substr(end)).value)) end += decode_first(text.substr(end)).length;
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_separator(std::string_view text, std::string_view separator, uint64_t limit, bool from_right) {
  std::vector<std::string_view> parts;
  while (parts.size() < limit) {
    const size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    if (from_right) {
      parts.push_back(text.substr(at + separator.size()));
      text = text.substr(0, at);
    } else {
      parts.push_back(text.substr(0, at));
      text.remove_prefix(at + separator.size());
    }
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

Result<Value> list_of_texts(Call& call, const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) {
    items.push_back(like_self(call, std::string(part)));
    if (call.runtime.budget.exhausted()) return call.runtime.budget.error();
  }
  return call.list(std::move(items));
}

Result<Value> split(Call& call, bool from_right) {
  Result<int64_t> cuts = integer_argument(call, 1, -1);
  if (!cuts) return cuts.error();
  const uint64_t limit = *cuts < 0 ? UINT64_MAX : static_cast<uint64_t>(*cuts);
  const std::string_view text = call.self.text();
  if (!call.given(0) || call[0].is(Kind::kNone)) {
    if (!call.runtime.budget.charge_bytes(text.size())) return call.runtime.budget.error();
    return list_of_texts(call, split_space(text, limit, from_right));
  }
  Result<std::string_view> separator = text_argument(call, 0);
  if (!separator) return separator.error();
  if (separator->empty()) return failure("empty separator");
  if (!call.runtime.budget.charge_search(text.size(), separator->size())) return call.runtime.budget.error();
  return list_of_texts(call, split_separator(text, *separator, limit, from_right));
}

/// str.partition: before, separator, after.
Result<Value> partition(Call& call, bool from_right) {
  Result<std::string_view> separator = text_argument(call, 0);
  if (!separator) return separator.error();
  if (separator->empty()) return failure("empty separator");
  const std::string_view text = call.self.text();
  if (!call.runtime.budget.charge_search(text.size(), separator->size())) return call.runtime.budget.error();
  const size_t at = from_right ? text.rfind(*separator) : text.find(*separator);
  std::vector<Value> parts = {like_self(call, ""), like_self(call, ""), like_self(call, "")};
  if (at == std::string_view::npos) {
    parts[from_right ? 2 : 0] = call.self;
  } else {
    parts = {like_self(call, std::string(text.substr(0, at))), like_self(call, std::string(*separator)),
             like_self(call, std::string(text.substr(at + separator->size())))};
  }
  return call.list(std::move(parts), SequenceType::kTuple);
}

/// The part of self that the optional start and end arguments (at `first`) select, and its byte offset.
Result<std::string_view> window(const Call& call, size_t first) {
  const Value none = Value::none();
  Result<Value> part = slice(call.runtime.budget, call.self, Value::integer(0), call.given(first + 1) ? call[first + 1] : none, none);
  if (!part) return part.error();
  Result<int64_t> start = integer_or_none(call, first, 0);
  if (!start) return start.error();
  const std::string_view text = std::string_view(call.self.text()).substr(0, part->text().size());
  const int64_t count = *start < 0 ? *start + static_cast<int64_t>(count_code_points(call.self.text())) : *start;
  return text.substr(offset_of_code_point(text, static_cast<size_t>(std::max<int64_t>(count, 0))));
}

Result<Value> affix(Call& call, bool at_end) {
  Result<std::string_view> text = window(call, 1);
  if (!text) return text.error();
  std::span<const Value> candidates(&call[0], 1);
  if (call[0].is(Kind::kSequence) && call[0].as_sequence().type == SequenceType::kTuple) candidates = call[0].as_sequence().items;
  for (const Value& candidate : candidates) {
    if (!call.runtime.budget.charge_bytes(candidate.is_string() ? candidate.text().size() : 0)) return call.runtime.budget.error();
    if (!candidate.is_string()) {
      return failure(std::string(at_end ? "endswith" : "startswith"), " first arg must be str or a tuple of str, not ",
                     type_name(candidate));
    }
    if (at_end ? text->ends_with(candidate.text()) : text->starts_with(candidate.text())) return Value::boolean(true);
  }
  return Value::boolean(false);
}

Result<Value> find(Call& call, bool from_right, bool must_exist) {
  Result<std::string_view> needle = text_argument(call, 0);
  if (!needle) return needle.error();
  Result<std::string_view> text = window(call, 1);
  if (!text) return text.error();
  if (!call.runtime.budget.charge_search(text->size(), needle->size())) return call.runtime.budget.error();
  const size_t at = from_right ? text->rfind(*needle) : text->find(*needle);
  if (at == std::string_view::npos) return must_exist ? Result<Value>(failure("substring not found")) : Value::integer(-1);
  const size_t offset = static_cast<size_t>(text->data() - call.self.text().data()) + at;
  return Value::integer(static_cast<int64_t>(count_code_points(std::string_view(call.self.text()).substr(0, offset))));
}

Result<Value> count(Call& call) {
  Result<std::string_view> needle = text_argument(call, 0);
  if (!needle) return needle.error();
  Result<std::string_view> text = window(call, 1);
  if (!text) return text.error();
  if (!call.runtime.budget.charge_search(text->size(), needle->size())) return call.runtime.budget.error();
  if (needle->empty()) return Value::integer(static_cast<int64_t>(count_code_points(*text)) + 1);
  return Value::integer(static_cast<int64_t>(split_separator(*text, *needle, UINT64_MAX, false).size()) - 1);
}

Result<Value> replace(Call& call) {
  Result<std::string_view> from = text_argument(call, 0);
  if (!from) return from.error();
  Result<std::string_view> to = text_argument(call, 1);
  if (!to) return to.error();
  Result<int64_t> limit = integer_argument(call, 2, -1);
  if (!limit) return limit.error();
  return like_self(call, replace_text(call.runtime.budget, call.self.text(), *from, *to, *limit));
}

Result<Value> join(Call& call) {
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call[0]);
  if (!items) return items.error();
  std::string out;
  for (size_t i = 0; i < items->size(); ++i) {
    const Value& item = (*items)[i];
    if (!item.is_string()) return failure("sequence item ", i, ": expected str instance, ", type_name(item), " found");
    if (i > 0) out += call.self.text();
    out += item.text();
    if (out.size() > call.runtime.budget.limits().text_bytes) break;  // like_self reports it
  }
  return like_self(call, std::move(out));
}

Result<Value> format(Call& call) {
  Result<std::string> text = brace_format(call.runtime, call.self.text(), call.arguments);
  if (!text) return text.error();
  return like_self(call, std::move(*text));
}

/// str.isdigit and its siblings: every character fits, and there is one.
template <class Predicate>
Result<Value> all_characters(Call& call, Predicate fits) {
  std::string_view text = call.self.text();
  if (text.empty()) return Value::boolean(false);
  for (; !text.empty(); text.remove_prefix(decode_first(text).length)) {
    if (!fits(decode_first(text).value)) return Value::boolean(false);
  }
  return Value::boolean(true);
}

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }

template <ClassSet kClasses>
Result<Value> all_of_classes(Call& call) {
  return all_characters(call, [&](char32_t c) { return (call.runtime.classes().of(c) & kClasses) != 0; });
}

/// str.isupper / islower: a cased character, and none of the other case.
Result<Value> has_case(Call& call, std::string (*mapped)(std::string_view)) {
  bool cased = false;
  for (std::string_view text = call.self.text(); !text.empty(); text.remove_prefix(decode_first(text).length)) {
    cased = cased || is_cased(decode_first(text).value);
  }
  return Value::boolean(cased && mapped(call.self.text()) == call.self.text());
}

/// str.ljust, rjust, center, zfill: padding in characters; `left_share` of it before the text.
Result<Value> pad(Call& call, double left_share) {
  Result<int64_t> width = integer_argument(call, 0, 0);
  if (!width) return width.error();
  if (call.given(1) && !call[1].is_string()) return failure("The fill character must be a unicode character, not ", type_name(call[1]));
  const std::string fill = call.given(1) ? call[1].text() : " ";
  if (count_code_points(fill) != 1) return failure("The fill character must be exactly one character long");
  const auto length = static_cast<int64_t>(count_code_points(call.self.text()));
  if (*width <= length) return call.self;
  const int64_t missing = *width - length;
  if (!call.runtime.budget.charge_text(static_cast<uint64_t>(missing), fill.size())) return call.runtime.budget.error();
  // CPython's str.center puts the odd one on the left when the width is odd.
  const int64_t left = left_share == 0.5 ? missing / 2 + (missing & *width & 1) : left_share == 1 ? missing : 0;
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += call.self.text();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return like_self(call, std::move(out));
}

Result<Value> zero_fill(Call& call) {
  const std::string& text = call.self.text();
  const bool has_sign = text.starts_with('-') || text.starts_with('+');
  Result<int64_t> width = integer_argument(call, 0, 0);
  if (!width) return width.error();
  const auto length = static_cast<int64_t>(count_code_points(text));
  if (*width <= length) return call.self;
  const int64_t missing = *width - length;
  if (!call.runtime.budget.charge_text(static_cast<uint64_t>(missing))) return call.runtime.budget.error();
  return like_self(call, text.substr(0, has_sign ? 1 : 0) + std::string(static_cast<size_t>(missing), '0') + text.substr(has_sign ? 1 : 0));
}

Result<Value> swap_case(Call& call) {
  std::string out;
  for (std::string_view text = call.self.text(); !text.empty(); text.remove_prefix(decode_first(text).length)) {
    const std::string_view letter = text.substr(0, decode_first(text).length);
    const std::string lower = to_lower(letter);
    out += lower == letter ? to_upper(letter) : lower;
  }
  return like_self(call, std::move(out));
}

Result<Value> expand_tabs(Call& call) {
  Result<int64_t> size = integer_argument(call, 0, 8);
  if (!size) return size.error();
  const auto width = static_cast<uint64_t>(std::max<int64_t>(*size, 0));
  std::string out;
  uint64_t column = 0;
  for (std::string_view text = call.self.text(); !text.empty(); text.remove_prefix(decode_first(text).length)) {
    const CodePoint c = decode_first(text);
    if (c.value == '\t') {
      const uint64_t spaces = width == 0 ? 0 : width - column % width;
      if (!call.runtime.budget.charge_text(out.size() + spaces)) return call.runtime.budget.error();
      out.append(spaces, ' ');
      column += spaces;
      continue;
    }
    out += text.substr(0, c.length);
    column = c.value == '\n' || c.value == '\r' ? 0 : column + 1;
  }
  return like_self(call, std::move(out));
}

Result<Value> remove_affix(Call& call, bool at_end) {
  Result<std::string_view> part = text_argument(call, 0);
  if (!part) return part.error();
  std::string_view text = call.self.text();
  if (at_end && text.ends_with(*part)) text.remove_suffix(part->size());
  if (!at_end && text.starts_with(*part)) text.remove_prefix(part->size());
  return like_self(call, std::string(text));
}

constexpr auto kStringMethods = std::to_array<Builtin>({
    {"strip", "chars?", [](Call& call) { return strip(call, true, true); }},
    {"lstrip", "chars?", [](Call& call) { return strip(call, true, false); }},
    {"rstrip", "chars?", [](Call& call) { return strip(call, false, true); }},
    {"split", "sep? maxsplit?", [](Call& call) { return split(call, false); }},
    {"rsplit", "sep? maxsplit?", [](Call& call) { return split(call, true); }},
    {"splitlines", "keepends?",
     [](Call& call) { return list_of_texts(call, split_lines(call.self.text(), call.given(0) && call[0].truthy())); }},
    {"partition", "sep", [](Call& call) { return partition(call, false); }},
    {"rpartition", "sep", [](Call& call) { return partition(call, true); }},
    {"startswith", "prefix start? end?", [](Call& call) { return affix(call, false); }},
    {"endswith", "suffix start? end?", [](Call& call) { return affix(call, true); }},
    {"find", "sub start? end?", [](Call& call) { return find(call, false, false); }},
    {"rfind", "sub start? end?", [](Call& call) { return find(call, true, false); }},
    {"index", "sub start? end?", [](Call& call) { return find(call, false, true); }},
    {"rindex", "sub start? end?", [](Call& call) { return find(call, true, true); }},
    {"count", "sub start? end?", count},
    {"replace", "old new count?", replace},
    {"join", "iterable", join},
    {"format", "*", format},
    {"upper", "", [](Call& call) -> Result<Value> { return like_self(call, to_upper(call.self.text())); }},
    {"lower", "", [](Call& call) -> Result<Value> { return like_self(call, to_lower(call.self.text())); }},
    {"casefold", "",
     [](Call& call) -> Result<Value> {
       std::string text = to_lower(to_upper(to_lower(call.self.text())));  // by way of "SS"
       return like_self(call, replace_text(call.runtime.budget, text, "\u03c2", "\u03c3", -1));
     }},
    {"title", "", [](Call& call) -> Result<Value> { return like_self(call, title_case(call.self.text())); }},
    {"capitalize", "", [](Call& call) -> Result<Value> { return like_self(call, to_capitalized(call.self.text())); }},
    {"swapcase", "", swap_case},
    {"expandtabs", "tabsize?", expand_tabs},
    {"removeprefix", "prefix", [](Call& call) { return remove_affix(call, false); }},
    {"removesuffix", "suffix", [](Call& call) { return remove_affix(call, true); }},
    {"ljust", "width fillchar?", [](Call& call) { return pad(call, 0); }},
    {"rjust", "width fillchar?", [](Call& call) { return pad(call, 1); }},
    {"center", "width fillchar?", [](Call& call) { return pad(call, 0.5); }},
    {"zfill", "width", zero_fill},
    {"isdigit", "", [](Call& call) { return all_characters(call, is_digit); }},
    {"isnumeric", "", all_of_classes<kNumber>},
    {"isdecimal", "", [](Call& call) { return all_characters(call, is_digit); }},
    {"isascii", "",
     [](Call& call) -> Result<Value> {
       return Value::boolean(std::all_of(call.self.text().begin(), call.self.text().end(), [](char c) { return c >= 0; }));
     }},
    {"isspace", "", [](Call& call) { return all_characters(call, is_space); }},
    {"isalpha", "", all_of_classes<kLetter>},
    {"isalnum", "", all_of_classes<kLetter | kNumber>},
    {"isupper", "", [](Call& call) { return has_case(call, to_upper); }},
    {"islower", "", [](Call& call) { return has_case(call, to_lower); }},
});

}  // namespace

const Builtin* find_string_method(std::string_view name) {
  const auto found = std::find_if(kStringMethods.begin(), kStringMethods.end(), [&](const Builtin& method) { return method.name == name; });
  return found == kStringMethods.end() ? nullptr : &*found;
}

}  // namespace tessera::jinja

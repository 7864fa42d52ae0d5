// Owns the filters that make text.
#include <algorithm>
#include <array>

#include "core/text/jinja/filters.h"
#include "core/text/jinja/operators.h"
#include "core/text/jinja/string_methods.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

std::string self_text(Call& call) { return soft_text(call.runtime, call.self); }

/// A text that keeps being markup when self was.
Value like_self(Call& call, std::string text) { return make_string(call.runtime.budget, std::move(text), call.self.is_markup()); }

Result<Value> escape(Call& call) {
  if (call.self.is_markup()) return call.self;
  return make_string(call.runtime.budget, escape_html(self_text(call)), true);
}

Result<Value> force_escape(Call& call) { return make_string(call.runtime.budget, escape_html(self_text(call)), true); }

Result<Value> mark_safe(Call& call) { return make_string(call.runtime.budget, self_text(call), true); }

Result<Value> to_string(Call& call) {
  if (call.self.is_string()) return call.self;
  return call.text(self_text(call));
}

Result<Value> trim(Call& call) {
  const std::string text = self_text(call);
  if (!call.given(0) || call[0].is(Kind::kNone)) return like_self(call, std::string(strip_space(text, true, true)));
  if (!call[0].is_string()) return failure("strip arg must be None or str");
  if (!call.runtime.budget.charge_search(text.size(), call[0].text().size())) return call.runtime.budget.error();
  return like_self(call, std::string(strip_characters(text, call[0].text(), true, true)));
}

Result<Value> replace(Call& call) {
  Result<int64_t> count = integer_or_none(call, 2, -1);
  if (!count) return count.error();
  const std::string from = soft_text(call.runtime, call[0]);
  const std::string to = soft_text(call.runtime, call[1]);
  return call.text(replace_text(call.runtime.budget, self_text(call), from, to, *count));
}

/// Jinja2's title: a word begins after white space or one of - ( { [ <.
Result<Value> title(Call& call) {
  const std::string source = self_text(call);
  std::string out;
  for (std::string_view rest = source; !rest.empty();) {
    const auto is_break = [](std::string_view text) {
      const char32_t c = decode_first(text).value;
      return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    };
    const bool breaks = is_break(rest);
    size_t end = 0;
    while (end < rest.size() && is_break(rest.substr(end)) == breaks) end += decode_first(rest.substr(end)).length;
    const std::string_view word = rest.substr(0, end);
    const size_t first = decode_first(word).length;
    out += breaks ? std::string(word) : to_upper(word.substr(0, first)) + to_lower(word.substr(first));
    rest.remove_prefix(end);
  }
  return like_self(call, std::move(out));
}

Result<Value> indent(Call& call) {
  if (call.self.is_undefined()) return failure(call.self.undefined_reason());
  if (!call.self.is_string()) return failure("'", type_name(call.self), "' object has no attribute 'splitlines'");
  std::string margin;
  if (call.given(0) && call[0].is_string()) {
    margin = call[0].text();
  } else {
    Result<int64_t> width = integer_argument(call, 0, 4);
    if (!width) return width.error();
    if (!call.runtime.budget.charge_text(static_cast<uint64_t>(std::max<int64_t>(*width, 0)))) return call.runtime.budget.error();
    margin.assign(static_cast<size_t>(std::max<int64_t>(*width, 0)), ' ');
  }
  const bool first = call.given(1) && call[1].truthy();
  const bool blank = call.given(2) && call[2].truthy();
  const std::string text = self_text(call) + "\n";  // Jinja2 adds it so that a last empty line counts
  std::string out = first ? margin : "";
  bool is_first_line = true;
  for (const std::string_view line : split_lines(text)) {
    if (!is_first_line) out += "\n";
    if (!is_first_line && (blank || !line.empty())) out += margin;
    out += line;
    is_first_line = false;
    if (out.size() > call.runtime.budget.limits().text_bytes) break;  // like_self reports it
  }
  return like_self(call, std::move(out));
}

Result<Value> format(Call& call) {
  if (!call.arguments.positional.empty() && !call.arguments.named.empty()) {
    return failure("can't handle positional and keyword arguments at the same time");
  }
  Value values;
  if (call.arguments.named.empty()) {
    values = call.list(call.arguments.positional, SequenceType::kTuple);
  } else {
    DictData entries;
    for (auto& [key, value] : call.arguments.named) entries.set(call.runtime.budget, Value::string(key), value);
    values = make_dict(call.runtime.budget, std::move(entries));
  }
  if (call.runtime.budget.exhausted()) return call.runtime.budget.error();
  Result<std::string> text = percent_format(call.runtime, self_text(call), values);
  if (!text) return text.error();
  return like_self(call, std::move(*text));
}

Result<Value> truncate(Call& call) {
  Result<int64_t> length = integer_argument(call, 0, 255);
  Result<int64_t> leeway = integer_or_none(call, 3, 5);
  if (!length || !leeway) return (!length ? length : leeway).error();
  const bool kill_words = call.given(1) && call[1].truthy();
  const std::string end = call.given(2) ? soft_text(call.runtime, call[2]) : "...";
  const auto end_length = static_cast<int64_t>(count_code_points(end));
  if (*length < end_length) return failure("expected length >= ", end_length, ", got ", *length);
  if (*leeway < 0) return failure("expected leeway >= 0, got ", *leeway);
  Result<int64_t> found = length_of(call.runtime.budget, call.self);
  if (!found) return found.error();
  if (*found - *length <= *leeway) return call.self;
  if (!call.self.is_string()) return failure("can only concatenate str to str, not to ", type_name(call.self));
  const std::string& text = call.self.text();
  std::string cut = text.substr(0, offset_of_code_point(text, static_cast<size_t>(*length - end_length)));
  if (!kill_words) cut = cut.substr(0, std::min(cut.rfind(' '), cut.size()));
  return like_self(call, cut + (call.self.is_markup() ? escape_html(end) : end));
}

Result<Value> word_count(Call& call) {
  const std::string text = self_text(call);
  int64_t words = 0;
  bool inside = false;
  for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(decode_first(rest).length)) {
    const char32_t c = decode_first(rest).value;
    const bool is_word = is_word_character(call.runtime.classes(), c);
    if (is_word && !inside) ++words;
    inside = is_word;
  }
  return Value::integer(words);
}

/// tojson as transformers defines it: json.dumps with ensure_ascii off.
Result<Value> to_json_filter(Call& call) {
  JsonStyle style;
  style.ensure_ascii = call.given(0) && call[0].truthy();
  style.sort_keys = call.given(3) && call[3].truthy();
  if (call.given(1) && call[1].is_string()) {
    style.indent = call[1].text();
  } else if (call.given(1) && !call[1].is(Kind::kNone)) {
    Result<int64_t> width = integer_argument(call, 1, 0);
    if (!width) return width.error();
    constexpr int64_t kMaxIndent = 1000;
    if (*width > kMaxIndent) return failure("tojson: indent ", *width, ", expected at most ", kMaxIndent);
    style.indent = std::string(static_cast<size_t>(std::max<int64_t>(*width, 0)), ' ');
  }
  if (style.indent) style.item_separator.assign(1, ',');
  if (call.given(2) && !call[2].is(Kind::kNone)) {
    Result<std::vector<Value>> pair = iterate(call.runtime.budget, call[2]);
    if (!pair) return pair.error();
    if (pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string()) return failure("tojson: separators must be two strings");
    style.item_separator = (*pair)[0].text();
    style.key_separator = (*pair)[1].text();
  }
  Result<std::string> text = to_json(call.runtime.budget, call.self, style);
  if (!text) return text.error();
  return call.text(std::move(*text));
}

constexpr auto kTextFilters = std::to_array<Builtin>({
    {"escape", "", escape},
    {"e", "", escape},
    {"forceescape", "", force_escape},
    {"safe", "", mark_safe},
    {"string", "", to_string},
    {"trim", "chars?", trim},
    {"replace", "old new count?", replace},
    {"upper", "", [](Call& call) -> Result<Value> { return like_self(call, to_upper(self_text(call))); }},
    {"lower", "", [](Call& call) -> Result<Value> { return like_self(call, to_lower(self_text(call))); }},
    {"capitalize", "", [](Call& call) -> Result<Value> { return like_self(call, to_capitalized(self_text(call))); }},
    {"title", "", title},
    {"indent", "width? first? blank?", indent},
    {"format", "*", format},
    {"truncate", "length? killwords? end? leeway?", truncate},
    {"wordcount", "", word_count},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", to_json_filter},
});

}  // namespace

std::span<const Builtin> text_filters() { return kTextFilters; }

}  // namespace tessera::jinja

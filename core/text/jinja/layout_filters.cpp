// Owns the filters that lay text out in columns, and as parts of addresses.
#include <array>

#include "core/text/jinja/filters.h"

namespace tessera::jinja {
namespace {

Result<Value> center(Call& call) {
  const Value text = call.self.is_string() ? call.self : call.text(soft_text(call.runtime, call.self));
  call.runtime.budget.charge_bytes(text.text().size());
  return call_builtin(*find_string_method("center"), call.runtime, text, {{call.given(0) ? call[0] : Value::integer(80)}, {}});
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

constexpr auto kLayoutFilters = std::to_array<Builtin>({
    {"center", "width?", center},
    {"urlencode", "", url_encode},
});

}  // namespace

std::span<const Builtin> layout_filters() { return kLayoutFilters; }

}  // namespace tessera::jinja

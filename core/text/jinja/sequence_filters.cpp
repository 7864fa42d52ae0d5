// Owns the filters over lists and other iterables.
#include <algorithm>
#include <array>

#include "core/text/jinja/filters.h"
#include "core/text/jinja/number_text.h"
#include "core/text/jinja/operators.h"
#include "core/text/jinja/sorting.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

/// Jinja2's make_attrgetter: "a.b.0" steps through items or attributes, an integer is one subscript, None the item itself; `otherwise`,
/// where given, is put in for each undefined step.
Result<Value> dotted(Budget& budget, const Value& item, const Value& path, const Value& otherwise = {}) {
  Value value = item;
  const auto step = [&](const Value& index) -> Result<void> {
    Result<Value> next = subscript(budget, value, index);
    if (!next) return next.error();
    value = next->is_undefined() && !otherwise.is_missing() && !otherwise.is(Kind::kNone) ? otherwise : std::move(*next);
    return {};
  };
  if (path.is_missing() || path.is(Kind::kNone)) return value;
  if (!path.is_string()) {
    const Result<void> done = step(path);
    return done ? Result<Value>(value) : done.error();
  }
  const std::string_view text = path.text();
  if (!budget.charge_bytes(text.size())) return budget.error();
  for (size_t at = 0; at <= text.size();) {
    const std::string_view part = text.substr(at, text.find('.', at) - at);
    at += part.size() + 1;
    const bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    const auto index = digits ? parse_integer(part) : std::nullopt;
    const Result<void> done = step(index ? Value::integer(*index) : Value::string(std::string(part)));
    if (!done) return done.error();
  }
  return value;
}

/// The items of self, each replaced by its attribute when parameter `index` names one.
Result<std::vector<Value>> items_by(Call& call, size_t index) {
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items || !call.given(index) || call[index].is(Kind::kNone)) return items;
  for (Value& item : *items) {
    Result<Value> picked = dotted(call.runtime.budget, item, call[index]);
    if (!picked) return picked.error();
    item = std::move(*picked);
  }
  return items;
}

Result<Value> join(Call& call) {
  Result<std::vector<Value>> items = items_by(call, 1);
  if (!items) return items.error();
  const std::string separator = call.given(0) ? soft_text(call.runtime, call[0]) : "";
  std::string out;
  for (size_t i = 0; i < items->size(); ++i) {
    if (i > 0) out += separator;
    out += soft_text(call.runtime, (*items)[i]);
    if (call.runtime.budget.exhausted() || out.size() > call.runtime.budget.limits().text_bytes) break;  // text() reports it
  }
  return call.text(std::move(out));
}

Result<Value> first(Call& call) {
  if (call.self.is(Kind::kSequence) && call.self.as_sequence().type == SequenceType::kGenerator) {
    SequenceData& data = call.self.as_sequence();
    return data.taken < data.items.size() ? data.items[data.taken++] : Value::undefined("No first item, sequence was empty.");
  }
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  return items->empty() ? Value::undefined("No first item, sequence was empty.") : items->front();
}

Result<Value> last(Call& call) {
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  if (call.self.is(Kind::kSequence) && call.self.as_sequence().type == SequenceType::kGenerator) {
    return failure("'generator' object is not reversible");
  }
  return items->empty() ? Value::undefined("No last item, sequence was empty.") : items->back();
}

Result<Value> to_list(Call& call) {
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  return call.list(std::move(*items));
}

Result<Value> reverse(Call& call) {
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return failure("argument must be iterable");
  std::reverse(items->begin(), items->end());
  const bool is_generator = call.self.is(Kind::kSequence) && call.self.as_sequence().type == SequenceType::kGenerator;
  if (is_generator) return call.list(std::move(*items));
  if (!call.self.is_string()) return call.list(std::move(*items), SequenceType::kGenerator);
  std::string text;
  for (const Value& character : *items) text += character.text();
  return call.text(std::move(text));
}

Result<Value> sort(Call& call) {
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  const bool case_sensitive = call.given(1) && call[1].truthy();
  Keyed rows;
  for (Value& item : *items) {
    std::vector<Value> paths;
    if (call.given(2) && call[2].is_string()) {  // "a,b" sorts by a, then by b
      const std::string_view text = call[2].text();
      if (!call.runtime.budget.charge_text(text.size() * sizeof(Value))) return call.runtime.budget.error();
      for (size_t at = 0; at <= text.size(); at += paths.back().text().size() + 1)
        paths.push_back(Value::string(std::string(text.substr(at, text.find(',', at) - at))));
    } else {
      paths.push_back(call[2]);
    }
    for (Value& key : paths) {
      Result<Value> found = dotted(call.runtime.budget, item, key);
      if (!found) return found.error();
      key = folded_key(call.runtime.budget, *found, case_sensitive);
    }
    rows.emplace_back(call.list(std::move(paths)), std::move(item));
  }
  return sorted(call.runtime.budget, std::move(rows), call.given(0) && call[0].truthy());
}

Result<Value> unique(Call& call) {
  const bool case_sensitive = call.given(0) && call[0].truthy();
  Result<std::vector<Value>> keys = items_by(call, 1);
  if (!keys) return keys.error();
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  if (items->size() != keys->size()) items = *keys;  // a generator was used up for the keys
  DictData seen;
  std::vector<Value> kept;
  for (size_t i = 0; i < keys->size(); ++i) {
    const Value key = folded_key(call.runtime.budget, (*keys)[i], case_sensitive);
    const size_t before = seen.size();
    if (!seen.set(call.runtime.budget, key, Value::none())) return failure("unhashable type: '", type_name(key), "'");
    if (seen.size() > before) kept.push_back((*items)[i]);
  }
  return call.list(std::move(kept), SequenceType::kGenerator);
}

Result<Value> extreme(Call& call, bool largest) {
  const bool case_sensitive = call.given(0) && call[0].truthy();
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  if (items->empty()) return Value::undefined("No aggregated item, sequence was empty.");
  Value best;
  Value best_key;
  for (const Value& item : *items) {
    Result<Value> picked = call.given(1) ? dotted(call.runtime.budget, item, call[1]) : item;
    if (!picked) return picked;
    Value key = folded_key(call.runtime.budget, *picked, case_sensitive);
    if (!best_key.is_missing()) {
      Result<std::partial_ordering> compared = order(call.runtime.budget, key, best_key, largest ? ">" : "<");
      if (!compared) return compared.error();
      if (largest ? !(*compared > 0) : !(*compared < 0)) continue;
    }
    best = item;
    best_key = std::move(key);
  }
  return best;
}

Result<Value> sum(Call& call) {
  Result<std::vector<Value>> items = items_by(call, 0);
  if (!items) return items.error();
  Result<Value> total = call.given(1) ? call[1] : Value::integer(0);
  for (size_t i = 0; i < items->size() && total; ++i) total = binary(call.runtime, BinaryOperator::kAdd, *total, (*items)[i]);
  return total;
}

/// map(attribute=…, default=…) or map("filter", arguments…).
Result<Value> map(Call& call) {
  if (!call.self.truthy()) return call.list({}, SequenceType::kGenerator);  // also None and numbers, as in Jinja2
  Arguments arguments = call.arguments;
  Value path;
  Value otherwise;
  for (auto& [key, value] : arguments.named) {
    if (key == "attribute") path = value;
    if (key == "default") otherwise = value;
  }
  const bool by_attribute = arguments.positional.empty() && !path.is_missing();
  if (by_attribute && arguments.named.size() > (otherwise.is_missing() ? 1u : 2u))
    return failure("map takes only 'attribute' and 'default' by name");
  if (!by_attribute && (arguments.positional.empty() || !arguments.positional[0].is_string()))
    return failure("map requires a filter argument");
  const Builtin* filter = by_attribute ? nullptr : find_filter(arguments.positional[0].text());
  if (!by_attribute && !filter) return failure("No filter named '", arguments.positional[0].text(), "'.");
  if (filter) arguments.positional.erase(arguments.positional.begin());
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  for (Value& item : *items) {
    Result<Value> mapped =
        filter ? call_builtin(*filter, call.runtime, item, arguments) : dotted(call.runtime.budget, item, path, otherwise);
    if (!mapped) return mapped;
    item = std::move(*mapped);
    if (!call.runtime.budget.charge_bytes(arguments.bytes())) return call.runtime.budget.error();
  }
  return call.list(std::move(*items), SequenceType::kGenerator);
}

/// select, reject, selectattr, rejectattr: the items for which the test says `wanted`.
Result<Value> choose(Call& call, bool wanted, bool by_attribute) {
  if (!call.self.truthy()) return call.list({}, SequenceType::kGenerator);  // also None and numbers, as in Jinja2
  Arguments arguments = call.arguments;
  Value path;
  if (by_attribute) {
    if (arguments.positional.empty()) return failure("Missing parameter for attribute name");
    path = arguments.positional[0];
    arguments.positional.erase(arguments.positional.begin());
  }
  const Builtin* test = nullptr;
  if (!arguments.positional.empty()) {
    if (arguments.positional[0].is_string()) test = find_test(arguments.positional[0].text());
    if (!test) return failure("No test named ", to_repr(call.runtime.budget, arguments.positional[0]), ".");
    arguments.positional.erase(arguments.positional.begin());
  }
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  std::vector<Value> kept;
  for (Value& item : *items) {
    Result<Value> subject = by_attribute ? dotted(call.runtime.budget, item, path) : item;
    if (subject && test) subject = call_builtin(*test, call.runtime, *subject, arguments);
    if (!subject) return subject;
    if (subject->truthy() == wanted) kept.push_back(std::move(item));
    if (!call.runtime.budget.charge_bytes(arguments.bytes())) return call.runtime.budget.error();
  }
  return call.list(std::move(kept), SequenceType::kGenerator);
}

Result<Value> batch(Call& call) {
  Result<int64_t> width = integer_argument(call, 0, 0);
  if (!width) return width.error();
  if (*width < 1) return failure("batch: linecount ", *width, ", expected at least 1");
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  std::vector<Value> rows;
  std::vector<Value> row;
  for (Value& item : *items) {
    row.push_back(std::move(item));
    if (static_cast<int64_t>(row.size()) == *width) rows.push_back(call.list(std::exchange(row, {})));
  }
  const bool fills = call.given(1) && !call[1].is(Kind::kNone);
  const auto missing = static_cast<uint64_t>(*width) - row.size();
  if (!row.empty() && fills) {
    if (!call.runtime.budget.charge_text(missing, sizeof(Value))) return call.runtime.budget.error();
    row.resize(static_cast<size_t>(*width), call[1]);
  }
  if (!row.empty()) rows.push_back(call.list(std::move(row)));
  return call.list(std::move(rows), SequenceType::kGenerator);
}

/// As many lists as asked for, the first ones longer by an item where it does not come out even; `fill_with` makes up for that.
Result<Value> slices(Call& call) {
  Result<int64_t> count = integer_argument(call, 0, 0);
  if (!count) return count.error();
  if (*count == 0) return failure("integer division or modulo by zero");
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  const auto total = static_cast<uint64_t>(std::max<int64_t>(*count, 0));
  if (!call.runtime.budget.charge_text(total, sizeof(Value))) return call.runtime.budget.error();
  const bool fills = call.given(1) && !call[1].is(Kind::kNone);
  std::vector<Value> rows;
  auto next = items->begin();
  for (uint64_t i = 0; i < total && !call.runtime.budget.exhausted(); ++i) {
    const bool longer = i < items->size() % total;
    const auto end = next + static_cast<std::ptrdiff_t>(items->size() / total + (longer ? 1 : 0));
    std::vector<Value> row(next, end);
    next = end;
    if (fills && !longer) row.push_back(call[1]);
    rows.push_back(call.list(std::move(row)));
  }
  return call.list(std::move(rows), SequenceType::kGenerator);
}

/// Tuples of a value of the attribute and the list of items that have it, in the order of those values.
Result<Value> group_by(Call& call) {
  const bool case_sensitive = call.given(2) && call[2].truthy();
  Result<std::vector<Value>> items = iterate(call.runtime.budget, call.self);
  if (!items) return items.error();
  Keyed rows;
  for (Value& item : *items) {
    Result<Value> value = dotted(call.runtime.budget, item, call[0], call.arguments.positional[1]);
    if (!value) return value;
    Value key = folded_key(call.runtime.budget, *value, case_sensitive);
    Value row = call.list({key, std::move(*value), std::move(item)});
    rows.emplace_back(std::move(key), std::move(row));
  }
  Result<Value> in_order = sorted(call.runtime.budget, std::move(rows), false);
  if (!in_order) return in_order;
  std::vector<Value> groups;
  const std::vector<Value>& found = in_order->as_sequence().items;
  for (size_t begin = 0; begin < found.size();) {
    const std::vector<Value>& first = found[begin].as_sequence().items;
    std::vector<Value> members;
    do {
      members.push_back(found[begin++].as_sequence().items[2]);
    } while (begin < found.size() && equals(call.runtime.budget, found[begin].as_sequence().items[0], first[0]));
    groups.push_back(call.list({first[1], call.list(std::move(members))}, SequenceType::kTuple));
    if (call.runtime.budget.exhausted()) return call.runtime.budget.error();
    groups.back().as_sequence().is_group = true;
  }
  return call.list(std::move(groups));
}

constexpr auto kSequenceFilters = std::to_array<Builtin>({
    {"join", "d? attribute?", join},
    {"first", "", first},
    {"last", "", last},
    {"list", "", to_list},
    {"reverse", "", reverse},
    {"sort", "reverse? case_sensitive? attribute?", sort},
    {"unique", "case_sensitive? attribute?", unique},
    {"min", "case_sensitive? attribute?", [](Call& call) { return extreme(call, false); }},
    {"max", "case_sensitive? attribute?", [](Call& call) { return extreme(call, true); }},
    {"sum", "attribute? start?", sum},
    {"map", "*", map},
    {"select", "*", [](Call& call) { return choose(call, true, false); }},
    {"reject", "*", [](Call& call) { return choose(call, false, false); }},
    {"selectattr", "*", [](Call& call) { return choose(call, true, true); }},
    {"rejectattr", "*", [](Call& call) { return choose(call, false, true); }},
    {"batch", "linecount fill_with?", batch},
    {"slice", "slices fill_with?", slices},
    {"groupby", "attribute default? case_sensitive?", group_by},
});

}  // namespace

std::span<const Builtin> sequence_filters() { return kSequenceFilters; }

}  // namespace tessera::jinja

// Owns the global functions and the methods of dict, list and loop.
#include <algorithm>
#include <array>
#include <span>

#include "core/text/jinja/builtin.h"
#include "core/text/jinja/loop.h"
#include "core/text/jinja/operators.h"
#include "core/text/jinja/strftime.h"

namespace tessera::jinja {
namespace {

const Builtin* find_in(std::span<const Builtin> table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const Builtin& builtin) { return builtin.name == name; });
  return found == table.end() ? nullptr : &*found;
}

Result<Value> range(Call& call) {
  std::array<int64_t, 3> bounds = {0, 0, 1};
  for (size_t i = 0; i < 3; ++i) {
    Result<int64_t> bound = integer_argument(call, i, bounds[i]);
    if (!bound) return bound.error();
    bounds[i] = *bound;
  }
  if (!call.given(1)) bounds = {0, bounds[0], 1};
  const auto [start, stop, step] = bounds;
  if (step == 0) return failure("range() arg 3 must not be zero");
  const uint64_t distance = step > 0 ? (stop > start ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start) : 0)
                                     : (start > stop ? static_cast<uint64_t>(start) - static_cast<uint64_t>(stop) : 0);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const uint64_t count = distance / stride + (distance % stride != 0 ? 1 : 0);
  const size_t most = call.runtime.budget.limits().range_items;
  if (count > most) return failure("Range too big. The sandbox blocks ranges larger than MAX_RANGE (", most, ").");
  std::vector<Value> items;
  items.reserve(count);
  for (uint64_t i = 0; i < count; ++i)
    items.push_back(Value::integer(static_cast<int64_t>(static_cast<uint64_t>(start) + i * static_cast<uint64_t>(step))));
  Value result = call.list(std::move(items), SequenceType::kRange);
  if (call.runtime.budget.exhausted()) return call.runtime.budget.error();
  result.as_sequence().label = join_text("range(", start, ", ", stop, step != 1 ? join_text(", ", step) : "", ")");
  return result;
}

/// dict(mapping or pairs, name=value …), also the arguments of namespace().
Result<DictData> make_entries(Call& call) {
  Budget& budget = call.runtime.budget;
  DictData entries;
  if (call.arguments.positional.size() > 1) return failure("dict expected at most 1 argument, got ", call.arguments.positional.size());
  if (!call.arguments.positional.empty()) {
    if (call[0].is_undefined()) return failure(call[0].undefined_reason());
    if (call[0].is(Kind::kDict)) {
      for (const auto& [key, value] : call[0].as_dict().entries()) entries.set(budget, key, value);
    }
    Result<std::vector<Value>> items = call[0].is(Kind::kDict) ? std::vector<Value>() : iterate(budget, call[0]);
    if (!items) return items.error();
    for (const Value& item : *items) {
      Result<std::vector<Value>> pair = iterate(budget, item);
      if (!pair) return pair.error();
      if (pair->size() != 2) return failure("dictionary update sequence element has length ", pair->size(), "; 2 is required");
      if (!entries.set(budget, (*pair)[0], (*pair)[1])) return failure("unhashable type: '", type_name((*pair)[0]), "'");
    }
  }
  for (auto& [key, value] : call.arguments.named) entries.set(budget, Value::string(key), value);
  return entries;
}

Result<Value> dict(Call& call) {
  Result<DictData> entries = make_entries(call);
  if (!entries) return entries.error();
  return make_dict(call.runtime.budget, std::move(*entries));
}

Value keep_namespace(Runtime& runtime, DictData entries) {
  constexpr size_t kNamespaceBytes = 256;
  runtime.budget.charge_bytes(kNamespaceBytes);
  auto data = std::make_shared<NamespaceData>(NamespaceData{std::move(entries)});
  runtime.namespaces.push_back(data);
  return Value::name_space(std::move(data));
}

Result<Value> name_space(Call& call) {
  Result<DictData> entries = make_entries(call);
  if (!entries) return entries.error();
  return keep_namespace(call.runtime, std::move(*entries));
}

Value bound(const Builtin& builtin, const Value& self) {
  return Value::function(std::make_shared<const FunctionData>(FunctionData{std::string(builtin.name), &builtin, self, nullptr, {}}));
}

// Joiners and cyclers keep what they remember in a namespace, so that what refers to itself is emptied with the others at the end.

/// "" the first time, then the separator.
constexpr Builtin kJoin = {"joiner", "", [](Call& call) -> Result<Value> {
                             DictData& state = call.self.as_namespace().attributes;
                             Value answer = *state.find("next");
                             state.set("next", *state.find("sep"));
                             return answer;
                           }};

Result<Value> joiner(Call& call) {
  const Value separator = call.given(0) ? call[0] : Value::string(", ");
  DictData state;
  state.set("next", Value::string(""));
  state.set("sep", separator);
  return bound(kJoin, keep_namespace(call.runtime, std::move(state)));
}

/// Moves to an item by its place among all.
void turn_to(DictData& state, size_t place) {
  const std::vector<Value>& items = state.find("items")->as_sequence().items;
  state.set("pos", Value::integer(static_cast<int64_t>(place % items.size())));
  state.set("current", items[place % items.size()]);
}

constexpr Builtin kNext = {"next", "", [](Call& call) -> Result<Value> {
                             DictData& state = call.self.as_namespace().attributes;
                             Value answer = *state.find("current");
                             turn_to(state, static_cast<size_t>(state.find("pos")->as_integer()) + 1);
                             return answer;
                           }};
constexpr Builtin kReset = {"reset", "", [](Call& call) -> Result<Value> {
                              turn_to(call.self.as_namespace().attributes, 0);
                              return Value::none();
                            }};

Result<Value> cycler(Call& call) {
  if (call.arguments.positional.empty() || !call.arguments.named.empty()) return failure("at least one item has to be provided");
  DictData state;
  state.set("items", call.list(call.arguments.positional, SequenceType::kTuple));
  if (call.runtime.budget.exhausted()) return call.runtime.budget.error();
  turn_to(state, 0);
  Value cycler = keep_namespace(call.runtime, std::move(state));
  for (const Builtin* method : {&kNext, &kReset}) cycler.as_namespace().attributes.set(method->name, bound(*method, cycler));
  return cycler;
}

Result<Value> raise_exception(Call& call) { return failure(soft_text(call.runtime, call[0])); }

Result<Value> strftime_now(Call& call) {
  if (!call[0].is_string()) return failure("strftime() argument 1 must be str, not ", type_name(call[0]));
  Result<std::string> text = format_time(call.runtime.now, call[0].text());
  if (!text) return text.error();
  return call.text(std::move(*text));
}

constexpr auto kFunctions = std::to_array<Builtin>({
    {"range", "start stop? step?", range},
    {"dict", "*", dict},
    {"namespace", "*", name_space},
    {"cycler", "*", cycler},
    {"joiner", "sep?", joiner},
    {"raise_exception", "message", raise_exception},
    {"strftime_now", "format", strftime_now},
});

Result<Value> dict_get(Call& call) {
  const Value* found = call.self.as_dict().find(call.runtime.budget, call[0]);
  if (found) return *found;
  return call.given(1) ? call[1] : Value::none();
}

Result<Value> dict_items(Call& call) {
  std::vector<Value> pairs;
  for (const auto& [key, value] : call.self.as_dict().entries()) pairs.push_back(call.list({key, value}, SequenceType::kTuple));
  return call.list(std::move(pairs), SequenceType::kItems);
}

Result<Value> dict_keys(Call& call) {
  std::vector<Value> keys;
  for (const auto& entry : call.self.as_dict().entries()) keys.push_back(entry.first);
  return call.list(std::move(keys), SequenceType::kKeys);
}

Result<Value> dict_values(Call& call) {
  std::vector<Value> values;
  for (const auto& entry : call.self.as_dict().entries()) values.push_back(entry.second);
  return call.list(std::move(values), SequenceType::kValues);
}

constexpr auto kDictMethods = std::to_array<Builtin>({
    {"get", "key default?", dict_get},
    {"items", "", dict_items},
    {"keys", "", dict_keys},
    {"values", "", dict_values},
    {"copy", "", [](Call& call) -> Result<Value> { return call.self; }},
});

Result<Value> list_index(Call& call) {
  const std::vector<Value>& items = call.self.as_sequence().items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equals(call.runtime.budget, items[i], call[0])) return Value::integer(static_cast<int64_t>(i));
  }
  return failure(to_repr(call.runtime.budget, call[0]), " is not in list");
}

Result<Value> list_count(Call& call) {
  int64_t count = 0;
  for (const Value& item : call.self.as_sequence().items) count += equals(call.runtime.budget, item, call[0]) ? 1 : 0;
  return Value::integer(count);
}

constexpr auto kListMethods = std::to_array<Builtin>({
    {"index", "value", list_index},
    {"count", "value", list_count},
    {"copy", "", [](Call& call) -> Result<Value> { return call.self; }},
});

Result<Value> loop_cycle(Call& call) {
  if (call.arguments.positional.empty()) return failure("no items for cycling given");
  return call.arguments.positional[call.self.as_loop().index % call.arguments.positional.size()];
}

Result<Value> loop_changed(Call& call) {
  LoopData& loop = call.self.as_loop();
  const std::vector<Value>& now = call.arguments.positional;
  bool same = loop.last_changed.size() == now.size() && loop.has_changed;
  for (size_t i = 0; same && i < now.size(); ++i) same = equals(call.runtime.budget, now[i], loop.last_changed[i]);
  loop.last_changed = now;
  loop.has_changed = true;
  return Value::boolean(!same);
}

constexpr auto kLoopMethods = std::to_array<Builtin>({
    {"cycle", "*", loop_cycle},
    {"changed", "*", loop_changed},
});

}  // namespace

const Builtin* find_function(std::string_view name) { return find_in(kFunctions, name); }
const Builtin* find_dict_method(std::string_view name) { return find_in(kDictMethods, name); }
const Builtin* find_list_method(std::string_view name) { return find_in(kListMethods, name); }
const Builtin* find_loop_method(std::string_view name) { return find_in(kLoopMethods, name); }

}  // namespace tessera::jinja

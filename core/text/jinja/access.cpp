// Owns attribute access, subscripts, slices and len() of template values, with the rules of Jinja2's immutable sandbox.
#include <algorithm>
#include <array>

#include "core/text/jinja/loop.h"
#include "core/text/jinja/operators.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Methods that would change the value: the sandbox refuses them.
bool is_mutator(const Value& object, std::string_view name) {
  if (object.is(Kind::kDict)) return is_one_of(name, {"clear", "pop", "popitem", "setdefault", "update"});
  if (!object.is(Kind::kSequence) || object.as_sequence().type != SequenceType::kList) return false;
  return is_one_of(name, {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"});
}

bool is_internal(std::string_view name) { return name.size() > 4 && name.starts_with("__") && name.ends_with("__"); }

Value method(const Builtin* builtin, const Value& self) {
  if (!builtin) return {};
  return Value::function(std::make_shared<const FunctionData>(FunctionData{std::string(builtin->name), builtin, self, nullptr, {}}));
}

Value loop_attribute(const Value& object, std::string_view name) {
  const LoopData& loop = object.as_loop();
  const auto count = static_cast<int64_t>(loop.items.size());
  const auto index = static_cast<int64_t>(loop.index);
  if (name == "index") return Value::integer(index + 1);
  if (name == "index0") return Value::integer(index);
  if (name == "revindex") return Value::integer(count - index);
  if (name == "revindex0") return Value::integer(count - index - 1);
  if (name == "first") return Value::boolean(index == 0);
  if (name == "last") return Value::boolean(index + 1 == count);
  if (name == "length") return Value::integer(count);
  if (name == "depth") return Value::integer(loop.level + 1);
  if (name == "depth0") return Value::integer(loop.level);
  if (name == "previtem") return index > 0 ? loop.items[loop.index - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem") return index + 1 < count ? loop.items[loop.index + 1] : Value::undefined("there is no next item");
  return method(find_loop_method(name), object);
}

/// A method or attribute of the object itself; missing when there is none.
Value own_attribute(Budget& budget, const Value& object, std::string_view name) {
  if (is_internal(name) || is_mutator(object, name)) {
    return make_undefined(budget, join_text("access to attribute '", shown(name), "' of '", type_name(object), "' object is unsafe."));
  }
  switch (object.kind()) {
    case Kind::kString: return method(find_string_method(name), object);
    case Kind::kDict: return method(find_dict_method(name), object);
    case Kind::kSequence: {
      const SequenceType type = object.as_sequence().type;
      if (object.as_sequence().is_group && (name == "grouper" || name == "list")) return object.as_sequence().items[name == "list" ? 1 : 0];
      return type == SequenceType::kList || type == SequenceType::kTuple ? method(find_list_method(name), object) : Value();
    }
    case Kind::kNamespace: {
      budget.charge_bytes(name.size());
      const Value* found = object.as_namespace().attributes.find(name);
      return found ? *found : Value();
    }
    case Kind::kLoop: return loop_attribute(object, name);
    case Kind::kFunction: return name == "name" ? make_string(budget, object.as_function().name) : Value();
    default: return {};
  }
}

/// The item at an index or key; missing when there is none.
Value item(Budget& budget, const Value& object, const Value& index) {
  if (object.is(Kind::kDict)) {
    const Value* found = object.as_dict().find(budget, index);
    return found ? *found : Value();
  }
  if (!index.is_integral()) return {};
  int64_t at = index.as_integer();
  if (object.is(Kind::kSequence)) {
    const SequenceData& data = object.as_sequence();
    if (data.type != SequenceType::kList && data.type != SequenceType::kTuple && data.type != SequenceType::kRange) return {};
    const auto count = static_cast<int64_t>(data.items.size());
    if (at < 0) at += count;
    return at >= 0 && at < count ? data.items[static_cast<size_t>(at)] : Value();
  }
  if (!object.is_string()) return {};
  const std::string_view text = object.text();
  budget.charge_bytes(text.size());
  if (at < 0) at += static_cast<int64_t>(count_code_points(text));
  if (at < 0) return {};
  const size_t offset = offset_of_code_point(text, static_cast<size_t>(at));
  if (offset >= text.size()) return {};
  return make_string(budget, std::string(text.substr(offset, decode_first(text.substr(offset)).length)), object.is_markup());
}

std::string object_name(const Value& object) {
  if (object.is(Kind::kNone)) return "None";
  if (object.is(Kind::kNamespace)) return "jinja2.utils.Namespace object";
  if (object.is(Kind::kLoop)) return "jinja2.runtime.LoopContext object";
  if (object.is(Kind::kFunction)) return object.as_function().macro ? "jinja2.runtime.Macro object" : "function object";
  return join_text(type_name(object), " object");
}

Value no_attribute(Budget& budget, const Value& object, std::string_view name) {
  return make_undefined(budget, join_text("'", object_name(object), "' has no attribute '", shown(name), "'"));
}

/// Python's slice.indices: start, stop and step over `count` items. kTemplate for a bound that is no integer or a zero step.
Result<std::array<int64_t, 3>> slice_indices(int64_t count, const Value& start, const Value& stop, const Value& step) {
  for (const Value* bound : {&start, &stop, &step}) {
    if (bound->is_missing() || bound->is(Kind::kNone) || bound->is_integral()) continue;
    return failure("slice indices must be integers or None or have an __index__ method");
  }
  const int64_t stride = step.is_integral() ? step.as_integer() : 1;
  if (stride == 0) return failure("slice step cannot be zero");
  const auto clamp = [&](const Value& bound, int64_t otherwise) {
    if (!bound.is_integral()) return otherwise;
    const int64_t raw = bound.as_integer();
    const int64_t at = raw < 0 ? std::max<int64_t>(raw, -count - 1) + count : raw;
    return stride > 0 ? std::clamp<int64_t>(at, 0, count) : std::clamp<int64_t>(at, -1, count - 1);
  };
  return std::array<int64_t, 3>{clamp(start, stride > 0 ? 0 : count - 1), clamp(stop, stride > 0 ? count : -1), stride};
}

/// Runs `visit` with each index of the slice. The distance left is compared before a stride, which may be near the ends of int64.
template <class Visit>
void for_each_index(const std::array<int64_t, 3>& indices, Visit visit) {
  const auto [first, last, stride] = indices;
  for (int64_t at = first; stride > 0 ? at < last : at > last; at += stride) {
    visit(static_cast<size_t>(at));
    if (stride > 0 ? last - at <= stride : last - at >= stride) break;
  }
}

Result<Value> slice_string(Budget& budget, const Value& object, const Value& start, const Value& stop, const Value& step) {
  const std::string_view text = object.text();
  budget.charge_bytes(text.size());
  const size_t count = count_code_points(text);
  Result<std::array<int64_t, 3>> indices = slice_indices(static_cast<int64_t>(count), start, stop, step);
  if (!indices) return indices.error();
  const auto [first, last, stride] = *indices;
  std::string out;
  if (stride == 1 && first < last) {
    const size_t begin = offset_of_code_point(text, static_cast<size_t>(first));
    out = text.substr(begin, offset_of_code_point(text.substr(begin), static_cast<size_t>(last - first)));
  } else if (stride != 1) {
    std::vector<size_t> offsets;
    for (size_t offset = 0; offset < text.size(); offset += decode_first(text.substr(offset)).length) offsets.push_back(offset);
    for_each_index(*indices, [&](size_t at) { out += text.substr(offsets[at], decode_first(text.substr(offsets[at])).length); });
  }
  return make_string(budget, std::move(out), object.is_markup());
}

}  // namespace

Result<Value> attribute(Budget& budget, const Value& object, std::string_view name) {
  if (object.is_undefined()) return failure(object.undefined_reason());
  Value found = own_attribute(budget, object, name);
  if (found.is_missing() && object.is(Kind::kDict)) {
    budget.charge_bytes(name.size());
    if (const Value* entry = object.as_dict().find(name)) found = *entry;
  }
  if (budget.exhausted()) return budget.error();
  return found.is_missing() ? no_attribute(budget, object, name) : found;
}

Result<Value> subscript(Budget& budget, const Value& object, const Value& index) {
  if (object.is_undefined()) return failure(object.undefined_reason());
  Value found = item(budget, object, index);
  if (found.is_missing() && index.is_string()) found = own_attribute(budget, object, index.text());
  if (budget.exhausted()) return budget.error();
  if (!found.is_missing()) return found;
  if (index.is_string()) return no_attribute(budget, object, index.text());
  return make_undefined(budget, join_text(object_name(object), " has no element ", shown(to_repr(budget, index))));
}

Result<Value> slice(Budget& budget, const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is_undefined()) return failure(object.undefined_reason());
  if (object.is_string()) return slice_string(budget, object, start, stop, step);
  const bool is_list = object.is(Kind::kSequence) && object.as_sequence().type <= SequenceType::kRange &&
                       object.as_sequence().type != SequenceType::kGenerator;
  if (object.is(Kind::kDict)) return failure("unhashable type: 'slice'");
  if (!is_list) return failure("'", type_name(object), "' object is not subscriptable");
  const std::vector<Value>& items = object.as_sequence().items;
  Result<std::array<int64_t, 3>> indices = slice_indices(static_cast<int64_t>(items.size()), start, stop, step);
  if (!indices) return indices.error();
  std::vector<Value> picked;
  for_each_index(*indices, [&](size_t at) { picked.push_back(items[at]); });
  return make_sequence(budget, std::move(picked),
                       object.as_sequence().type == SequenceType::kTuple ? SequenceType::kTuple : SequenceType::kList);
}

Result<int64_t> length_of(Budget& budget, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return int64_t{0};
    case Kind::kString:
      if (!budget.charge_bytes(value.text().size())) return budget.error();
      return static_cast<int64_t>(count_code_points(value.text()));
    case Kind::kDict: return static_cast<int64_t>(value.as_dict().size());
    case Kind::kLoop: return static_cast<int64_t>(value.as_loop().items.size());
    case Kind::kSequence:
      if (value.as_sequence().type == SequenceType::kGenerator) break;
      return static_cast<int64_t>(value.as_sequence().items.size());
    default: break;
  }
  return failure("object of type '", type_name(value), "' has no len()");
}

}  // namespace tessera::jinja

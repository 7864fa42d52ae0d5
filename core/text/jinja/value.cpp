// Owns construction, iteration and conversion of template values.
#include "core/text/jinja/value.h"

#include <bit>
#include <cmath>

#include "core/text/jinja/loop.h"
#include "core/text/jinja/unicode.h"
#include "nlohmann/json.hpp"

namespace tessera::jinja {
namespace {

/// Equal keys give equal text. Empty for a key that is not hashable, or not paid for.
std::string canonical_key(Budget& budget, const Value& key) {
  if (!budget.charge_bytes(key.is_string() ? key.text().size() : 0)) return {};
  switch (key.kind()) {
    case Kind::kString: return join_text("s", key.text());
    case Kind::kUndefined: return "u";
    case Kind::kNone: return "n";
    case Kind::kBool:
    case Kind::kInt: return join_text("i", key.as_integer());
    case Kind::kFloat: {
      const double real = key.as_real();
      if (std::trunc(real) == real && std::abs(real) < 9e18) return join_text("i", static_cast<int64_t>(real));
      return join_text("f", std::bit_cast<uint64_t>(real));
    }
    case Kind::kSequence: {
      if (key.as_sequence().type != SequenceType::kTuple || key.as_sequence().depth > 2) return {};
      std::string text = "t";
      for (const Value& item : key.as_sequence().items) {
        const std::string part = canonical_key(budget, item);
        if (part.empty()) return {};
        text += join_text(part.size(), ":", part);
      }
      return text;
    }
    default: return {};
  }
}

}  // namespace

const std::string& Value::undefined_reason() const {
  static const std::string kNoReason = "a value that was not given is undefined";
  const auto& reason = *std::get_if<0>(&data_);
  return reason ? *reason : kNoReason;
}

bool Value::truthy() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return false;
    case Kind::kBool: return as_bool();
    case Kind::kInt: return as_integer() != 0;
    case Kind::kFloat: return as_real() != 0;
    case Kind::kString: return !text().empty();
    case Kind::kSequence: return as_sequence().type == SequenceType::kGenerator || !as_sequence().items.empty();
    case Kind::kDict: return as_dict().size() != 0;
    default: return true;
  }
}

const Value* DictData::find(std::string_view key) const {
  const auto found = index_.find(canonical(key));
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Value* DictData::find(Budget& budget, const Value& key) const {
  const auto found = index_.find(canonical_key(budget, key));
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

bool DictData::set(Budget& budget, const Value& key, Value value) {
  std::string canonical = canonical_key(budget, key);
  if (canonical.empty()) return false;
  put(std::move(canonical), key, std::move(value));
  return true;
}

void DictData::put(std::string canonical, const Value& key, Value value) {
  depth_ = std::max(depth_, depth_of(value) + 1);
  const auto [place, is_new] = index_.emplace(std::move(canonical), entries_.size());
  if (is_new) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
}

std::vector<DictData::Entry> DictData::release() {
  index_.clear();
  return std::exchange(entries_, {});
}

int depth_of(const Value& value) {
  if (value.is(Kind::kSequence)) return value.as_sequence().depth;
  if (value.is(Kind::kDict)) return value.as_dict().depth();
  if (value.is(Kind::kLoop)) return value.as_loop().depth;
  if (value.is(Kind::kFunction)) return depth_of(value.as_function().self) + 1;
  return 0;
}

Value make_sequence(Budget& budget, std::vector<Value> items, SequenceType type) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, depth_of(item));
  budget.charge_bytes(sizeof(SequenceData) + items.size() * sizeof(Value));
  if (depth >= budget.limits().value_depth) {
    budget.exhaust(join_text("lists and dicts nested more than ", budget.limits().value_depth, " deep"));
  }
  if (budget.exhausted()) {
    items.clear();
    depth = 0;
  }
  return Value::sequence(std::make_shared<SequenceData>(SequenceData{std::move(items), type, depth + 1, 0, {}}));
}

Value make_dict(Budget& budget, DictData entries) {
  constexpr size_t kEntryBytes = 160;  // the pair, and the key's node in the index
  budget.charge_bytes(sizeof(DictData) + entries.size() * kEntryBytes);
  if (entries.depth() > budget.limits().value_depth) {
    budget.exhaust(join_text("lists and dicts nested more than ", budget.limits().value_depth, " deep"));
  }
  if (budget.exhausted()) entries = {};
  return Value::dict(std::make_shared<const DictData>(std::move(entries)));
}

Value make_string(Budget& budget, std::string text, bool markup) {
  if (!budget.charge_text(sizeof(StringData) + text.size())) text.clear();
  return Value::string(std::move(text), markup);
}

Value make_undefined(Budget& budget, std::string reason) {
  budget.charge_bytes(reason.size());
  return Value::undefined(std::move(reason));
}

Result<std::vector<Value>> iterate(Budget& budget, const Value& value) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Kind::kUndefined: return items;
    case Kind::kString:
      for (std::string_view rest = value.text(); !rest.empty();) {
        const size_t length = decode_first(rest).length;
        items.push_back(make_string(budget, std::string(rest.substr(0, length))));
        if (budget.exhausted()) return budget.error();
        rest.remove_prefix(length);
      }
      return items;
    case Kind::kSequence: {
      SequenceData& data = value.as_sequence();
      if (!budget.charge_bytes(data.items.size() * sizeof(Value))) return budget.error();
      const auto first = data.items.begin() + static_cast<std::ptrdiff_t>(data.taken);
      items.assign(first, data.items.end());
      if (data.type == SequenceType::kGenerator) data.taken = data.items.size();
      return items;
    }
    case Kind::kDict:
      if (!budget.charge_bytes(value.as_dict().size() * sizeof(Value))) return budget.error();
      for (const auto& entry : value.as_dict().entries()) items.push_back(entry.first);
      return items;
    default: return failure("'", type_name(value), "' object is not iterable");
  }
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return "Undefined";
    case Kind::kNone: return "NoneType";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kFloat: return "float";
    case Kind::kString: return value.is_markup() ? "Markup" : "str";
    case Kind::kDict: return "dict";
    case Kind::kNamespace: return "Namespace";
    case Kind::kFunction: return "function";
    case Kind::kLoop: return "LoopContext";
    case Kind::kSequence: break;
  }
  switch (value.as_sequence().type) {
    case SequenceType::kList: return "list";
    case SequenceType::kTuple: return "tuple";
    case SequenceType::kGenerator: return "generator";
    case SequenceType::kRange: return "range";
    case SequenceType::kKeys: return "dict_keys";
    case SequenceType::kValues: return "dict_values";
    case SequenceType::kItems: return "dict_items";
  }
  return "object";
}

namespace {

Value convert_json(Budget& budget, const nlohmann::ordered_json& json, const TextChange* change, int depth) {
  if (depth > budget.limits().value_depth) {
    budget.exhaust(join_text("variables nested more than ", budget.limits().value_depth, " deep"));
    return {};
  }
  const auto text = [&](const std::string& given) { return Value::string(change ? (*change)(given) : given); };
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean: return Value::boolean(*json.get_ptr<const bool*>());
    case nlohmann::ordered_json::value_t::number_unsigned:
      if (json.get<uint64_t>() > INT64_MAX) budget.exhaust("an integer beyond 2^63 - 1 in the variables");
      return Value::integer(json.get<int64_t>());
    case nlohmann::ordered_json::value_t::number_integer: return Value::integer(json.get<int64_t>());
    case nlohmann::ordered_json::value_t::number_float: return Value::real(json.get<double>());
    case nlohmann::ordered_json::value_t::string: return text(*json.get_ptr<const std::string*>());
    case nlohmann::ordered_json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(convert_json(budget, item, change, depth + 1));
      return make_sequence(budget, std::move(items));
    }
    case nlohmann::ordered_json::value_t::object: {
      DictData entries;
      for (const auto& [key, item] : json.items()) entries.set(budget, text(key), convert_json(budget, item, change, depth + 1));
      return make_dict(budget, std::move(entries));
    }
    default: return Value::none();
  }
}

}  // namespace

Result<Value> from_json(Budget& budget, const nlohmann::ordered_json& json, const TextChange* change) {
  Value value = convert_json(budget, json, change, 0);
  if (budget.exhausted()) return budget.error();
  return value;
}

}  // namespace tessera::jinja

// Owns Python's operators over template values: text forms, equality, order, containment, arithmetic, subscripts.
#pragma once

#include <compare>
#include <optional>
#include <string>

#include "core/text/jinja/builtin.h"
#include "core/text/jinja/value.h"

namespace tessera::jinja {

// Text forms. Both pay from the budget and stop early once it is exhausted.
/// Python's str(): what `{{ value }}` prints.
std::string to_str(Budget& budget, const Value& value);
/// Python's repr().
std::string to_repr(Budget& budget, const Value& value);
/// repr() of a double: the shortest digits that read back the same.
std::string real_text(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
/// Python's json.dumps. kTemplate for what is not serialisable.
Result<std::string> to_json(Budget& budget, const Value& value, const JsonStyle& style);
/// A JSON string literal of the text.
std::string json_quoted(std::string_view text, bool ensure_ascii);

bool equals(Budget& budget, const Value& left, const Value& right);
/// kTemplate for types without an order; `symbol` is the operator named in the message.
Result<std::partial_ordering> order(Budget& budget, const Value& left, const Value& right, std::string_view symbol);
/// Python's `item in container`.
Result<bool> contains(Budget& budget, const Value& container, const Value& item);

enum class BinaryOperator : uint8_t { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
Result<Value> binary(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right);
Result<Value> negate(const Value& value);
/// The failure of an integer beyond 64 bits.
Error integer_overflow();
Result<Value> plus(const Value& value);

/// `object.name`: a method or attribute, else the item; undefined when there is neither.
Result<Value> attribute(Budget& budget, const Value& object, std::string_view name);
/// `object[index]`: the item, else a method or attribute; undefined when there is neither.
Result<Value> subscript(Budget& budget, const Value& object, const Value& index);
/// `object[start:stop:step]`; missing or None bounds are open.
Result<Value> slice(Budget& budget, const Value& object, const Value& start, const Value& stop, const Value& step);
/// Python's len(). kTemplate for what has none.
Result<int64_t> length_of(Budget& budget, const Value& value);

/// `template % values` of str.
Result<std::string> percent_format(Runtime& runtime, const std::string& pattern, const Value& values);
/// str.format.
Result<std::string> brace_format(Runtime& runtime, const std::string& pattern, const Arguments& arguments);

}  // namespace tessera::jinja

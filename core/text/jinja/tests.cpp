// Owns the tests: what may follow `is`.
#include <algorithm>
#include <array>
#include <cmath>

#include "core/text/jinja/builtin.h"
#include "core/text/jinja/operators.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

Result<Value> answer(bool value) { return Value::boolean(value); }

template <Kind kKind>
Result<Value> is_kind(Call& call) {
  return answer(call.self.is(kKind));
}

template <bool kWanted>
Result<Value> is_constant(Call& call) {
  return answer(call.self.is(Kind::kBool) && call.self.as_bool() == kWanted);
}

Result<Value> is_defined(Call& call) { return answer(!call.self.is_undefined()); }

Result<Value> is_callable(Call& call) {
  return answer(call.self.is(Kind::kFunction) || call.self.is(Kind::kLoop) || call.self.is_undefined());
}

Result<Value> is_iterable(Call& call) {
  return answer(call.self.is_undefined() || call.self.is_string() || call.self.is(Kind::kSequence) || call.self.is(Kind::kDict) ||
                call.self.is(Kind::kLoop));
}

/// What has a length and subscripts.
Result<Value> is_sequence(Call& call) {
  if (call.self.is(Kind::kSequence))
    return answer(call.self.as_sequence().type <= SequenceType::kTuple || call.self.as_sequence().type == SequenceType::kRange);
  return answer(call.self.is_undefined() || call.self.is_string() || call.self.is(Kind::kDict));
}

template <bool kUpper>
Result<Value> has_case(Call& call) {
  const std::string text = soft_text(call.runtime, call.self);
  bool cased = false;
  for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(decode_first(rest).length))
    cased = cased || is_cased(decode_first(rest).value);
  return answer(cased && (kUpper ? to_upper(text) : to_lower(text)) == text);
}

Result<Value> modulo(Call& call, int64_t divisor) {
  return binary(call.runtime, BinaryOperator::kModulo, call.self, Value::integer(divisor));
}

template <int64_t kRemainder>
Result<Value> is_parity(Call& call) {
  Result<Value> remainder = modulo(call, 2);
  if (!remainder) return remainder;
  return answer(equals(call.runtime.budget, *remainder, Value::integer(kRemainder)));
}

Result<Value> is_divisible(Call& call) {
  Result<int64_t> divisor = integer_argument(call, 0, 0);
  if (!divisor) return divisor.error();
  Result<Value> remainder = modulo(call, *divisor);
  if (!remainder) return remainder;
  return answer(equals(call.runtime.budget, *remainder, Value::integer(0)));
}

Result<Value> is_equal(Call& call) { return answer(equals(call.runtime.budget, call.self, call[0])); }
Result<Value> is_unequal(Call& call) { return answer(!equals(call.runtime.budget, call.self, call[0])); }

template <class Accepts>
Result<Value> compare(Call& call, std::string_view symbol, Accepts accepts) {
  Result<std::partial_ordering> compared = order(call.runtime.budget, call.self, call[0], symbol);
  if (!compared) return compared.error();
  return answer(accepts(*compared));
}

Result<Value> is_less(Call& call) {
  return compare(call, "<", [](std::partial_ordering o) { return o < 0; });
}
Result<Value> is_at_most(Call& call) {
  return compare(call, "<=", [](std::partial_ordering o) { return o <= 0; });
}
Result<Value> is_greater(Call& call) {
  return compare(call, ">", [](std::partial_ordering o) { return o > 0; });
}
Result<Value> is_at_least(Call& call) {
  return compare(call, ">=", [](std::partial_ordering o) { return o >= 0; });
}

Result<Value> is_in(Call& call) {
  Result<bool> found = contains(call.runtime.budget, call[0], call.self);
  if (!found) return found.error();
  return answer(*found);
}

/// Whether a table has that name; Python refuses to look up what has no hash.
template <const Builtin* (*kFind)(std::string_view)>
Result<Value> is_name(Call& call) {
  const bool is_list = call.self.is(Kind::kSequence) && call.self.as_sequence().type == SequenceType::kList;
  if (is_list || call.self.is(Kind::kDict)) return failure("unhashable type: '", type_name(call.self), "'");
  return answer(call.self.is_string() && kFind(call.self.text()) != nullptr);
}

constexpr auto kTests = std::to_array<Builtin>({
    {"defined", "", is_defined},
    {"undefined", "", is_kind<Kind::kUndefined>},
    {"none", "", is_kind<Kind::kNone>},
    {"boolean", "", is_kind<Kind::kBool>},
    {"true", "", is_constant<true>},
    {"false", "", is_constant<false>},
    {"integer", "", is_kind<Kind::kInt>},
    {"float", "", is_kind<Kind::kFloat>},
    {"number", "", [](Call& call) { return answer(call.self.is_number()); }},
    {"string", "", is_kind<Kind::kString>},
    {"mapping", "", is_kind<Kind::kDict>},
    {"sequence", "", is_sequence},
    {"iterable", "", is_iterable},
    {"callable", "", is_callable},
    {"escaped", "", [](Call& call) { return answer(call.self.is_markup()); }},
    {"upper", "", has_case<true>},
    {"lower", "", has_case<false>},
    {"odd", "", is_parity<1>},
    {"even", "", is_parity<0>},
    {"divisibleby", "num", is_divisible},
    {"sameas", "other", [](Call& call) { return answer(call.self.same_object(call[0])); }},
    {"in", "seq", is_in},
    {"filter", "", is_name<find_filter>},
    {"test", "", is_name<find_test>},
    {"eq", "other", is_equal},
    {"equalto", "other", is_equal},
    {"==", "other", is_equal},
    {"ne", "other", is_unequal},
    {"!=", "other", is_unequal},
    {"lt", "other", is_less},
    {"lessthan", "other", is_less},
    {"<", "other", is_less},
    {"le", "other", is_at_most},
    {"<=", "other", is_at_most},
    {"gt", "other", is_greater},
    {"greaterthan", "other", is_greater},
    {">", "other", is_greater},
    {"ge", "other", is_at_least},
    {">=", "other", is_at_least},
});

}  // namespace

const Builtin* find_test(std::string_view name) {
  const auto found = std::find_if(kTests.begin(), kTests.end(), [&](const Builtin& test) { return test.name == name; });
  return found == kTests.end() ? nullptr : &*found;
}

}  // namespace tessera::jinja

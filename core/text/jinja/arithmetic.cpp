// Owns the arithmetic operators of Python over template values.
#include <algorithm>
#include <cmath>

#include "core/text/jinja/operators.h"
#include "core/text/jinja/string_methods.h"

namespace tessera::jinja {
namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

Error unsupported(BinaryOperator op, const Value& left, const Value& right) {
  return failure("unsupported operand type(s) for ", std::string(kSymbols[static_cast<size_t>(op)]), ": '", type_name(left), "' and '",
                 type_name(right), "'");
}

Error division_by_zero() { return failure("division by zero"); }

Result<Value> integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return failure("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return integer_overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return integer_overflow();
  }
  return Value::integer(result);
}

Result<Value> integer_arithmetic(BinaryOperator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case BinaryOperator::kAdd: return __builtin_add_overflow(a, b, &result) ? Result<Value>(integer_overflow()) : Value::integer(result);
    case BinaryOperator::kSubtract:
      return __builtin_sub_overflow(a, b, &result) ? Result<Value>(integer_overflow()) : Value::integer(result);
    case BinaryOperator::kMultiply:
      return __builtin_mul_overflow(a, b, &result) ? Result<Value>(integer_overflow()) : Value::integer(result);
    case BinaryOperator::kDivide:
      if (b == 0) return division_by_zero();
      return Value::real(static_cast<double>(a) / static_cast<double>(b));
    case BinaryOperator::kPower: return integer_power(a, b);
    case BinaryOperator::kFloorDivide:
    case BinaryOperator::kModulo: break;
  }
  if (b == 0) return failure("integer ", op == BinaryOperator::kModulo ? "" : "division or ", "modulo by zero");
  if (b == -1) return op == BinaryOperator::kModulo ? Value::integer(0) : integer_arithmetic(BinaryOperator::kSubtract, 0, a);
  const bool adjust = a % b != 0 && (a < 0) != (b < 0);  // Python rounds towards minus infinity
  return Value::integer(op == BinaryOperator::kModulo ? a % b + (adjust ? b : 0) : a / b - (adjust ? 1 : 0));
}

Result<Value> real_arithmetic(BinaryOperator op, double a, double b) {
  switch (op) {
    case BinaryOperator::kAdd: return Value::real(a + b);
    case BinaryOperator::kSubtract: return Value::real(a - b);
    case BinaryOperator::kMultiply: return Value::real(a * b);
    case BinaryOperator::kPower:
      if (a == 0 && b < 0) return failure("0.0 cannot be raised to a negative power");
      return Value::real(std::pow(a, b));
    default: break;
  }
  if (b == 0) return failure(op == BinaryOperator::kModulo ? "float modulo" : "float division by zero");
  if (op == BinaryOperator::kDivide) return Value::real(a / b);
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  if (op == BinaryOperator::kModulo) return Value::real(remainder);
  return Value::real(std::floor((a - remainder) / b + 0.5));
}

Result<Value> concatenate(Budget& budget, const Value& left, const Value& right) {
  if (left.is_string() && right.is_string()) {
    const bool markup = left.is_markup() || right.is_markup();
    std::string text = markup && !left.is_markup() ? escape_html(left.text()) : left.text();
    text += markup && !right.is_markup() ? escape_html(right.text()) : right.text();
    return make_string(budget, std::move(text), markup);
  }
  if (left.is_string()) return failure("can only concatenate str (not \"", type_name(right), "\") to str");
  const bool lists = left.is(Kind::kSequence) && right.is(Kind::kSequence) && left.as_sequence().type == right.as_sequence().type;
  const SequenceType type = left.is(Kind::kSequence) ? left.as_sequence().type : SequenceType::kGenerator;
  if (type != SequenceType::kList && type != SequenceType::kTuple) return unsupported(BinaryOperator::kAdd, left, right);
  if (!lists) {
    const std::string name(type_name(left));
    return failure("can only concatenate ", name, " (not \"", type_name(right), "\") to ", name);
  }
  std::vector<Value> items = left.as_sequence().items;
  items.insert(items.end(), right.as_sequence().items.begin(), right.as_sequence().items.end());
  return make_sequence(budget, std::move(items), type);
}

/// `text * count` or `list * count`.
Result<Value> repeat(Budget& budget, const Value& value, int64_t count) {
  const auto times = static_cast<uint64_t>(std::max<int64_t>(count, 0));
  const uint64_t unit = value.is_string() ? value.text().size() : value.as_sequence().items.size() * sizeof(Value);
  if (unit == 0 || times == 0) return value.is_string() ? Value::string("") : make_sequence(budget, {}, value.as_sequence().type);
  if (times > budget.limits().text_bytes / unit) {
    budget.exhaust(join_text("a repetition of more than ", budget.limits().text_bytes, " bytes"));
    return budget.error();
  }
  if (value.is_string()) {
    std::string text;
    text.reserve(unit * times);
    for (uint64_t i = 0; i < times; ++i) text += value.text();
    return make_string(budget, std::move(text), value.is_markup());
  }
  std::vector<Value> items;
  const std::vector<Value>& source = value.as_sequence().items;
  for (uint64_t i = 0; i < times; ++i) items.insert(items.end(), source.begin(), source.end());
  return make_sequence(budget, std::move(items), value.as_sequence().type);
}

bool is_repeatable(const Value& value) {
  if (value.is_string()) return true;
  if (!value.is(Kind::kSequence)) return false;
  return value.as_sequence().type == SequenceType::kList || value.as_sequence().type == SequenceType::kTuple;
}

}  // namespace

Error integer_overflow() { return failure("an integer does not fit 64 bits"); }

Result<Value> binary(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right) {
  if (op == BinaryOperator::kModulo && left.is_string()) {
    Result<std::string> text = percent_format(runtime, left.text(), right);
    if (!text) return text.error();
    return make_string(runtime.budget, std::move(*text), left.is_markup());
  }
  if (left.is_undefined()) return failure(left.undefined_reason());
  if (right.is_undefined()) return failure(right.undefined_reason());
  if (left.is_integral() && right.is_integral()) return integer_arithmetic(op, left.as_integer(), right.as_integer());
  if (left.is_number() && right.is_number()) return real_arithmetic(op, left.as_real(), right.as_real());
  if (op == BinaryOperator::kAdd && (left.is_string() || left.is(Kind::kSequence))) return concatenate(runtime.budget, left, right);
  if (op == BinaryOperator::kMultiply && is_repeatable(left) && right.is_integral())
    return repeat(runtime.budget, left, right.as_integer());
  if (op == BinaryOperator::kMultiply && is_repeatable(right) && left.is_integral())
    return repeat(runtime.budget, right, left.as_integer());
  return unsupported(op, left, right);
}

Result<Value> negate(const Value& value) {
  if (value.is_undefined()) return failure(value.undefined_reason());
  if (value.is_integral()) return integer_arithmetic(BinaryOperator::kSubtract, 0, value.as_integer());
  if (value.is(Kind::kFloat)) return Value::real(-value.as_real());
  return failure("bad operand type for unary -: '", type_name(value), "'");
}

Result<Value> plus(const Value& value) {
  if (value.is_undefined()) return failure(value.undefined_reason());
  if (value.is_integral()) return Value::integer(value.as_integer());
  if (value.is(Kind::kFloat)) return value;
  return failure("bad operand type for unary +: '", type_name(value), "'");
}

}  // namespace tessera::jinja

// Owns equality, order and containment as Python defines them.
#include <cmath>

#include "core/text/jinja/operators.h"

namespace tessera::jinja {
namespace {

bool is_mapping_view(SequenceType type) {
  return type == SequenceType::kKeys || type == SequenceType::kValues || type == SequenceType::kItems;
}

bool equal_sequences(Budget& budget, const Value& left, const Value& right) {
  const SequenceData& a = left.as_sequence();
  const SequenceData& b = right.as_sequence();
  if (&a == &b) return true;
  if (a.type != b.type || a.type == SequenceType::kGenerator || is_mapping_view(a.type) || a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!equals(budget, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_dicts(Budget& budget, const DictData& a, const DictData& b) {
  if (&a == &b) return true;
  if (a.size() != b.size()) return false;
  for (const auto& [key, item] : a.entries()) {
    const Value* other = b.find(budget, key);
    if (!other || !equals(budget, item, *other)) return false;
  }
  return true;
}

std::partial_ordering flipped_if(bool flip, std::partial_ordering value) {
  if (!flip) return value;
  return 0 <=> value;
}

/// Exact comparison of an integer with a double: converting either could round.
std::partial_ordering compare_integer_real(int64_t a, double b) {
  if (std::isnan(b)) return std::partial_ordering::unordered;
  if (b >= 9223372036854775808.0) return std::partial_ordering::less;
  if (b < -9223372036854775808.0) return std::partial_ordering::greater;
  const auto whole = static_cast<int64_t>(b);
  if (a != whole) return a < whole ? std::partial_ordering::less : std::partial_ordering::greater;
  return 0.0 <=> (b - static_cast<double>(whole));
}

std::partial_ordering compare_numbers(const Value& left, const Value& right) {
  if (left.is_integral() && right.is_integral()) return left.as_integer() <=> right.as_integer();
  if (left.is_integral()) return compare_integer_real(left.as_integer(), right.as_real());
  if (right.is_integral()) return flipped_if(true, compare_integer_real(right.as_integer(), left.as_real()));
  return left.as_real() <=> right.as_real();
}

}  // namespace

bool equals(Budget& budget, const Value& left, const Value& right) {
  if (!budget.charge(1)) return false;
  if (left.is_number() && right.is_number()) return compare_numbers(left, right) == 0;
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return true;
    case Kind::kString:
      if (left.text().size() != right.text().size()) return false;
      budget.charge_bytes(left.text().size());
      return left.text() == right.text();
    case Kind::kSequence: return equal_sequences(budget, left, right);
    case Kind::kDict: return equal_dicts(budget, left.as_dict(), right.as_dict());
    default: return left.same_object(right);
  }
}

Result<std::partial_ordering> order(Budget& budget, const Value& left, const Value& right, std::string_view symbol) {
  if (!budget.charge(1)) return budget.error();
  if (left.is_undefined()) return failure(left.undefined_reason());
  if (right.is_undefined()) return failure(right.undefined_reason());
  if (left.is_number() && right.is_number()) return compare_numbers(left, right);
  if (left.is_string() && right.is_string()) {
    budget.charge_bytes(std::min(left.text().size(), right.text().size()));
    return std::partial_ordering(left.text() <=> right.text());  // UTF-8 sorts like its code points
  }
  if (left.is(Kind::kSequence) && right.is(Kind::kSequence)) {
    const SequenceData& a = left.as_sequence();
    const SequenceData& b = right.as_sequence();
    if (a.type == b.type && (a.type == SequenceType::kList || a.type == SequenceType::kTuple)) {
      for (size_t i = 0; i < a.items.size() && i < b.items.size(); ++i) {
        if (!equals(budget, a.items[i], b.items[i])) return order(budget, a.items[i], b.items[i], symbol);
      }
      return std::partial_ordering(a.items.size() <=> b.items.size());
    }
  }
  return failure("'", symbol, "' not supported between instances of '", type_name(left), "' and '", type_name(right), "'");
}

Result<bool> contains(Budget& budget, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kUndefined: return false;
    case Kind::kString:
      if (item.is_undefined()) return failure(item.undefined_reason());
      if (!item.is_string()) return failure("'in <string>' requires string as left operand, not ", type_name(item));
      if (!budget.charge_search(container.text().size(), item.text().size())) return budget.error();
      return container.text().find(item.text()) != std::string::npos;
    case Kind::kDict:
      if (item.is(Kind::kDict) || (item.is(Kind::kSequence) && item.as_sequence().type == SequenceType::kList)) {
        return failure("unhashable type: '", type_name(item), "'");
      }
      return container.as_dict().find(budget, item) != nullptr;
    case Kind::kSequence: {
      Result<std::vector<Value>> items = iterate(budget, container);
      if (!items) return items.error();
      for (const Value& candidate : *items) {
        if (equals(budget, candidate, item)) return true;
      }
      return false;
    }
    default: return failure("argument of type '", type_name(container), "' is not iterable");
  }
}

}  // namespace tessera::jinja

// Owns the filters over numbers, defaults, lengths and dicts.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <optional>

#include "core/text/jinja/filters.h"
#include "core/text/jinja/number_text.h"
#include "core/text/jinja/operators.h"
#include "core/text/jinja/sorting.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

Result<Value> default_value(Call& call) {
  const bool replaces_false = call.given(1) && call[1].truthy();
  if (!call.self.is_undefined() && !(replaces_false && !call.self.truthy())) return call.self;
  return call.given(0) ? call[0] : Value::string("");
}

Result<Value> length(Call& call) {
  Result<int64_t> count = length_of(call.runtime.budget, call.self);
  if (!count) return count.error();
  return Value::integer(*count);
}

Result<Value> absolute(Call& call) {
  if (call.self.is_undefined()) return failure(call.self.undefined_reason());
  if (call.self.is(Kind::kFloat)) return Value::real(std::abs(call.self.as_real()));
  if (!call.self.is_integral()) return failure("bad operand type for abs(): '", type_name(call.self), "'");
  return call.self.as_integer() < 0 ? negate(call.self) : plus(call.self);
}

/// int(value, base), then int(float(value)), then the default.
Result<Value> to_integer(Call& call) {
  const Value otherwise = call.given(0) ? call[0] : Value::integer(0);
  Result<int64_t> base = integer_argument(call, 1, 10);
  if (!base) return base.error();
  if (call.self.is_undefined()) return failure(call.self.undefined_reason());
  if (call.self.is_integral()) return Value::integer(call.self.as_integer());
  std::optional<double> real;
  if (call.self.is(Kind::kFloat)) real = call.self.as_real();
  if (call.self.is_string()) {
    if (!call.runtime.budget.charge_bytes(call.self.text().size())) return call.runtime.budget.error();
    if (const auto integer = parse_integer(call.self.text(), static_cast<int>(*base))) return Value::integer(*integer);
    real = parse_real(call.self.text());
  }
  if (!real || !std::isfinite(*real)) return otherwise;
  if (!(*real >= -0x1p63 && *real < 0x1p63)) return integer_overflow();
  return Value::integer(static_cast<int64_t>(*real));
}

Result<Value> to_real(Call& call) {
  if (call.self.is_undefined()) return failure(call.self.undefined_reason());
  if (call.self.is_number()) return Value::real(call.self.as_real());
  if (call.self.is_string()) {
    if (!call.runtime.budget.charge_bytes(call.self.text().size())) return call.runtime.budget.error();
    if (const auto real = parse_real(call.self.text())) return Value::real(*real);
  }
  return call.given(0) ? call[0] : Value::real(0);
}

/// Rounds half to even, to a multiple of 10^zeros.
Result<Value> round_integer(int64_t value, int64_t zeros) {
  if (zeros > 19) return Value::integer(0);  // the multiple's half is beyond every integer
  uint64_t unit = 1;
  for (int64_t i = 0; i < zeros; ++i) unit *= 10;
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const uint64_t rest = magnitude % unit;
  const bool up = rest > unit - rest || (rest == unit - rest && magnitude / unit % 2 == 1);
  const uint64_t rounded = magnitude - rest + (up ? unit : 0);
  if (rounded > INT64_MAX) return integer_overflow();
  return Value::integer(value < 0 ? -static_cast<int64_t>(rounded) : static_cast<int64_t>(rounded));
}

/// Python's round: half to even on the exact decimal value, which is what printf does too.
Result<Value> round(Call& call) {
  Result<int64_t> precision = integer_argument(call, 0, 0);
  if (!precision) return precision.error();
  if (call.self.is_undefined()) return failure(call.self.undefined_reason());
  if (!call.self.is_number()) return failure("type ", type_name(call.self), " doesn't define __round__ method");
  const std::string method = call.given(1) && call[1].is_string() ? call[1].text() : "common";
  constexpr int64_t kMaxDigits = 300;
  if (*precision > kMaxDigits || *precision < -kMaxDigits) return failure("round: precision out of range");
  if (method == "ceil" || method == "floor") {
    const double scale = std::pow(10.0, static_cast<double>(*precision));
    const double scaled = call.self.as_real() * scale;
    return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  if (method != "common") return failure("method must be common, ceil or floor");
  if (call.self.is_integral()) {
    return *precision < 0 ? round_integer(call.self.as_integer(), -*precision) : Value::integer(call.self.as_integer());
  }
  if (*precision < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-*precision));
    return Value::real(std::nearbyint(call.self.as_real() / scale) * scale);
  }
  char buffer[700];
  const int written = std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(*precision), call.self.as_real());
  return Value::real(parse_real(std::string_view(buffer, static_cast<size_t>(std::max(written, 0)))).value_or(call.self.as_real()));
}

Result<Value> items(Call& call) {
  if (call.self.is_undefined()) return call.list({}, SequenceType::kGenerator);
  if (!call.self.is(Kind::kDict)) return failure("Can only get item pairs from a mapping.");
  std::vector<Value> pairs;
  for (const auto& [key, value] : call.self.as_dict().entries()) pairs.push_back(call.list({key, value}, SequenceType::kTuple));
  return call.list(std::move(pairs), SequenceType::kGenerator);
}

Result<Value> dict_sort(Call& call) {
  const bool case_sensitive = call.given(0) && call[0].truthy();
  const std::string by = call.given(1) && call[1].is_string() ? call[1].text() : "key";
  if (by != "key" && by != "value") return failure("You can only sort by either \"key\" or \"value\"");
  if (call.self.is_undefined()) return failure(call.self.undefined_reason());
  if (!call.self.is(Kind::kDict)) return failure("'", type_name(call.self), "' object has no attribute 'items'");
  Keyed rows;
  for (const auto& [key, value] : call.self.as_dict().entries()) {
    rows.emplace_back(folded_key(call.runtime.budget, by == "key" ? key : value, case_sensitive),
                      call.list({key, value}, SequenceType::kTuple));
  }
  return sorted(call.runtime.budget, std::move(rows), call.given(2) && call[2].truthy());
}

Result<Value> get_attribute(Call& call) {
  if (!call[0].is_string()) return failure("attribute name must be string, not '", type_name(call[0]), "'");
  // The filter looks at attributes only, never at items; the values of a template have none that it may read but methods.
  if (call.self.is(Kind::kDict) && !find_dict_method(call[0].text())) {
    return make_undefined(call.runtime.budget, join_text("'dict object' has no attribute '", shown(call[0].text()), "'"));
  }
  return attribute(call.runtime.budget, call.self, call[0].text());
}

constexpr auto kValueFilters = std::to_array<Builtin>({
    {"default", "default_value? boolean?", default_value},
    {"d", "default_value? boolean?", default_value},
    {"length", "", length},
    {"count", "", length},
    {"abs", "", absolute},
    {"int", "default? base?", to_integer},
    {"float", "default?", to_real},
    {"round", "precision? method?", round},
    {"items", "", items},
    {"dictsort", "case_sensitive? by? reverse?", dict_sort},
    {"attr", "name", get_attribute},
});

}  // namespace

std::span<const Builtin> value_filters() { return kValueFilters; }

}  // namespace tessera::jinja

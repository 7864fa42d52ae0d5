// Owns sorting of template values by a key.
#include "core/text/jinja/sorting.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/text/jinja/operators.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {

Value folded_key(Budget& budget, const Value& key, bool case_sensitive) {
  if (case_sensitive || !key.is_string() || budget.exhausted()) return key;
  return make_string(budget, to_lower(key.text()));
}

Result<Value> sorted(Budget& budget, Keyed rows, bool descending) {
  std::optional<Error> error;
  // A comparison that fails says "not less" from then on, which keeps the sort within its bounds.
  std::vector<size_t> places(rows.size());
  std::iota(places.begin(), places.end(), size_t{0});
  std::stable_sort(places.begin(), places.end(), [&](size_t a, size_t b) {
    if (error) return false;
    if (descending) std::swap(a, b);
    Result<std::partial_ordering> compared = order(budget, rows[a].first, rows[b].first, "<");
    if (!compared) error = compared.error();
    return compared.ok() && *compared < 0;
  });
  if (error) return *error;
  std::vector<Value> values;
  values.reserve(rows.size());
  for (const size_t place : places) values.push_back(std::move(rows[place].second));
  return make_sequence(budget, std::move(values));
}

}  // namespace tessera::jinja

// Owns sorting of template values by a key.
#pragma once

#include <utility>
#include <vector>

#include "core/text/jinja/value.h"

namespace tessera::jinja {

/// Rows of key and value.
using Keyed = std::vector<std::pair<Value, Value>>;

/// The key itself, or in lower case when it is a str and case does not count.
Value folded_key(Budget& budget, const Value& key, bool case_sensitive);

/// A list of the values in the order of their keys; equal keys keep their order. kTemplate for keys without an order.
Result<Value> sorted(Budget& budget, Keyed rows, bool descending);

}  // namespace tessera::jinja

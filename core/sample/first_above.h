// Owns the look at every logit that the sampler takes for each token.
#pragma once

#include <cstddef>
#include <span>

namespace tessera {

/// Index of the first value from `from` on that is above `bound`, or the number of values. NaN is above nothing.
size_t first_above(std::span<const float> values, size_t from, float bound);

}  // namespace tessera

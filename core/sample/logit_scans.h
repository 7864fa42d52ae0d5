// Owns the looks at every logit that the sampler takes for each token.
#pragma once

#include <cstddef>
#include <span>

namespace tessera {

/// Index of the first value from `from` on that is above `bound`, or the number of values. NaN is above nothing.
size_t first_above(std::span<const float> values, size_t from, float bound);

/// Copies as many values as `out` has; what is no number or infinite becomes the lowest or highest finite number: NaN and -infinity the
/// lowest.
void copy_finite(std::span<const float> values, std::span<float> out);

/// The largest value that is a number, or the lowest finite one.
float largest(std::span<const float> values);

/// out[i] = exp_f32(values[i] - best), for numbers up to `best`; 0 where there is no number. As many as `values`.
void weigh_all(std::span<const float> values, float best, std::span<float> out);

}  // namespace tessera

#include "core/ops/rope.h"

#include <algorithm>
#include <cmath>

#include "core/base/math.h"

namespace tessera {

void RopeConfig::set_yarn(double original_context, double beta_fast, double beta_slow) {
  constexpr double kTwoPi = 6.283185307179586;
  // The pair that turns `turns` times within the original context: original_context / base^(2i/dims) = 2π · turns.
  const auto pair_of = [&](double turns) { return dims * log_f64(original_context / (turns * kTwoPi)) / (2.0 * log_f64(base)); };
  yarn = true;
  ramp_low = std::max(0.0, pair_of(beta_fast));
  ramp_high = std::min(dims - 1.0, pair_of(beta_slow));
}

void rope_table(const RopeConfig& config, const float* divisors, int first, int tokens, float* cosines, float* sines) {
  const int half = config.dims / 2;
  const double log_base = log_f64(config.base);
  const double low = config.whole_ramp ? std::floor(config.ramp_low) : config.ramp_low;
  const double high = config.whole_ramp ? std::ceil(config.ramp_high) : config.ramp_high;
  for (int i = 0; i < half; ++i) {
    const double own = exp_f64(-2.0 * i / config.dims * log_base) / (divisors != nullptr ? divisors[i] : 1.0);
    double frequency = config.scale * own;
    if (config.yarn) {
      const double place = (i - low) / std::max(0.001, high - low);
      const double stretched = std::clamp(place, 0.0, 1.0);
      frequency = frequency * stretched + own * (1.0 - stretched);
    }
    for (int t = 0; t < tokens; ++t) {
      const SinCos angle = sin_cos_f64((first + t) * frequency);
      cosines[t * half + i] = static_cast<float>(angle.cos * config.magnitude);
      sines[t * half + i] = static_cast<float>(angle.sin * config.magnitude);
    }
  }
}

namespace {

// One head. The distances are constants of the template so that the compiler turns the loop into SIMD.
template <bool kSplitHalves>
void turn_head(int half, const float* cosines, const float* sines, float scale, float* __restrict x) {
  const int step = kSplitHalves ? 1 : 2;        // distance between the first members of two pairs
  const int partner = kSplitHalves ? half : 1;  // distance between the members of a pair
  for (int i = 0; i < half; ++i) {
    const float a = x[i * step], b = x[i * step + partner];
    x[i * step] = (a * cosines[i] - b * sines[i]) * scale;
    x[i * step + partner] = (a * sines[i] + b * cosines[i]) * scale;
  }
}

}  // namespace

void rope_apply(const RopeConfig& config, const float* cosines, const float* sines, int heads, int head_dim, float scale, float* x) {
  const auto turn = config.split_halves ? turn_head<true> : turn_head<false>;
  for (int head = 0; head < heads; ++head, x += head_dim) {
    turn(config.dims / 2, cosines, sines, scale, x);
    for (int i = config.dims; i < head_dim; ++i) x[i] = x[i] * scale;
  }
}

}  // namespace tessera

#include "core/ops/rope.h"

#include "core/base/math.h"

namespace tessera {

void rope_table(const RopeConfig& config, int first, int tokens, float* cosines, float* sines) {
  const int half = config.dims / 2;
  const double log_base = log_f64(config.base);
  for (int i = 0; i < half; ++i) {
    const double frequency = config.scale * exp_f64(-2.0 * i / config.dims * log_base);
    for (int t = 0; t < tokens; ++t) {
      const SinCos angle = sin_cos_f64((first + t) * frequency);
      cosines[t * half + i] = static_cast<float>(angle.cos);
      sines[t * half + i] = static_cast<float>(angle.sin);
    }
  }
}

void rope_apply(const RopeConfig& config, const float* cosines, const float* sines, int heads, int head_dim, float scale, float* x) {
  const int half = config.dims / 2;
  const int step = config.split_halves ? 1 : 2;        // distance between the first members of two pairs
  const int partner = config.split_halves ? half : 1;  // distance between the members of a pair
  for (int head = 0; head < heads; ++head, x += head_dim) {
    for (int i = 0; i < half; ++i) {
      float& a = x[i * step];
      float& b = x[i * step + partner];
      const float turned_a = a * cosines[i] - b * sines[i];
      const float turned_b = a * sines[i] + b * cosines[i];
      a = turned_a * scale;
      b = turned_b * scale;
    }
    for (int i = config.dims; i < head_dim; ++i) x[i] = x[i] * scale;
  }
}

}  // namespace tessera

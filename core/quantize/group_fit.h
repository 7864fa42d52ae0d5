// Owns the mathematics of one group of weights that share a scale: the scale (and offset) whose rounded codes are nearest to the weights.
//
// Minimised is E = Σ w (x - d·q - m)² over the codes q and the real numbers d and m. For fixed codes that is a linear least-squares
// problem, for fixed d and m each code is the nearest; so both are done in turn, which never raises E, from several starting scales,
// because E has many local minima. Symmetric formats have m = 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/tensor/blocks.h"

namespace tessera {

/// Four weights at a time, in the compiler's own vectors: the same sums on every machine.
using Lanes = float __attribute__((vector_size(16)));

inline Lanes lanes(float value) { return Lanes{value, value, value, value}; }
inline Lanes load_lanes(const float* from) {
  Lanes value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
inline float sum_lanes(Lanes value) { return (value[0] + value[1]) + (value[2] + value[3]); }

/// One group's weights and how much an error in each of them matters. Not owned.
template <int n>
struct Group {
  static constexpr int kSize = n;
  const float* x;  ///< [n]
  const float* w;  ///< [n], not negative
};

/// Evenly spaced levels low…high, the code of a level being level - low.
struct LinearLevels {
  float low, high;

  Lanes nearest(Lanes y) const {
    const Lanes raised = y > lanes(low) ? y : lanes(low);
    const Lanes clamped = raised < lanes(high) ? raised : lanes(high);
    constexpr float kShift = 12582912.0f;  // 1.5·2^23: adding it leaves no bits for a fraction
    return (clamped + lanes(kShift)) - lanes(kShift);
  }
  uint8_t code(float level) const { return static_cast<uint8_t>(static_cast<int>(level - low)); }
};

/// The sixteen levels of IQ4_NL and IQ4_XS.
struct TableLevels {
  Lanes nearest(Lanes y) const {
    Lanes level = lanes(kNonLinear4[0]);
    for (int i = 1; i < 16; ++i) {
      const Lanes middle = lanes(0.5f * static_cast<float>(kNonLinear4[i - 1] + kNonLinear4[i]));
      level += y > middle ? lanes(static_cast<float>(kNonLinear4[i] - kNonLinear4[i - 1])) : Lanes{};
    }
    return level;
  }
  uint8_t code(float level) const {
    return static_cast<uint8_t>(std::lower_bound(kNonLinear4, kNonLinear4 + 16, static_cast<int8_t>(level)) - kNonLinear4);
  }
};

/// 1/value, or 0 for what has no finite inverse.
inline float inverse_or_zero(float value) { return std::fabs(value) < 1e-30f ? 0.0f : 1.0f / value; }

/// Sums over a group for the levels nearest to (x - m)·inverse: all that least squares asks for.
struct FitSums {
  float q = 0, qq = 0, xq = 0;  ///< Σ w·q, Σ w·q², Σ w·x·q
};
template <int n, class Levels>
FitSums fit_sums(const Group<n>& group, const Levels& levels, float inverse, float m) {
  Lanes q{}, qq{}, xq{};
  for (int i = 0; i < n; i += 4) {
    const Lanes x = load_lanes(group.x + i), w = load_lanes(group.w + i);
    const Lanes level = levels.nearest((x - lanes(m)) * lanes(inverse));
    const Lanes weighted = w * level;
    q += weighted;
    qq += weighted * level;
    xq += weighted * x;
  }
  return {sum_lanes(q), sum_lanes(qq), sum_lanes(xq)};
}

/// Σ w (x - d·q - m)² for the nearest levels.
template <int n, class Levels>
float fit_error(const Group<n>& group, const Levels& levels, float d, float m) {
  const Lanes inverse = lanes(inverse_or_zero(d));
  Lanes sum{};
  for (int i = 0; i < n; i += 4) {
    const Lanes x = load_lanes(group.x + i) - lanes(m);
    const Lanes difference = x - lanes(d) * levels.nearest(x * inverse);
    sum += load_lanes(group.w + i) * difference * difference;
  }
  return sum_lanes(sum);
}

/// The nearest codes for d and m.
template <int n, class Levels>
void fit_codes(const float* x, const Levels& levels, float d, float m, uint8_t codes[n]) {
  const Lanes inverse = lanes(inverse_or_zero(d));
  for (int i = 0; i < n; i += 4) {
    const Lanes level = levels.nearest((load_lanes(x + i) - lanes(m)) * inverse);
    for (int k = 0; k < 4; ++k) codes[i + k] = levels.code(level[k]);
  }
}

/// The weight of largest magnitude, with its sign.
template <int n>
float signed_peak_of(const float* x) {
  float peak = 0.0f;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(peak)) peak = x[i];
  }
  return peak;
}

inline constexpr int kRefinements = 3;  ///< rounds of least squares after the best start; more change nothing measurable

/// The scale d of x ≈ d·q. `starts` are the levels that the largest weight is put at to begin with; levels beyond the range clip it.
template <int n, class Levels>
float fit_scale(const Group<n>& group, const Levels& levels, std::span<const float> starts) {
  const float peak = signed_peak_of<n>(group.x);
  if (std::fabs(peak) < 1e-30f) return 0.0f;
  // E = Σ w·x² - gain at the best d for the codes, so the largest gain wins.
  float best_gain = -1.0f, best_d = 0.0f;
  const auto consider = [&](float inverse) {
    const FitSums sums = fit_sums(group, levels, inverse, 0.0f);
    if (sums.qq <= 0.0f) return false;
    const float d = sums.xq / sums.qq, gain = d * sums.xq;
    if (gain <= best_gain) return false;
    best_gain = gain;
    best_d = d;
    return true;
  };
  for (const float start : starts) consider(start / peak);
  for (int round = 0; round < kRefinements; ++round) {
    if (!consider(inverse_or_zero(best_d))) break;
  }
  return best_d;
}

/// Scale and offset of x ≈ d·q + m with q 0…levels.high.
struct AffineFit {
  float d = 0, m = 0;
};
/// `starts` are factors on the scale that spans the group exactly; `m_positive` allows an offset above zero, which K-quants cannot store.
template <int n>
AffineFit fit_affine(const Group<n>& group, const LinearLevels& levels, std::span<const float> starts, bool m_positive) {
  const auto [smallest, largest] = std::minmax_element(group.x, group.x + n);
  const float low = m_positive ? *smallest : std::min(*smallest, 0.0f);
  if (*largest - low < 1e-30f) return {0.0f, low};
  float w = 0, x = 0, xx = 0;
  for (int i = 0; i < n; ++i) {
    w += group.w[i];
    x += group.w[i] * group.x[i];
    xx += group.w[i] * group.x[i] * group.x[i];
  }
  AffineFit best;
  float best_error = INFINITY;
  const auto consider = [&](float inverse, float offset) {
    const FitSums s = fit_sums(group, levels, inverse, offset);
    const float determinant = w * s.qq - s.q * s.q;
    if (determinant <= 0.0f || s.qq <= 0.0f) return false;
    AffineFit fit{(w * s.xq - x * s.q) / determinant, (s.qq * x - s.q * s.xq) / determinant};
    if (!m_positive && fit.m > 0.0f) fit = {s.xq / s.qq, 0.0f};
    const float error = xx - fit.d * s.xq - fit.m * x;
    if (!(error < best_error) || fit.d <= 0.0f) return false;
    best_error = error;
    best = fit;
    return true;
  };
  const float exact = levels.high / (*largest - low);
  for (const float start : starts) consider(exact * start, low);
  if (best_error == INFINITY) return {(*largest - low) / levels.high, low};
  for (int round = 0; round < kRefinements; ++round) {
    if (!consider(inverse_or_zero(best.d), best.m)) break;
  }
  return best;
}

}  // namespace tessera

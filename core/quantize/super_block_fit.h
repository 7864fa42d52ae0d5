// Owns the search within a super-block of 256 weights: groups with scales of their own that are themselves small integers times a common
// scale. Every group's scale is first found alone (group_fit.h), then rounded; then the integers near by are tried with the codes rounded
// anew, and the common scale is solved for all 256 weights at once, in turn.
#pragma once

#include <array>

#include "core/base/half.h"
#include "core/quantize/group_fit.h"

namespace tessera {

inline constexpr int kSuperRounds = 2;  ///< turns of integers and common scale

/// weight = (d·scales[g])·level, as Q3_K, Q6_K and IQ4_XS have it.
template <int groups>
struct SymmetricBlockFit {
  uint16_t d = 0;  ///< f16
  int8_t scales[groups] = {};
};

/// The best of the integers `middle` ± 1 for x ≈ (d·integer)·level.
template <int n, class Levels>
int best_integer(const Group<n>& group, const Levels& levels, float d, int middle, int low, int high) {
  int best = middle;
  float best_error = INFINITY;
  for (int integer = std::max(low, middle - 1); integer <= std::min(high, middle + 1); ++integer) {
    const float error = fit_error(group, levels, d * static_cast<float>(integer), 0.0f);
    if (error < best_error) {
      best = integer;
      best_error = error;
    }
  }
  return best;
}

/// Fits 256 weights in groups of n with integer scales low…high and fills `codes`.
template <int n, class Levels>
SymmetricBlockFit<256 / n> fit_symmetric_block(const float* x, const float* w, const Levels& levels, std::span<const float> starts, int low,
                                               int high, uint8_t codes[256]) {
  constexpr int kGroups = 256 / n;
  const auto group = [&](int g) { return Group<n>{x + n * g, w + n * g}; };
  float wanted[kGroups];
  for (int g = 0; g < kGroups; ++g) wanted[g] = fit_scale(group(g), levels, starts);
  SymmetricBlockFit<kGroups> best;
  float best_error = INFINITY;
  float d = signed_peak_of<kGroups>(wanted) / static_cast<float>(low);
  for (int round = 0; round <= kSuperRounds; ++round) {
    SymmetricBlockFit<kGroups> fit;
    fit.d = f32_to_f16(d);
    const float scale = f16_to_f32(fit.d), inverse = inverse_or_zero(scale);
    float error = 0.0f, xq = 0.0f, qq = 0.0f;
    for (int g = 0; g < kGroups; ++g) {
      const float near = round == 0 ? wanted[g] * inverse : static_cast<float>(best.scales[g]);
      const int middle = static_cast<int>(std::lround(std::clamp(near, static_cast<float>(low), static_cast<float>(high))));
      fit.scales[g] = static_cast<int8_t>(best_integer(group(g), levels, scale, middle, low, high));
      const float integer = fit.scales[g], own = scale * integer;
      error += fit_error(group(g), levels, own, 0.0f);
      const FitSums sums = fit_sums(group(g), levels, inverse_or_zero(own), 0.0f);
      xq += integer * sums.xq;
      qq += integer * integer * sums.qq;
    }
    if (error >= best_error) break;
    best = fit;
    best_error = error;
    d = qq > 0.0f ? xq / qq : scale;
  }
  const float scale = f16_to_f32(best.d);
  for (int g = 0; g < kGroups; ++g) fit_codes<n>(x + n * g, levels, scale * static_cast<float>(best.scales[g]), 0.0f, codes + n * g);
  return best;
}

/// weight = (d·scales[g])·code - dmin·minima[g], as Q2_K, Q4_K and Q5_K have it.
template <int groups>
struct AffineBlockFit {
  uint16_t d = 0, dmin = 0;  ///< f16
  uint8_t scales[groups] = {};
  uint8_t minima[groups] = {};
};

/// A group's two integers.
struct IntegerPair {
  int scale, minimum;
};

/// The best pair around `middle` for x ≈ (d·scale)·code - dmin·minimum, each within 0…high.
template <int n>
IntegerPair best_pair(const Group<n>& group, const LinearLevels& levels, float d, float dmin, IntegerPair middle, int high) {
  IntegerPair best = middle;
  float best_error = INFINITY;
  for (int scale = std::max(0, middle.scale - 1); scale <= std::min(high, middle.scale + 1); ++scale) {
    for (int minimum = std::max(0, middle.minimum - 1); minimum <= std::min(high, middle.minimum + 1); ++minimum) {
      const float error = fit_error(group, levels, d * static_cast<float>(scale), -dmin * static_cast<float>(minimum));
      if (error < best_error) {
        best = {scale, minimum};
        best_error = error;
      }
    }
  }
  return best;
}

/// The sums of one super-block from which d and dmin follow for fixed integers and codes: least squares with two unknowns.
struct CommonScales {
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;  ///< a = scale·code, b = minimum; each Σ w·…

  template <int n>
  void add(const Group<n>& group, const FitSums& sums, float scale, float minimum) {
    double w = 0, x = 0;
    for (int i = 0; i < n; ++i) {
      w += group.w[i];
      x += group.w[i] * group.x[i];
    }
    aa += scale * scale * sums.qq;
    ab += scale * minimum * sums.q;
    bb += minimum * minimum * w;
    ax += scale * sums.xq;
    bx += minimum * x;
  }
  /// Sets d and dmin; leaves them alone where the sums say nothing.
  void solve(float& d, float& dmin) const {
    const double determinant = aa * bb - ab * ab;
    if (determinant > 1e-12 * aa * bb) {
      const double minimum = (ab * ax - aa * bx) / determinant;
      if (minimum >= 0) {
        d = static_cast<float>((ax * bb - ab * bx) / determinant);
        dmin = static_cast<float>(minimum);
        return;
      }
    }
    if (aa > 0) d = static_cast<float>((ax + dmin * ab) / aa);
  }
};

/// Fits 256 weights in groups of n with integers 0…high and fills `codes`.
template <int n>
AffineBlockFit<256 / n> fit_affine_block(const float* x, const float* w, const LinearLevels& levels, std::span<const float> starts,
                                         int high, uint8_t codes[256]) {
  constexpr int kGroups = 256 / n;
  const auto group = [&](int g) { return Group<n>{x + n * g, w + n * g}; };
  AffineFit wanted[kGroups];
  float d = 0.0f, dmin = 0.0f;
  for (int g = 0; g < kGroups; ++g) {
    wanted[g] = fit_affine(group(g), levels, starts, false);
    d = std::max(d, wanted[g].d / static_cast<float>(high));
    dmin = std::max(dmin, -wanted[g].m / static_cast<float>(high));
  }
  AffineBlockFit<kGroups> best;
  float best_error = INFINITY;
  for (int round = 0; round <= kSuperRounds; ++round) {
    AffineBlockFit<kGroups> fit;
    fit.d = f32_to_f16(d);
    fit.dmin = f32_to_f16(dmin);
    const float scale = f16_to_f32(fit.d), minimum = f16_to_f32(fit.dmin);
    float error = 0.0f;
    CommonScales common;
    for (int g = 0; g < kGroups; ++g) {
      IntegerPair middle{best.scales[g], best.minima[g]};
      if (round == 0) {
        middle = {std::min(high, static_cast<int>(std::lround(wanted[g].d * inverse_or_zero(scale)))),
                  std::min(high, static_cast<int>(std::lround(-wanted[g].m * inverse_or_zero(minimum))))};
      }
      const IntegerPair pair = best_pair(group(g), levels, scale, minimum, middle, high);
      fit.scales[g] = static_cast<uint8_t>(pair.scale);
      fit.minima[g] = static_cast<uint8_t>(pair.minimum);
      const float own = scale * static_cast<float>(pair.scale), offset = -minimum * static_cast<float>(pair.minimum);
      error += fit_error(group(g), levels, own, offset);
      common.add(group(g), fit_sums(group(g), levels, inverse_or_zero(own), offset), static_cast<float>(pair.scale),
                 static_cast<float>(pair.minimum));
    }
    if (error >= best_error) break;
    best = fit;
    best_error = error;
    common.solve(d, dmin);
  }
  const float scale = f16_to_f32(best.d), minimum = f16_to_f32(best.dmin);
  for (int g = 0; g < kGroups; ++g) {
    fit_codes<n>(x + n * g, levels, scale * static_cast<float>(best.scales[g]), -minimum * static_cast<float>(best.minima[g]),
                 codes + n * g);
  }
  return best;
}

}  // namespace tessera

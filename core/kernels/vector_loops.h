// Owns the loops that are not matrix products (quantise, norm, activations, attention), written once over the Isa vocabulary of
// matmul_loops.h. Plain loops only: a std:: algorithm instantiated here could be shared with code for lesser machines.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/base/math.h"
#include "core/kernels/kernels.h"

namespace tessera {

template <class Isa>
struct VectorLoops {
  using F32 = typename Isa::F32;
  static constexpr int kLanes = Isa::kRows;
  static constexpr int kVectors = 16 / kLanes;  // registers that hold the 16 lanes of an ordered sum

  // 16 → 8 → 4 → 2 → 1, the upper half added to the lower.
  static float sum_lanes(const F32 (&lanes)[kVectors]) {
    float values[16];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) Isa::store(values + v * kLanes, lanes[v]);
    for (int half = 8; half > 0; half /= 2) {
      for (int j = 0; j < half; ++j) values[j] = values[j] + values[j + half];
    }
    return values[0];
  }

  // Vectors that each of `rows` rows of accumulators is wide: as many as fit into the registers beside the operands, but never more than a
  // panel.
  static constexpr int attention_width(int rows, int most = Isa::kAttentionRegisters) {
    int wide = 1;
    while (2 * wide * rows <= most && 2 * wide * kLanes <= kAttentionPanel) wide *= 2;
    return wide;
  }

  static void quantize_row(const float* x, int64_t width, std::byte* code_row, float* scales, int32_t* half_sums, float* scaled_sums) {
    auto* codes = reinterpret_cast<typename Isa::ActCode*>(code_row);
    for (int64_t b = 0; b < width / kActivationBlock; ++b, x += kActivationBlock, codes += kActivationBlock) {
      F32 largest = Isa::zero_f32();
      for (int i = 0; i < kActivationBlock; i += kLanes) largest = Isa::max(Isa::abs(Isa::load_floats(x + i)), largest);
      const float amax = Isa::largest_lane(largest);
      const float inverse = amax > 0.0f ? 127.0f / amax : 0.0f;
      const F32 factor = Isa::splat_f32(inverse);
      for (int half = 0; half < 2; ++half) half_sums[2 * b + half] = Isa::round_to_codes(x + 16 * half, factor, codes + 16 * half);
      scales[b] = amax / 127.0f;
      scaled_sums[b] = scales[b] * static_cast<float>(half_sums[2 * b] + half_sums[2 * b + 1]);
    }
  }

  static void rms_norm(const float* x, const float* weight, int64_t n, float epsilon, float* out) {
    float lanes[16] = {};
    const int64_t whole = n / 16 * 16;
    F32 sums[kVectors];
    for (int v = 0; v < kVectors; ++v) sums[v] = Isa::zero_f32();
    for (int64_t i = 0; i < whole; i += 16) {
      for (int v = 0; v < kVectors; ++v) {
        const F32 value = Isa::load_floats(x + i + v * kLanes);
        sums[v] = Isa::add(sums[v], Isa::mul(value, value));
      }
    }
    for (int v = 0; v < kVectors; ++v) Isa::store(lanes + v * kLanes, sums[v]);
    for (int64_t i = whole; i < n; ++i) lanes[i - whole] = lanes[i - whole] + x[i] * x[i];
    for (int v = 0; v < kVectors; ++v) sums[v] = Isa::load_floats(lanes + v * kLanes);
    const float scale = 1.0f / std::sqrt(sum_lanes(sums) / static_cast<float>(n) + epsilon);
    const F32 factor = Isa::splat_f32(scale);
    for (int64_t i = 0; i < whole; i += kLanes) {
      Isa::store(out + i, Isa::mul(Isa::mul(Isa::load_floats(x + i), factor), Isa::load_floats(weight + i)));
    }
    for (int64_t i = whole; i < n; ++i) out[i] = x[i] * scale * weight[i];
  }

  // horner, exp_f32 and exp2_weight of base/math.h, operation by operation.
  template <size_t kTerms>
  static F32 horner(const float (&coefficients)[kTerms], F32 x) {
    F32 p = Isa::splat_f32(coefficients[0]);
#pragma GCC unroll 8
    for (size_t i = 1; i < kTerms; ++i) p = Isa::add(Isa::mul(p, x), Isa::splat_f32(coefficients[i]));
    return p;
  }
  static F32 exp(F32 x) {
    const F32 low = Isa::splat_f32(kExpLow), magic = Isa::splat_f32(kRoundMagic);
    const F32 bounded = Isa::min(Isa::max(x, low), Isa::splat_f32(kExpHigh));
    const F32 shifted = Isa::add(Isa::mul(bounded, Isa::splat_f32(kLog2E)), magic);
    const F32 n = Isa::sub(shifted, magic);
    const F32 r = Isa::sub(Isa::sub(bounded, Isa::mul(n, Isa::splat_f32(kLn2High))), Isa::mul(n, Isa::splat_f32(kLn2Low)));
    return Isa::zero_unless_at_least(x, low, Isa::add_exponent(horner(kExpTaylor, r), shifted));
  }
  static F32 exp2_weight(F32 x) {
    x = Isa::max(x, Isa::splat_f32(kLeastWeightLog2));
    const F32 magic = Isa::splat_f32(kWeightMagic), shifted = Isa::add(x, magic), r = Isa::sub(x, Isa::sub(shifted, magic));
    return Isa::add_exponent(horner(kWeightExp2, r), shifted);
  }

  static F32 silu(F32 x) { return Isa::div(x, Isa::add(Isa::splat_f32(1.0f), exp(Isa::negate(x)))); }
  static F32 gelu_tanh(F32 x) {
    const F32 cube = Isa::mul(Isa::mul(Isa::mul(Isa::splat_f32(kGeluCubic), x), x), x);
    const F32 u2 = Isa::mul(Isa::splat_f32(kGeluScale), Isa::add(x, cube));
    return Isa::div(x, Isa::add(Isa::splat_f32(1.0f), exp(Isa::negate(u2))));
  }

  static void silu_mul(float* gate, const float* up, int64_t n) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) Isa::store(gate + i, Isa::mul(silu(Isa::load_floats(gate + i)), Isa::load_floats(up + i)));
    for (; i < n; ++i) gate[i] = tessera::silu(gate[i]) * up[i];
  }

  static void gelu_mul(float* gate, const float* up, int64_t n) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) Isa::store(gate + i, Isa::mul(gelu_tanh(Isa::load_floats(gate + i)), Isa::load_floats(up + i)));
    for (; i < n; ++i) gate[i] = tessera::gelu_tanh(gate[i]) * up[i];
  }

  static void clamped_swiglu(float* gate, const float* up, int64_t n) {
    const F32 limit = Isa::splat_f32(kSwigluLimit), low = Isa::splat_f32(-kSwigluLimit), one = Isa::splat_f32(1.0f);
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      const F32 g = Isa::min(Isa::load_floats(gate + i), limit), u = Isa::min(Isa::max(Isa::load_floats(up + i), low), limit);
      const F32 glu = Isa::div(g, Isa::add(one, exp(Isa::negate(Isa::mul(g, Isa::splat_f32(kSwigluAlpha))))));
      Isa::store(gate + i, Isa::mul(glu, Isa::add(u, one)));
    }
    for (; i < n; ++i) gate[i] = tessera::clamped_swiglu(gate[i], up[i]);
  }

  // acc[v] += Σ a[k] · b[k][v] over k in [begin, end), one k after another; b is a list of panels of panel_rows rows, and the
  // accumulators begin at column `column` of it.
  template <int kWide>
  static void add_products(const float* a, const float* b, int panel_rows, int column, int begin, int end, F32 (&acc)[kWide]) {
    const float* first = b + column / kAttentionPanel * kAttentionPanel * panel_rows + column % kAttentionPanel;
    for (int k = begin; k < end; ++k) {
      const F32 factor = Isa::splat_f32(a[k]);
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) {
        acc[v] = Isa::add(acc[v], Isa::mul(factor, Isa::load_floats(first + k * kAttentionPanel + v * kLanes)));
      }
    }
  }

  // scores [kAttentionChunk] of one query.
  static void score(const float* query, const float* keys, int head_dim, float* scores) {
    constexpr int kWide = attention_width(1);
    for (int c = 0; c < kAttentionChunk; c += kWide * kLanes) {
      F32 acc[kWide];
      for (F32& sum : acc) sum = Isa::zero_f32();
      add_products<kWide>(query, keys, head_dim, c, 0, head_dim, acc);
      for (int v = 0; v < kWide; ++v) Isa::store(scores + c + v * kLanes, acc[v]);
    }
  }

  // accumulators [head_dim] · rescale + weights · values, some columns at a time.
  static void add_values(const float* weights, float rescale, const CacheChunk& chunk, int begin, int end, int head_dim,
                         float* accumulators) {
    constexpr int kWide = attention_width(1);
    for (int d = 0; d < head_dim; d += kWide * kLanes) {
      F32 acc[kWide];
      for (int v = 0; v < kWide; ++v) acc[v] = Isa::mul(Isa::load_floats(accumulators + d + v * kLanes), Isa::splat_f32(rescale));
      add_products<kWide>(weights, chunk.values, kAttentionChunk, d, begin, end, acc);
      for (int v = 0; v < kWide; ++v) Isa::store(accumulators + d + v * kLanes, acc[v]);
    }
  }

  // soft_cap of base/math.h, operation by operation.
  static F32 cap_softly(F32 x, F32 cap) {
    const F32 one = Isa::splat_f32(1.0f), two = Isa::splat_f32(2.0f);
    return Isa::mul(cap, Isa::sub(one, Isa::div(two, Isa::add(exp(Isa::mul(two, Isa::div(x, cap))), one))));
  }

  // Scores of the visible positions become exp(score - maximum), all others 0; returns the factor for what was summed before.
  static float soften(float* scores, int begin, int end, float softcap, AttentionState& state) {
    if (softcap > 0.0f) {
      const F32 cap = Isa::splat_f32(softcap);
      for (int c = 0; c < kAttentionChunk; c += kLanes) Isa::store(scores + c, cap_softly(Isa::load_floats(scores + c), cap));
    }
    for (int c = 0; c < begin; ++c) scores[c] = -std::numeric_limits<float>::infinity();
    for (int c = end; c < kAttentionChunk; ++c) scores[c] = -std::numeric_limits<float>::infinity();
    F32 largest = Isa::splat_f32(state.maximum);
    for (int c = 0; c < kAttentionChunk; c += kLanes) largest = Isa::max(Isa::load_floats(scores + c), largest);
    const float maximum = Isa::largest_lane(largest);
    const F32 all_maximum = Isa::splat_f32(maximum);
    for (int c = 0; c < kAttentionChunk; c += kLanes) Isa::store(scores + c, exp(Isa::sub(Isa::load_floats(scores + c), all_maximum)));
    const float rescale = exp_f32(state.maximum - maximum);
    F32 sums[kVectors];
    for (int j = 0; j < kVectors; ++j) {
      sums[j] = Isa::add(Isa::load_floats(scores + j * kLanes), Isa::load_floats(scores + 16 + j * kLanes));
    }
    state.sum = state.sum * rescale + sum_lanes(sums);
    state.maximum = maximum;
    return rescale;
  }

  static void attend(const float* queries, int heads, const CacheChunk& chunk, int begin, int end, int head_dim, float softcap,
                     AttentionState* states, float* accumulators) {
    for (int h = 0; h < heads; ++h, queries += head_dim, accumulators += head_dim) {
      float weights[kAttentionChunk];
      score(queries, chunk.keys, head_dim, weights);
      const float rescale = soften(weights, begin, end, softcap, states[h]);
      add_values(weights, rescale, chunk, begin, end, head_dim, accumulators);
    }
  }

  static void widen_f16(const uint16_t* in, int64_t n, float* out) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) Isa::store(out + i, Isa::load_any_f16(reinterpret_cast<const std::byte*>(in + i)));
    if (i < n) {
      uint16_t rest[kLanes] = {};
      float wide[kLanes];
      for (int64_t j = i; j < n; ++j) rest[j - i] = in[j];
      Isa::store(wide, Isa::load_any_f16(reinterpret_cast<const std::byte*>(rest)));
      for (int64_t j = i; j < n; ++j) out[j] = wide[j - i];
    }
  }
};

}  // namespace tessera

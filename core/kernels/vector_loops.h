// Owns the loops that are not matrix products (quantise, norm, activations, attention), written once over the Isa vocabulary of
// matmul_loops.h. Plain loops only: a std:: algorithm instantiated here could be shared with code for lesser machines.
#pragma once

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
    for (int v = 0; v < kVectors; ++v) Isa::store(values + v * kLanes, lanes[v]);
    for (int half = 8; half > 0; half /= 2) {
      for (int j = 0; j < half; ++j) values[j] = values[j] + values[j + half];
    }
    return values[0];
  }

  // Σ a·b of n values, n a multiple of 16.
  static float dot(const float* a, const float* b, int64_t n) {
    F32 lanes[kVectors];
    for (int v = 0; v < kVectors; ++v) lanes[v] = Isa::zero_f32();
    for (int64_t i = 0; i < n; i += 16) {
      for (int v = 0; v < kVectors; ++v) {
        const int64_t at = i + v * kLanes;
        lanes[v] = Isa::add(lanes[v], Isa::mul(Isa::load_floats(a + at), Isa::load_floats(b + at)));
      }
    }
    return sum_lanes(lanes);
  }

  static void quantize_row(const float* x, int64_t width, int8_t* codes, float* scales, int32_t* half_sums, float* scaled_sums) {
    for (int64_t b = 0; b < width / kActivationBlock; ++b, x += kActivationBlock, codes += kActivationBlock) {
      F32 largest = Isa::zero_f32();
      for (int i = 0; i < kActivationBlock; i += kLanes) largest = Isa::max(Isa::abs(Isa::load_floats(x + i)), largest);
      float each[kLanes];
      Isa::store(each, largest);
      float amax = each[0];
      for (int i = 1; i < kLanes; ++i) amax = each[i] > amax ? each[i] : amax;
      const float scale = amax / 127.0f;
      const float inverse = amax > 0.0f ? 127.0f / amax : 0.0f;
      for (int half = 0; half < 2; ++half) {
        int32_t sum = 0;
        for (int i = 16 * half; i < 16 * half + 16; ++i) {
          // The rounding magic leaves the integer in the low bits of the float.
          const auto code =
              static_cast<int8_t>(std::bit_cast<uint32_t>(x[i] * inverse + kRoundMagic) - std::bit_cast<uint32_t>(kRoundMagic));
          codes[i] = code;
          sum += code;
        }
        half_sums[2 * b + half] = sum;
      }
      scales[b] = scale;
      scaled_sums[b] = scale * static_cast<float>(half_sums[2 * b] + half_sums[2 * b + 1]);
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
    for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
  }

  static void silu_mul(float* gate, const float* up, int64_t n) {
    for (int64_t i = 0; i < n; ++i) gate[i] = silu(gate[i]) * up[i];
  }

  static void gelu_mul(float* gate, const float* up, int64_t n) {
    for (int64_t i = 0; i < n; ++i) gate[i] = gelu_tanh(gate[i]) * up[i];
  }

  static void attend(const float* query, CacheRows k, CacheRows v, int count, int head_dim, AttentionState& state) {
    float weights[kAttentionChunk];
    float maximum = state.maximum;
    for (int c = 0; c < count; ++c) {
      weights[c] = dot(query, k.data + c * k.stride, head_dim);
      maximum = weights[c] > maximum ? weights[c] : maximum;
    }
    for (int c = count; c < kAttentionChunk; ++c) weights[c] = -std::numeric_limits<float>::infinity();
    for (int c = 0; c < kAttentionChunk; ++c) weights[c] = exp_f32(weights[c] - maximum);
    const float rescale = exp_f32(state.maximum - maximum);
    F32 sums[kVectors];
    for (int j = 0; j < kVectors; ++j)
      sums[j] = Isa::add(Isa::load_floats(weights + j * kLanes), Isa::load_floats(weights + 16 + j * kLanes));
    state.sum = state.sum * rescale + sum_lanes(sums);
    state.maximum = maximum;
    for (int d = 0; d < head_dim; d += 16) {
      F32 acc[kVectors];
      for (int j = 0; j < kVectors; ++j) acc[j] = Isa::mul(Isa::load_floats(state.accumulator + d + j * kLanes), Isa::splat_f32(rescale));
      for (int c = 0; c < count; ++c) {
        const F32 weight = Isa::splat_f32(weights[c]);
        const float* row = v.data + c * v.stride + d;
        for (int j = 0; j < kVectors; ++j) acc[j] = Isa::add(acc[j], Isa::mul(weight, Isa::load_floats(row + j * kLanes)));
      }
      for (int j = 0; j < kVectors; ++j) Isa::store(state.accumulator + d + j * kLanes, acc[j]);
    }
  }

  static void widen_f16(const uint16_t* in, int64_t n, float* out) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) Isa::store(out + i, Isa::load_f16(reinterpret_cast<const std::byte*>(in + i)));
    if (i < n) {
      uint16_t rest[kLanes] = {};
      float wide[kLanes];
      for (int64_t j = i; j < n; ++j) rest[j - i] = in[j];
      Isa::store(wide, Isa::load_f16(reinterpret_cast<const std::byte*>(rest)));
      for (int64_t j = i; j < n; ++j) out[j] = wide[j - i];
    }
  }
};

}  // namespace tessera

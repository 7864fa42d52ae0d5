// Owns attention over a cache of codes, written once over the Isa vocabulary of matmul_loops.h and
//   CodePairs        two 16-bit codes per lane           load_pairs(int16_t* or int8_t*), splat_pair(int16_t*): the same two in each lane
//   dot_pairs(I32 sum, CodePairs, CodePairs)                     sum + the dot of each lane's two codes, modulo 2^32
//   store_words(F32[16 / lanes], int16_t*)               16 values rounded to codes
// Sums of codes are exact, so their order is free: what kernels.h writes down is the f32 part.
#pragma once

#include <cstring>
#include <limits>

#include "core/kernels/kernels.h"
#include "core/kernels/vector_loops.h"

namespace tessera {

template <class Isa>
struct QuantizedAttention {
  using F32 = typename Isa::F32;
  using I32 = typename Isa::I32;
  using Vector = VectorLoops<Isa>;
  static constexpr int kLanes = Isa::kRows;
  static constexpr int kPairWords = 2 * kAttentionPanel;  // codes of one pair of rows of a panel

  static float quantize_words(const float* x, int64_t n, int max_code, int16_t* codes) {
    F32 largest = Isa::splat_f32(kLeastMagnitude);
    for (int64_t i = 0; i < n; i += 16) {
#pragma GCC unroll 4
      for (int j = 0; j < 16; j += kLanes) largest = Isa::max(Isa::abs(Isa::load_floats(x + i + j)), largest);
    }
    const float amax = Isa::largest_lane(largest);
    const F32 factor = Isa::splat_f32(static_cast<float>(max_code) / amax);
    for (int64_t i = 0; i < n; i += 16) {
      F32 scaled[Vector::kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < Vector::kVectors; ++j) scaled[j] = Isa::mul(Isa::load_floats(x + i + j * kLanes), factor);
      Isa::store_words(scaled, codes + i);
    }
    return amax / static_cast<float>(max_code);
  }

  // acc[h][v] = dots of `pairs` rows of a panel: row pair k at b + k · kPairWords, the codes of a at a + h · kStride + 2k. With a fixed
  // stride the heads are offsets of one address.
  template <int kStride, class Code, int kHeads, int kWide>
  static void dot_rows(const int16_t* a, const Code* b, int pairs, I32 (&acc)[kHeads][kWide]) {
#pragma GCC unroll 4
    for (auto& row : acc) {
#pragma GCC unroll 4
      for (I32& sum : row) sum = Isa::zero_i32();
    }
    for (int k = 0; k < pairs; ++k, a += 2, b += kPairWords) {
      typename Isa::CodePairs row[kWide];
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) row[v] = Isa::load_pairs(b + 2 * v * kLanes);
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
        const auto code = Isa::splat_pair(a + h * kStride);
#pragma GCC unroll 4
        for (int v = 0; v < kWide; ++v) acc[h][v] = Isa::dot_pairs(acc[h][v], code, row[v]);
      }
    }
  }

  // scores [kHeads][kAttentionSegment] of the panels that hold [begin, end).
  template <int kHeads>
  static void score(const QuantizedQueries& queries, const QuantizedSegment& segment, int begin, int end, int head_dim, float softcap,
                    float* scores) {
    constexpr int kWide = Vector::attention_width(kHeads);
    int16_t codes[kHeads * kMaxQuantizedHeadDim];
    float scales[kHeads];
    for (int h = 0; h < kHeads; ++h) {
      std::memcpy(codes + h * kMaxQuantizedHeadDim, queries.codes + h * head_dim, 2 * head_dim);
      scales[h] = softcap > 0.0f ? queries.scales[h] : queries.scales[h] * kLog2E;
    }
    for (int c = begin / kAttentionPanel * kAttentionPanel; c < end; c += kWide * kLanes) {
      I32 acc[kHeads][kWide];
      const KeyPanel panel = key_panel(segment.keys, c, head_dim);
      const int column = c % kAttentionPanel;
      dot_rows<kMaxQuantizedHeadDim>(codes, panel.codes + 2 * column, head_dim / 2, acc);
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
        const F32 scale = Isa::splat_f32(scales[h]);
#pragma GCC unroll 4
        for (int v = 0; v < kWide; ++v) {
          const F32 key_scale = Isa::load_floats(panel.key_scales + column + v * kLanes);
          F32 score = Isa::mul(Isa::to_float(acc[h][v]), Isa::mul(scale, key_scale));
          if (softcap > 0.0f) score = Isa::mul(Vector::cap_softly(score, Isa::splat_f32(softcap)), Isa::splat_f32(kLog2E));
          Isa::store(scores + h * kAttentionSegment + c + v * kLanes,
                     Isa::add(score, Isa::load_floats(panel.value_log2 + column + v * kLanes)));
        }
      }
    }
  }

  // Codes of the weights 2^(score - maximum) of [begin, end), 0 for all others of their panels.
  static AttentionState soften(const std::byte* keys, float* scores, int begin, int end, int head_dim, int16_t* codes) {
    const int first = begin / kAttentionPanel * kAttentionPanel;
    const int last = (end + kAttentionPanel - 1) / kAttentionPanel * kAttentionPanel;
    for (int c = first; c < begin; ++c) scores[c] = -std::numeric_limits<float>::infinity();
    for (int c = end; c < last; ++c) scores[c] = -std::numeric_limits<float>::infinity();
    F32 largest = Isa::splat_f32(-std::numeric_limits<float>::infinity());
    for (int c = first; c < last; c += 16) {
#pragma GCC unroll 4
      for (int j = 0; j < 16; j += kLanes) largest = Isa::max(Isa::load_floats(scores + c + j), largest);
    }
    const float maximum = Isa::largest_lane(largest);
    const F32 all_maximum = Isa::splat_f32(maximum);
    F32 sums[Vector::kVectors];
#pragma GCC unroll 4
    for (F32& sum : sums) sum = Isa::zero_f32();
    for (int c = first; c < last; c += kAttentionPanel) {
      const float* inverses = key_panel(keys, c, head_dim).value_inverses;
      alignas(64) float seen[kAttentionPanel];
      if (c < begin || c + kAttentionPanel > end) {
        for (int i = 0; i < kAttentionPanel; ++i) seen[i] = c + i < begin || c + i >= end ? 0.0f : inverses[i];
        inverses = seen;
      }
      F32 weights[Vector::kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < Vector::kVectors; ++j) {
        weights[j] = Vector::exp2_weight(Isa::sub(Isa::load_floats(scores + c + j * kLanes), all_maximum));
        sums[j] = Isa::add(sums[j], Isa::mul(weights[j], Isa::load_floats(inverses + j * kLanes)));
      }
      Isa::store_words(weights, codes + c);
    }
    return {(maximum - static_cast<float>(kWeightBits)) * kLn2, Vector::sum_lanes(sums)};
  }

  // sums [kHeads][head_dim] = float(Σ code · value) over the panels that hold [begin, end): other positions have a code of 0.
  template <int kHeads>
  static void add_values(const int16_t* codes, const QuantizedSegment& segment, int begin, int end, int head_dim, float* sums) {
    constexpr int kWide = Vector::attention_width(kHeads);
    const int first = begin / kAttentionPanel * kAttentionPanel, pairs = (end - first + 1) / 2;
    for (int d = 0; d < head_dim; d += kWide * kLanes) {
      I32 acc[kHeads][kWide];
      const int column = d % kAttentionPanel;
      const int8_t* panel = segment.values + (d - column) * kAttentionSegment + first * kAttentionPanel + 2 * column;
      dot_rows<kAttentionSegment>(codes + first, panel, pairs, acc);
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
        for (int v = 0; v < kWide; ++v) Isa::store(sums + h * head_dim + d + v * kLanes, Isa::to_float(acc[h][v]));
      }
    }
  }

  template <int kHeads>
  static void attend_heads(const QuantizedQueries& queries, const QuantizedSegment& segment, int begin, int end, int head_dim,
                           float softcap, AttentionState* states, float* sums) {
    alignas(64) float scores[kHeads * kAttentionSegment];
    alignas(64) int16_t codes[kHeads * kAttentionSegment];
    score<kHeads>(queries, segment, begin, end, head_dim, softcap, scores);
    for (int h = 0; h < kHeads; ++h) {
      const int row = h * kAttentionSegment;
      states[h] = soften(segment.keys, scores + row, begin, end, head_dim, codes + row);
    }
    add_values<kHeads>(codes, segment, begin, end, head_dim, sums);
  }

  static void attend(const QuantizedQueries& queries, int heads, const QuantizedSegment& segment, int begin, int end, int head_dim,
                     float softcap, AttentionState* states, float* sums) {
    int h = 0;
    for (; h + 3 <= heads; h += 3)
      attend_heads<3>(queries.of(h, head_dim), segment, begin, end, head_dim, softcap, states + h, sums + h * head_dim);
    for (; h < heads; ++h)
      attend_heads<1>(queries.of(h, head_dim), segment, begin, end, head_dim, softcap, states + h, sums + h * head_dim);
  }
};

}  // namespace tessera

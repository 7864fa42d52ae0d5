// Owns attention over a cache of 16-bit codes, written once over the Isa vocabulary of matmul_loops.h and
//   CodePairs        two 16-bit codes per lane           load_pairs(int16_t*), splat_pair(int16_t*): the same two in each lane
//   dot_pairs(I32 sum, CodePairs, CodePairs)                     sum + the dot of each lane's two codes, modulo 2^32
//   round_to_words(float*, F32 factor, int16_t*)         16 values · factor, rounded to codes
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
  static constexpr int kSegmentChunks = kAttentionSegment / kAttentionChunk;
  static constexpr int kPairWords = 2 * kAttentionPanel;  // codes of one pair of rows of a panel

  static float quantize_words(const float* x, int64_t n, int max_code, int16_t* codes) {
    F32 largest = Isa::zero_f32();
    for (int64_t i = 0; i < n; i += 16) {
#pragma GCC unroll 4
      for (int j = 0; j < 16; j += kLanes) largest = Isa::max(Isa::abs(Isa::load_floats(x + i + j)), largest);
    }
    const float amax = Isa::largest_lane(largest);
    const F32 factor = Isa::splat_f32(amax > kLeastQuantized ? static_cast<float>(max_code) / amax : 0.0f);
    for (int64_t i = 0; i < n; i += 16) Isa::round_to_words(x + i, factor, codes + i);
    return amax / static_cast<float>(max_code);
  }

  // acc[h][v] = dots of `pairs` rows of a panel: row pair k at b + k · kPairWords, the codes of a at a + h · kStride + 2k. With a fixed
  // stride the heads are offsets of one address.
  template <int kStride, int kHeads, int kWide>
  static void dot_rows(const int16_t* a, const int16_t* b, int pairs, I32 (&acc)[kHeads][kWide]) {
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
  static void score(const QuantizedQueries& queries, const QuantizedSegment& segment, int begin, int end, int head_dim, float* scores) {
    constexpr int kWide = Vector::attention_width(kHeads);
    int16_t codes[kHeads * kMaxQuantizedHeadDim];
    for (int h = 0; h < kHeads; ++h) std::memcpy(codes + h * kMaxQuantizedHeadDim, queries.codes + h * head_dim, 2 * head_dim);
    for (int c = begin / kAttentionPanel * kAttentionPanel; c < end; c += kWide * kLanes) {
      I32 acc[kHeads][kWide];
      const KeyPanel panel = key_panel(segment.keys, c, head_dim);
      const int column = c % kAttentionPanel;
      dot_rows<kMaxQuantizedHeadDim, kHeads, kWide>(codes, panel.codes + 2 * column, head_dim / 2, acc);
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
        const F32 scale = Isa::splat_f32(queries.scales[h]);
#pragma GCC unroll 4
        for (int v = 0; v < kWide; ++v) {
          const F32 key_scale = Isa::load_floats(panel.key_scales + column + v * kLanes);
          Isa::store(scores + h * kAttentionSegment + c + v * kLanes, Isa::mul(Isa::to_float(acc[h][v]), Isa::mul(scale, key_scale)));
        }
      }
    }
  }

  // Scores of [begin, end) become exp_weight(score - maximum), all others of their chunks e^-87, which is nothing beside the maximum's 1
  // and less than kLeastQuantized.
  static AttentionState soften(float* scores, int begin, int end, float softcap) {
    const int first = begin / kAttentionChunk * kAttentionChunk;
    const int last = (end + kAttentionChunk - 1) / kAttentionChunk * kAttentionChunk;
    if (softcap > 0.0f) {
      const F32 cap = Isa::splat_f32(softcap);
      for (int c = begin / kAttentionPanel * kAttentionPanel; c < end; c += kLanes) {
        Isa::store(scores + c, Vector::cap_softly(Isa::load_floats(scores + c), cap));
      }
    }
    for (int c = first; c < begin; ++c) scores[c] = -std::numeric_limits<float>::infinity();
    for (int c = end; c < last; ++c) scores[c] = -std::numeric_limits<float>::infinity();
    F32 largest = Isa::splat_f32(-std::numeric_limits<float>::infinity());
    for (int c = first; c < last; c += kLanes) largest = Isa::max(Isa::load_floats(scores + c), largest);
    const float maximum = Isa::largest_lane(largest);
    const F32 all_maximum = Isa::splat_f32(maximum);
    F32 sums[Vector::kVectors];
#pragma GCC unroll 4
    for (F32& sum : sums) sum = Isa::zero_f32();
    for (int c = first; c < last; c += 16) {
#pragma GCC unroll 4
      for (int j = 0; j < Vector::kVectors; ++j) {
        const F32 weight = Vector::exp_weight(Isa::sub(Isa::load_floats(scores + c + j * kLanes), all_maximum));
        Isa::store(scores + c + j * kLanes, weight);
        sums[j] = Isa::add(sums[j], weight);
      }
    }
    return {maximum, Vector::sum_lanes(sums)};
  }

  // The codes of one chunk's weight · value_scale; returns what a code is worth. A position without weight may hold any scale.
  static float quantize_weights(const float* weights, const std::byte* keys, int first, int head_dim, int16_t* codes) {
    alignas(64) float scaled[kAttentionChunk];
#pragma GCC unroll 8
    for (int i = 0; i < kAttentionChunk; i += kLanes) {
      const float* scales = key_panel(keys, first + i, head_dim).value_scales + i % kAttentionPanel;
      const F32 weight = Isa::load_floats(weights + first + i);
      const F32 product = Isa::mul(weight, Isa::load_floats(scales));
      Isa::store(scaled + i, Isa::zero_unless_at_least(weight, Isa::splat_f32(kLeastQuantized), product));
    }
    return quantize_words(scaled, kAttentionChunk, kMaxValueCode, codes + first);
  }

  // sums [kHeads][head_dim] = Σ over the chunks that hold [begin, end), one chunk after another, of factor · float(Σ code · value).
  template <int kHeads>
  static void add_values(const int16_t* codes, const float* factors, const QuantizedSegment& segment, int begin, int end, int head_dim,
                         float* sums) {
    constexpr int kWide = Vector::attention_width(kHeads);
    for (int d = 0; d < head_dim; d += kWide * kLanes) {
      F32 total[kHeads][kWide];
#pragma GCC unroll 4
      for (auto& row : total) {
#pragma GCC unroll 4
        for (F32& sum : row) sum = Isa::zero_f32();
      }
      const int16_t* panel = segment.values + d / kAttentionPanel * kAttentionPanel * kAttentionSegment + 2 * (d % kAttentionPanel);
      for (int chunk = begin / kAttentionChunk; chunk * kAttentionChunk < end; ++chunk) {
        const int first = chunk * kAttentionChunk, positions = end - first < kAttentionChunk ? end - first : kAttentionChunk;
        I32 acc[kHeads][kWide];
        dot_rows<kAttentionSegment, kHeads, kWide>(codes + first, panel + first * kAttentionPanel, (positions + 1) / 2, acc);
#pragma GCC unroll 4
        for (int h = 0; h < kHeads; ++h) {
          const F32 factor = Isa::splat_f32(factors[h * kSegmentChunks + chunk]);
#pragma GCC unroll 4
          for (int v = 0; v < kWide; ++v) total[h][v] = Isa::add(total[h][v], Isa::mul(Isa::to_float(acc[h][v]), factor));
        }
      }
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
        for (int v = 0; v < kWide; ++v) Isa::store(sums + h * head_dim + d + v * kLanes, total[h][v]);
      }
    }
  }

  template <int kHeads>
  static void attend_heads(const QuantizedQueries& queries, const QuantizedSegment& segment, int begin, int end, int head_dim,
                           float softcap, AttentionState* states, float* sums) {
    alignas(64) float weights[kHeads * kAttentionSegment];
    alignas(64) int16_t codes[kHeads * kAttentionSegment];
    float factors[kHeads * kSegmentChunks];
    score<kHeads>(queries, segment, begin, end, head_dim, weights);
    for (int h = 0; h < kHeads; ++h) {
      float* row = weights + h * kAttentionSegment;
      states[h] = soften(row, begin, end, softcap);
      for (int chunk = begin / kAttentionChunk; chunk * kAttentionChunk < end; ++chunk) {
        factors[h * kSegmentChunks + chunk] =
            quantize_weights(row, segment.keys, chunk * kAttentionChunk, head_dim, codes + h * kAttentionSegment);
      }
    }
    add_values<kHeads>(codes, factors, segment, begin, end, head_dim, sums);
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

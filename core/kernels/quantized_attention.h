// Owns attention over a cache of codes, written once over the Isa vocabulary of matmul_loops.h and
//   CodePairs        two 16-bit codes per lane           load_pairs(int16_t* or int8_t*), splat_pair(int16_t*): the same two in each lane
//   dot_pairs(I32 sum, CodePairs, CodePairs)                     sum + the dot of each lane's two codes, modulo 2^32
//   store_words(F32[16 / lanes], int16_t*)               16 values rounded to codes
//   kKeyStreams, kValueStreams                           panels that are read side by side
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

  // Positions or columns from one stream to the next where panels are read in kStreams side by side; 0 where they are read in turn.
  template <int kStreams>
  static int apart(bool in_streams, int panels) {
    return kStreams > 1 && in_streams ? panels / kStreams * kAttentionPanel : 0;
  }

  // acc[h][s · wide + v] = dots of `pairs` rows of the panel that lies s · step codes behind b: row pair k at k · kPairWords, the codes of
  // a at a + h · kStride + 2k. With a fixed stride the heads are offsets of one address.
  template <int kStride, int kStreams, class Code, int kHeads, int kWide>
  static void dot_rows(const int16_t* a, const Code* b, int64_t step, int pairs, I32 (&acc)[kHeads][kWide]) {
    constexpr int kOwn = kWide / kStreams;
#pragma GCC unroll 4
    for (auto& row : acc) {
#pragma GCC unroll 4
      for (I32& sum : row) sum = Isa::zero_i32();
    }
    const Code* streams[kStreams];
    for (int s = 0; s < kStreams; ++s) streams[s] = b + s * step;
    for (int k = 0; k < pairs; ++k, a += 2) {
      typename Isa::CodePairs row[kWide];
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) row[v] = Isa::load_pairs(streams[v / kOwn] + 2 * (v % kOwn) * kLanes);
#pragma GCC unroll 4
      for (const Code*& stream : streams) stream += kPairWords;
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
        const auto code = Isa::splat_pair(a + h * kStride);
#pragma GCC unroll 4
        for (int v = 0; v < kWide; ++v) acc[h][v] = Isa::dot_pairs(acc[h][v], code, row[v]);
      }
    }
  }

  // Queries of some heads where dot_rows wants them, and what their codes are worth in a score.
  template <int kHeads>
  struct ScoreQueries {
    int16_t codes[kHeads * kMaxQuantizedHeadDim];
    float scales[kHeads];
    int head_dim;
    float softcap;
    ScoreQueries(const QuantizedQueries& queries, int head_dim, float softcap) : head_dim(head_dim), softcap(softcap) {
      for (int h = 0; h < kHeads; ++h) {
        std::memcpy(codes + h * kMaxQuantizedHeadDim, queries.codes + h * head_dim, 2 * head_dim);
        scales[h] = softcap > 0.0f ? queries.scales[h] : queries.scales[h] * kLog2E;
      }
    }
  };

  // scores [kHeads][kAttentionSegment] of the positions [first, end) and of as many that lie s · (end - first) behind them, whole panels.
  template <int kStreams, int kHeads>
  static void score_panels(const ScoreQueries<kHeads>& queries, const std::byte* keys, int first, int end, float* scores) {
    constexpr int kOwn = Vector::attention_width(kHeads * kStreams);
    const int distance = end - first, head_dim = queries.head_dim;
    const int64_t step = distance / kAttentionPanel * key_panel_bytes(head_dim) / static_cast<int>(sizeof(int16_t));
    for (int c = first; c < end; c += kOwn * kLanes) {
      I32 acc[kHeads][kStreams * kOwn];
      const int column = c % kAttentionPanel;
      dot_rows<kMaxQuantizedHeadDim, kStreams>(queries.codes, key_panel(keys, c, head_dim).codes + 2 * column, step, head_dim / 2, acc);
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
        const F32 scale = Isa::splat_f32(queries.scales[h]);
#pragma GCC unroll 4
        for (int v = 0; v < kStreams * kOwn; ++v) {
          const int position = c + v / kOwn * distance, lane = v % kOwn * kLanes;
          const KeyPanel panel = key_panel(keys, position, head_dim);
          const F32 key_scale = Isa::load_floats(panel.key_scales + column + lane);
          F32 score = Isa::mul(Isa::to_float(acc[h][v]), Isa::mul(scale, key_scale));
          if (queries.softcap > 0.0f) {
            score = Isa::mul(Vector::cap_softly(score, Isa::splat_f32(queries.softcap)), Isa::splat_f32(kLog2E));
          }
          Isa::store(scores + h * kAttentionSegment + position + lane, Isa::add(score, Isa::load_floats(panel.value_log2 + column + lane)));
        }
      }
    }
  }

  // scores [kHeads][kAttentionSegment] of the panels that hold [begin, end): in streams, and those that are left over.
  template <int kHeads>
  static void score(const QuantizedQueries& queries, const QuantizedSegment& segment, int begin, int end, int head_dim, float softcap,
                    float* scores) {
    const ScoreQueries<kHeads> own(queries, head_dim, softcap);
    const int first = begin / kAttentionPanel * kAttentionPanel, panels = (end - first + kAttentionPanel - 1) / kAttentionPanel;
    constexpr int kStreams = Isa::kKeyStreams;
    const int step = apart<kStreams>(segment.in_streams, panels);
    if constexpr (kStreams > 1) score_panels<kStreams>(own, segment.keys, first, first + step, scores);
    score_panels<1>(own, segment.keys, first + kStreams * step, first + panels * kAttentionPanel, scores);
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

  // sums [kHeads][head_dim] = float(Σ code · value) for the columns [first, end) and those that lie s · (end - first) behind them, whole
  // panels, over `pairs` pairs of positions.
  template <int kStreams, int kHeads>
  static void add_panels(const int16_t* codes, const int8_t* values, int pairs, int first, int end, int head_dim, float* sums) {
    constexpr int kOwn = Vector::attention_width(kHeads * kStreams);
    const int distance = end - first;
    for (int d = first; d < end; d += kOwn * kLanes) {
      I32 acc[kHeads][kStreams * kOwn];
      const int column = d % kAttentionPanel;
      dot_rows<kAttentionSegment, kStreams>(codes, values + (d - column) * kAttentionSegment + 2 * column, distance * kAttentionSegment,
                                            pairs, acc);
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
        for (int v = 0; v < kStreams * kOwn; ++v) {
          Isa::store(sums + h * head_dim + d + v / kOwn * distance + v % kOwn * kLanes, Isa::to_float(acc[h][v]));
        }
      }
    }
  }

  // sums [kHeads][head_dim] over the panels that hold [begin, end): other positions have a code of 0.
  template <int kHeads>
  static void add_values(const int16_t* codes, const QuantizedSegment& segment, int begin, int end, int head_dim, float* sums) {
    const int first = begin / kAttentionPanel * kAttentionPanel, pairs = (end - first + 1) / 2;
    const int8_t* values = segment.values + first * kAttentionPanel;
    constexpr int kStreams = Isa::kValueStreams;
    const int step = apart<kStreams>(segment.in_streams, head_dim / kAttentionPanel);
    if constexpr (kStreams > 1) add_panels<kStreams, kHeads>(codes + first, values, pairs, 0, step, head_dim, sums);
    add_panels<1, kHeads>(codes + first, values, pairs, kStreams * step, head_dim, head_dim, sums);
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

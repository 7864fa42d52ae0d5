// Owns attention over a cache of codes, written once over the Isa vocabulary of matmul_loops.h and
//   CodePairs        two 16-bit codes per lane           load_pairs(int16_t*), splat_pair(int16_t*): the same two in each lane
//   dot_pairs(I32 sum, CodePairs, CodePairs)                     sum + the dot of each lane's two codes, modulo 2^32
//   kPairCopies      how often in turn a query keeps a pair for splat_pair; keep_pairs(int16_t*, int pairs, int16_t*) writes them
//   store_words(F32[16 / lanes], int16_t*)               16 values rounded to codes
//   ValueDots        what KeyDots below are, for four codes of V in a lane; keep(F32[16 / lanes], Query*) makes what it keeps of 16
//                    weights, rounded
//   kKeyStreams, kValueStreams                           panels that are read side by side
//   kFetchAhead                                          bytes from what is read to what is asked for early; 0: left to the hardware
// Sums of codes are exact, so their order is free: what kernels.h writes down is the f32 part.
#pragma once

#include <limits>

#include "core/kernels/kernels.h"
#include "core/kernels/vector_loops.h"

namespace tessera {

/// The dots of keys and queries: `Code`s of the cache, kLaneCodes in each lane of a row, times what is kept for the row, kRowCodes of
/// `Query`. That is loaded and added in kParts; total() makes an I32 of a sum. So many sums, kMostSums, stay in registers.
template <class Isa>
struct KeyDots {
  using Code = int16_t;
  using Query = int16_t;
  using Sum = typename Isa::I32;
  static constexpr int kLaneCodes = 2, kRowCodes = 2 * Isa::kPairCopies, kParts = 1, kMostSums = Isa::kAttentionRegisters;
  static auto load(const Code* at) { return Isa::load_pairs(at); }
  static auto load_query(const Query* at, int) { return Isa::splat_pair(at); }
  static Sum zero() { return Isa::zero_i32(); }
  static void add(Sum& sum, typename Isa::CodePairs query, typename Isa::CodePairs codes, int) { sum = Isa::dot_pairs(sum, query, codes); }
  static Sum total(Sum sum) { return sum; }
};

template <class Isa>
struct QuantizedAttention {
  using F32 = typename Isa::F32;
  using I32 = typename Isa::I32;
  using Vector = VectorLoops<Isa>;
  static constexpr int kLanes = Isa::kRows;
  using Keys = KeyDots<Isa>;
  using Values = typename Isa::ValueDots;
  // What is kept of the weights of a panel and of a segment of positions.
  static constexpr int kPanelWeights = kAttentionPanel / Values::kLaneCodes * Values::kRowCodes;
  static constexpr int kSegmentWeights = kAttentionSegment / kAttentionPanel * kPanelWeights;
  static constexpr int kMostQueryCodes = kMaxQuantizedHeadDim / Keys::kLaneCodes * Keys::kRowCodes;

  // Asks for a line of memory, which may lie behind the cache's end.
  static void fetch(uintptr_t address) { __builtin_prefetch(reinterpret_cast<const void*>(address)); }

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

  // acc[h][s · wide + v] = dots of `rows` rows of the panel that lies s · step codes behind b; of row k what is kept at a + h · kStride.
  // With a fixed stride the heads are offsets of one address.
  template <class Dots, int kStride, int kStreams, int kHeads, int kWide>
  static void dot_rows(const typename Dots::Query* a, const typename Dots::Code* b, int64_t step, int rows, I32 (&acc)[kHeads][kWide]) {
    constexpr int kOwn = kWide / kStreams;
    typename Dots::Sum sums[kHeads][kWide];
#pragma GCC unroll 4
    for (auto& row : sums) {
#pragma GCC unroll 4
      for (auto& sum : row) sum = Dots::zero();
    }
    const typename Dots::Code* streams[kStreams];
    for (int s = 0; s < kStreams; ++s) streams[s] = b + s * step;
    for (int k = 0; k < rows; ++k, a += Dots::kRowCodes) {
      decltype(Dots::load(b)) row[kWide];
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) row[v] = Dots::load(streams[v / kOwn] + Dots::kLaneCodes * (v % kOwn) * kLanes);
#pragma GCC unroll 4
      for (auto& stream : streams) {
        if constexpr (Isa::kFetchAhead > 0) fetch(reinterpret_cast<uintptr_t>(stream) + Isa::kFetchAhead);
        stream += Dots::kLaneCodes * kAttentionPanel;
      }
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 2
        for (int part = 0; part < Dots::kParts; ++part) {
          const auto query = Dots::load_query(a + h * kStride, part);
#pragma GCC unroll 4
          for (int v = 0; v < kWide; ++v) Dots::add(sums[h][v], query, row[v], part);
        }
      }
    }
#pragma GCC unroll 4
    for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) acc[h][v] = Dots::total(sums[h][v]);
    }
  }

  // Queries of some heads where dot_rows wants them, and what their codes are worth in a score.
  template <int kHeads>
  struct ScoreQueries {
    alignas(16) typename Keys::Query codes[kHeads * kMostQueryCodes];
    float scales[kHeads];
    int head_dim;
    float softcap;
    ScoreQueries(const QuantizedQueries& queries, int head_dim, float softcap) : head_dim(head_dim), softcap(softcap) {
      for (int h = 0; h < kHeads; ++h) {
        Isa::keep_pairs(queries.codes + h * head_dim, head_dim / 2, codes + h * kMostQueryCodes);
        scales[h] = softcap > 0.0f ? queries.scales[h] : queries.scales[h] * kLog2E;
      }
    }
  };

  // scores [kHeads][kAttentionSegment] of the positions [first, end) and of as many that lie s · (end - first) behind them, whole panels.
  template <int kStreams, int kHeads>
  static void score_panels(const ScoreQueries<kHeads>& queries, const std::byte* keys, int first, int end, float* scores) {
    constexpr int kOwn = Vector::attention_width(kHeads * kStreams, Keys::kMostSums);
    const int distance = end - first, head_dim = queries.head_dim;
    const int64_t step = distance / kAttentionPanel * key_panel_bytes(head_dim) / static_cast<int>(sizeof(int16_t));
    for (int c = first; c < end; c += kOwn * kLanes) {
      I32 acc[kHeads][kStreams * kOwn];
      const int column = c % kAttentionPanel;
      dot_rows<Keys, kMostQueryCodes, kStreams>(queries.codes, key_panel(keys, c, head_dim).codes + Keys::kLaneCodes * column, step,
                                                head_dim / Keys::kLaneCodes, acc);
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

  // What is kept of the weights 2^(score - maximum) of [begin, end), 0 for all others of their panels.
  static AttentionState soften(const std::byte* keys, float* scores, int begin, int end, int head_dim, typename Values::Query* kept) {
    const int first = begin / kAttentionPanel * kAttentionPanel;
    const int last = (end + kAttentionPanel - 1) / kAttentionPanel * kAttentionPanel;
    for (int c = first; c < begin; ++c) scores[c] = -std::numeric_limits<float>::infinity();
    for (int c = end; c < last; ++c) scores[c] = -std::numeric_limits<float>::infinity();
    // In several registers: one would wait for itself at each step.
    F32 largest[Vector::kVectors];
#pragma GCC unroll 4
    for (F32& lanes : largest) lanes = Isa::splat_f32(-std::numeric_limits<float>::infinity());
    for (int c = first; c < last; c += kAttentionPanel) {
#pragma GCC unroll 4
      for (int j = 0; j < Vector::kVectors; ++j) largest[j] = Isa::max(Isa::load_floats(scores + c + j * kLanes), largest[j]);
    }
#pragma GCC unroll 4
    for (int j = 1; j < Vector::kVectors; ++j) largest[0] = Isa::max(largest[j], largest[0]);
    const float maximum = Isa::largest_lane(largest[0]);
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
      Values::keep(weights, kept + c / kAttentionPanel * kPanelWeights);
    }
    return {(maximum - static_cast<float>(kWeightBits)) * kLn2, Vector::sum_lanes(sums)};
  }

  // sums [kHeads][head_dim] = float(Σ weight · value) for the columns [first, end) and those that lie s · (end - first) behind them, whole
  // panels, over `rows` rows of positions.
  template <int kStreams, int kHeads>
  static void add_panels(const typename Values::Query* weights, const int8_t* values, int rows, int first, int end, int head_dim,
                         float* sums) {
    constexpr int kOwn = Vector::attention_width(kHeads * kStreams, Values::kMostSums);
    const int distance = end - first;
    for (int d = first; d < end; d += kOwn * kLanes) {
      I32 acc[kHeads][kStreams * kOwn];
      const int column = d % kAttentionPanel;
      dot_rows<Values, kSegmentWeights, kStreams>(weights, values + (d - column) * kAttentionSegment + Values::kLaneCodes * column,
                                                  distance * kAttentionSegment, rows, acc);
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
        for (int v = 0; v < kStreams * kOwn; ++v) {
          Isa::store(sums + h * head_dim + d + v / kOwn * distance + v % kOwn * kLanes, Isa::to_float(acc[h][v]));
        }
      }
    }
  }

  // sums [kHeads][head_dim] over the panels that hold [begin, end): other positions have a weight of 0.
  template <int kHeads>
  static void add_values(const typename Values::Query* weights, const QuantizedSegment& segment, int begin, int end, int head_dim,
                         float* sums) {
    const int panel = begin / kAttentionPanel, first = panel * kAttentionPanel;
    const int rows = (end - first + Values::kLaneCodes - 1) / Values::kLaneCodes;
    weights += panel * kPanelWeights;
    const int8_t* values = segment.values + first * kAttentionPanel;
    constexpr int kStreams = Isa::kValueStreams;
    const int step = apart<kStreams>(segment.in_streams, head_dim / kAttentionPanel);
    if constexpr (kStreams > 1) add_panels<kStreams, kHeads>(weights, values, rows, 0, step, head_dim, sums);
    add_panels<1, kHeads>(weights, values, rows, kStreams * step, head_dim, head_dim, sums);
  }

  template <int kHeads>
  static void attend_heads(const QuantizedQueries& queries, const QuantizedSegment& segment, int begin, int end, int head_dim,
                           float softcap, AttentionState* states, float* sums) {
    alignas(64) float scores[kHeads * kAttentionSegment];
    alignas(64) typename Values::Query weights[kHeads * kSegmentWeights];
    score<kHeads>(queries, segment, begin, end, head_dim, softcap, scores);
    for (int h = 0; h < kHeads; ++h) {
      states[h] = soften(segment.keys, scores + h * kAttentionSegment, begin, end, head_dim, weights + h * kSegmentWeights);
    }
    add_values<kHeads>(weights, segment, begin, end, head_dim, sums);
  }

  static void attend(const QuantizedQueries& queries, int heads, const QuantizedSegment& segment, int begin, int end, int head_dim,
                     float softcap, AttentionState* states, float* sums) {
    // As many heads at a time as registers allow, since they share what is read: threes where these leave none behind, else fours first.
    const auto take = [&]<int kHeads>(int h) {
      attend_heads<kHeads>(queries.of(h, head_dim), segment, begin, end, head_dim, softcap, states + h, sums + h * head_dim);
      return kHeads;
    };
    for (int h = 0; h < heads;) {
      const int left = heads - h;
      if (left % 3 == 0) {
        h += take.template operator()<3>(h);
      } else if (left >= 4) {
        h += take.template operator()<4>(h);
      } else if (left == 2) {
        h += take.template operator()<2>(h);
      } else {
        h += take.template operator()<1>(h);
      }
    }
  }
};

}  // namespace tessera

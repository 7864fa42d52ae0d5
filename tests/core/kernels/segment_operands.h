// Owns random operands of attention over codes, and what attention is in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/rng.h"
#include "core/kernels/kernels.h"

namespace tessera {

struct SegmentRange {
  int begin, end;
};

struct SegmentOperands {
  int head_dim;
  std::vector<int16_t> queries;
  std::vector<int8_t> values;
  std::vector<float> query_scales, keys;  // keys: panels as floats

  QuantizedQueries queries_view() const { return {queries.data(), query_scales.data()}; }
  QuantizedSegment view() const { return {reinterpret_cast<const std::byte*>(keys.data()), values.data()}; }
  KeyPanel<std::byte> panel(int position) { return key_panel(reinterpret_cast<std::byte*>(keys.data()), position, head_dim); }
  float& key_scale(int position) { return panel(position).key_scales[position % 16]; }
  void set_value_scale(int position, float scale) {
    panel(position).value_log2[position % 16] = std::log2(scale);
    panel(position).value_inverses[position % 16] = 1.0f / scale;
  }
  double value_scale(int position) { return std::exp2(static_cast<double>(panel(position).value_log2[position % 16])); }
  int16_t& key(int position, int d) { return panel(position).codes[d / 2 * 32 + position % 16 * 2 + d % 2]; }
  int8_t& value(int position, int d) { return values[(d / 16 * (kAttentionSegment / 4) + position / 4) * 64 + d % 16 * 4 + position % 4]; }

  // Nothing may come from a position that is not asked for.
  void spoil_outside(SegmentRange range) {
    for (int c = 0; c < kAttentionSegment; ++c) {
      if (c >= range.begin && c < range.end) continue;
      key_scale(c) = NAN;
      set_value_scale(c, NAN);
      for (int d = 0; d < head_dim; ++d) {
        key(c, d) = -32768;
        value(c, d) = -128;
      }
    }
  }

  std::vector<double> attend_plainly(int head, SegmentRange range, double softcap) {
    std::vector<double> weights, out(head_dim);
    double largest = -INFINITY, sum = 0;
    for (int c = range.begin; c < range.end; ++c) {
      double score = 0;
      for (int d = 0; d < head_dim; ++d) score += static_cast<double>(queries[head * head_dim + d]) * key(c, d);
      score *= static_cast<double>(query_scales[head]) * key_scale(c);
      if (softcap > 0) score = softcap * std::tanh(score / softcap);
      weights.push_back(score);
      largest = std::max(largest, score);
    }
    for (double& weight : weights) sum += weight = std::exp(weight - largest);
    for (int c = range.begin; c < range.end; ++c) {
      for (int d = 0; d < head_dim; ++d) out[d] += weights[c - range.begin] / sum * value(c, d) * value_scale(c);
    }
    return out;
  }
};

/// Scores between about -10 and 10, values between -1 and 1.
inline SegmentOperands random_segment(Rng& rng, int heads, int head_dim) {
  SegmentOperands in;
  in.head_dim = head_dim;
  in.keys.resize(kAttentionSegment / 16 * key_panel_bytes(head_dim) / 4);
  const int limit = max_score_code(head_dim);
  const auto code = [&](int most) { return static_cast<int16_t>(std::lround((rng.uniform() * 2.0f - 1.0f) * static_cast<float>(most))); };
  for (int i = 0; i < heads * head_dim; ++i) in.queries.push_back(code(limit));
  for (int i = 0; i < kAttentionSegment * head_dim; ++i) in.values.push_back(static_cast<int8_t>(code(kMaxValueCode)));
  const float unit = 1.0f / static_cast<float>(limit);
  for (int h = 0; h < heads; ++h) in.query_scales.push_back(unit * (0.5f + rng.uniform()));
  for (int c = 0; c < kAttentionSegment; ++c) {
    in.key_scale(c) = unit * 2.0f * rng.uniform();
    in.set_value_scale(c, (0.1f + 0.9f * rng.uniform()) / static_cast<float>(kMaxValueCode));
    for (int d = 0; d < head_dim; ++d) in.key(c, d) = code(limit);
  }
  return in;
}

}  // namespace tessera

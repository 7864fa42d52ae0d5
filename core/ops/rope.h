// Owns rotary position embedding (Su et al. 2021).
#pragma once

#include <cstdint>

namespace tessera {

/// How positions turn a head's values.
struct RopeConfig {
  int dims = 0;               ///< leading values of each head that are turned; even
  double base = 10000.0;      ///< rope.freq_base
  double scale = 1.0;         ///< factor of every position: 1 / rope.scaling.factor for linear scaling
  bool split_halves = false;  ///< pairs are (i, i + dims/2) as in GPT-NeoX instead of (2i, 2i + 1)
};

/// The angles' cosines and sines of `tokens` positions from `first`: cosines [tokens][dims/2], sines [tokens][dims/2].
void rope_table(const RopeConfig& config, int first, int tokens, float* cosines, float* sines);

/// Turns `heads` heads of head_dim values of one token in place and multiplies every value by `scale`.
/// cosines and sines are that token's rows [dims/2] of the table.
void rope_apply(const RopeConfig& config, const float* cosines, const float* sines, int heads, int head_dim, float scale, float* x);

}  // namespace tessera

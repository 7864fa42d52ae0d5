// Owns rotary position embedding (Su et al. 2021) and its stretched forms: linear, YaRN, a factor for each frequency.
#pragma once

#include <cstdint>

namespace tessera {

/// How positions turn a head's values.
struct RopeConfig {
  int dims = 0;               ///< leading values of each head that are turned; even
  double base = 10000.0;      ///< rope.freq_base
  double scale = 1.0;         ///< factor of every position: 1 / rope.scaling.factor for linear scaling and YaRN
  double magnitude = 1.0;     ///< factor of cosines and sines: YaRN's and LongRoPE's attention factor
  bool divided = true;        ///< the model's divisors, where it has any, are for this rope, too
  bool split_halves = false;  ///< pairs are (i, i + dims/2) as in GPT-NeoX instead of (2i, 2i + 1)
  /// YaRN (Peng et al. 2023): pairs up to ramp_low keep their frequency, from ramp_high on they have it times `scale`, between them a
  /// mixture. Without YaRN all pairs have it times `scale`.
  bool yarn = false;
  double ramp_low = 0.0;
  double ramp_high = 0.0;
  bool whole_ramp = true;  ///< the ramp's ends are rounded outwards to whole pairs (gpt-oss: they are not)

  /// Makes this YaRN for a model whose rope was first trained on `original_context` positions; dims, base and scale are set.
  /// A pair that turns more than `beta_fast` times within them keeps its frequency, one that turns less than `beta_slow` is stretched.
  void set_yarn(double original_context, double beta_fast, double beta_slow);
};

/// The angles' cosines and sines of `tokens` positions from `first`: cosines [tokens][dims/2], sines [tokens][dims/2].
/// `divisors` [dims/2] divide the frequencies one by one (Llama 3.1's rope_freqs, LongRoPE); nullptr = all 1.
void rope_table(const RopeConfig& config, const float* divisors, int first, int tokens, float* cosines, float* sines);

/// Turns `heads` heads of head_dim values of one token in place and multiplies every value by `scale`.
/// cosines and sines are that token's rows [dims/2] of the table.
void rope_apply(const RopeConfig& config, const float* cosines, const float* sines, int heads, int head_dim, float scale, float* x);

}  // namespace tessera

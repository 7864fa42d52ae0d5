// OLMo 2 and 3: norms behind the blocks instead of before them, and over q and k as a whole; OLMo 3 has windows on three layers of four.
#include <cmath>

#include "core/model/architectures/architectures.h"

namespace tessera {

// rope.scaling.attn_factor comes on top of YaRN's own factor, but converters of 2025 wrote transformers' attention_factor there: the whole.
static void read_attention_factor(ConfigReader& in, Config& config) {
  const double given = in.number_or("rope.scaling.attn_factor", 1.0), own = config.rope.magnitude / given;
  constexpr double kRounded = 1e-4;
  if (std::abs(given - own) < kRounded) {
    config.rope.magnitude = own;
  } else if (std::abs(given - 1.0) > kRounded) {
    in.refuse("an attention factor of olmo2 that is not YaRN's own");
  }
}

void read_olmo2(ConfigReader& in, Config& config) {
  config.rope.split_halves = true;
  config.pre_norms = false;
  config.post_norms = true;
  config.qk_norm = QkNorm::kWidth;
  read_attention_factor(in, config);
  config.window = in.count_or_none("attention.sliding_window", 1 << 26);
  if (config.window == 0) return;
  config.window_pattern = in.window_pattern(config.layers, 4);
  // Only the global layers are stretched.
  config.rope_local = {.dims = config.rope.dims, .base = in.number_or("rope.freq_base_swa", config.rope.base), .split_halves = true};
  if (in.file().find_tensor("rope_freqs.weight") != nullptr) in.refuse("rope divisors beside the sliding windows of olmo2");
}

}  // namespace tessera

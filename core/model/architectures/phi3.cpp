// Phi-3 and Phi-4: q, k, v in one tensor, gate and up in another; LongRoPE factors; a window on every layer where the file has one.
#include "core/model/architectures/architectures.h"

namespace tessera {

void read_phi3(ConfigReader& in, Config& config) {
  config.fused_projections = true;
  config.rope.split_halves = true;
  if (in.file().find_tensor("rope_factors_long.weight") != nullptr) {
    config.original_context = in.count("rope.scaling.original_context_length", 1 << 26);
  }
  config.window = in.count_or_none("attention.sliding_window", 1 << 26);
  if (config.window > 0) config.window_pattern = in.window_pattern(config.layers, 0);
}

}  // namespace tessera

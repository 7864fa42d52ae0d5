// EXAONE 4: norms behind the blocks and on the heads of q and k; the larger model has windows on three layers of four, and rope only there.
#include "core/model/architectures/architectures.h"

namespace tessera {

void read_exaone4(ConfigReader& in, Config& config) {
  config.rope.split_halves = true;
  config.pre_norms = false;
  config.post_norms = true;
  config.qk_norm = QkNorm::kHead;
  config.window = in.count_or_none("attention.sliding_window", 1 << 26);
  if (config.window == 0) return;
  config.window_pattern = config.rope_free_period = in.window_pattern(config.layers, 4);
}

}  // namespace tessera

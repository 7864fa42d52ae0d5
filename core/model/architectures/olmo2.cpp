// OLMo 2: norms behind the blocks instead of before them, and over q and k as a whole.
#include "core/model/architectures/architectures.h"

namespace tessera {

void read_olmo2(ConfigReader& in, Config& config) {
  config.rope.split_halves = true;
  config.pre_norms = false;
  config.post_norms = true;
  config.qk_norm = QkNorm::kWidth;
  if (in.count_or_none("attention.sliding_window", 1 << 26) > 0) in.refuse("OLMo 3's sliding windows");
}

}  // namespace tessera

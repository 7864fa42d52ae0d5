// LFM2 and LFM2.5: gated short convolutions in most layers; norms on the heads of q and k where there is attention.
#include "core/model/architectures/architectures.h"

namespace tessera {

void read_lfm2(ConfigReader& in, Config& config) {
  config.rope.split_halves = true;
  config.qk_norm = QkNorm::kHead;
  config.conv_length = in.count("shortconv.l_cache", 256);
  config.output_norm = "token_embd_norm.weight";
  if (in.count_or_none("attention.sliding_window", 1 << 26) > 0) in.refuse("sliding windows in the architecture lfm2");
}

}  // namespace tessera

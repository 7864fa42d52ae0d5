// Qwen 2 and 3: rope pairs in split halves; a bias on q, k, v (2) or norms on their heads (3).
#include "core/model/architectures/architectures.h"

namespace tessera {

void read_qwen2(ConfigReader&, Config& config) {
  config.rope.split_halves = true;
  config.qkv_bias = true;
}

// The chosen experts keep their probabilities among all experts unless the file says otherwise (norm_topk_prob); one more expert sees every
// token through a gate.
void read_qwen2_moe(ConfigReader& in, Config& config) {
  read_qwen2(in, config);
  read_experts(in, config);
  config.experts.shared_width = in.count("expert_shared_feed_forward_length", 1 << 20);
  config.experts.shared_gate = true;
  config.experts.renormalize = in.flag_or("expert_weights_norm", false);
}

void read_qwen3(ConfigReader&, Config& config) {
  config.rope.split_halves = true;
  config.qk_norm = QkNorm::kHead;
}

void read_qwen3_moe(ConfigReader& in, Config& config) {
  read_qwen3(in, config);
  read_experts(in, config);
  config.experts.renormalize = true;
}

}  // namespace tessera

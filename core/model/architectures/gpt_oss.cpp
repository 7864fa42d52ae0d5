// gpt-oss: a mixture of experts with biases everywhere, attention sinks, a window on every other layer, YaRN.
#include "core/model/architectures/architectures.h"

namespace tessera {

void read_gpt_oss(ConfigReader& in, Config& config) {
  config.rope.split_halves = true;
  // The checkpoints' config.json says "truncate": false, for which GGUF has no key.
  config.rope.whole_ramp = false;
  config.qkv_bias = true;
  config.attention_sinks = true;
  config.window = in.count("attention.sliding_window", 1 << 26);
  config.window_pattern = in.window_pattern(config.layers, 2);
  config.ffn_norm = "post_attention_norm";
  config.activation = Activation::kClampedSwiglu;
  read_experts(in, config);
  // The softmax over the chosen experts' logits alone is theirs among all experts, divided by their sum.
  config.experts.renormalize = true;
  config.experts.biases = true;
  for (const char* key : {"swiglu_clamp_exp", "expert_gating_func", "expert_weights_scale"}) {
    if (in.has(key)) in.refuse("gpt-oss with the key gpt-oss." + std::string(key));
  }
}

}  // namespace tessera

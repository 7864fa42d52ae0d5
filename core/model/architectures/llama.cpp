// Llama and what is built on it: adjacent rope pairs, no norms but the two before the blocks.
#include "core/model/architectures/architectures.h"

namespace tessera {

// Llama 1 to 3, Mistral (a window on every layer), Mixtral (experts whose probabilities add up to 1 again).
void read_llama(ConfigReader& in, Config& config) {
  config.window = in.count_or_none("attention.sliding_window", 1 << 26);
  if (config.window > 0) config.window_pattern = in.window_pattern(config.layers, 0);
  if (in.count_or_none("expert_count", 4096) == 0) return;
  read_experts(in, config);
  config.experts.renormalize = true;
}

// Arcee: a feed-forward without a gate.
void read_arcee(ConfigReader&, Config& config) { config.activation = Activation::kSquaredRelu; }

// Ministral 3: queries grow with the position, in steps as long as the context that rope was first trained on.
void read_mistral3(ConfigReader& in, Config& config) {
  config.temperature_scale = static_cast<float>(in.number_or_none("attention.temperature_scale"));
  if (config.temperature_scale > 0) config.temperature_length = in.count("rope.scaling.original_context_length", 1 << 26);
}

void read_smollm3(ConfigReader&, Config& config) { config.rope_free_period = 4; }

// ERNIE 4.5, dense: its checkpoints have adjacent pairs, so converters leave the rows of q and k as they are.
void read_ernie4_5(ConfigReader&, Config&) {}

void read_granite(ConfigReader& in, Config& config) {
  const auto scale = [&](const char* key) {  // absent or 0: not scaled
    const double found = in.number_or_none(key);
    return found > 0 ? found : 1.0;
  };
  config.embedding_scale = static_cast<float>(scale("embedding_scale"));
  config.residual_scale = static_cast<float>(scale("residual_scale"));
  config.logit_scale = static_cast<float>(1.0 / scale("logit_scale"));
}

void read_granite_moe(ConfigReader& in, Config& config) {
  read_granite(in, config);
  read_experts(in, config);
  config.experts.renormalize = true;
  config.experts.shared_width = in.count_or_none("expert_shared_feed_forward_length", 1 << 20);
}

}  // namespace tessera

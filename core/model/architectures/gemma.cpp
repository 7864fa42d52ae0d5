// Gemma 1 to 3: scaled embeddings, tanh-GELU, rope pairs in split halves. Norm weights are stored with 1 added.
#include <cmath>

#include "core/model/architectures/architectures.h"

namespace tessera {

void read_gemma(ConfigReader&, Config& config) {
  config.activation = Activation::kGelu;
  config.embedding_scale = std::sqrt(static_cast<float>(config.width));
  config.rope.split_halves = true;
  config.rope.dims = config.head_dim;
}

// Scores by the width per head instead of the head's length: query_pre_attn_scalar of the 27B models (Gemma 2 and 3 reports).
static void scale_by_width(Config& config) {
  config.attention_scale = 1.0f / std::sqrt(static_cast<float>(config.width) / static_cast<float>(config.heads));
}

// 0 is none, absent is the family's.
static float softcap_or(ConfigReader& in, const std::string& key, float fallback) {
  return in.has(key) ? static_cast<float>(in.number_or_none(key)) : fallback;
}

void read_gemma2(ConfigReader& in, Config& config) {
  read_gemma(in, config);
  config.post_norms = true;
  config.window = in.count_or("attention.sliding_window", 1 << 26, 4096);
  config.window_pattern = in.window_pattern(config.layers, 2);
  config.attention_softcap = softcap_or(in, "attn_logit_softcapping", 50.0f);
  config.logit_softcap = softcap_or(in, "final_logit_softcapping", 30.0f);
  if (config.layers == 46) scale_by_width(config);
}

void read_gemma3(ConfigReader& in, Config& config) {
  read_gemma(in, config);
  config.post_norms = true;
  config.qk_norm = QkNorm::kHead;
  config.window = in.count("attention.sliding_window", 1 << 26);
  config.window_pattern = in.window_pattern(config.layers, 6);
  config.rope_local = {.dims = config.head_dim,
                       .base = in.number_or("rope.freq_base_swa", 10000.0),
                       .magnitude = in.number_or("rope.scaling.attn_factor", 1.0),
                       .split_halves = true};
  config.logit_softcap = static_cast<float>(in.number_or_none("final_logit_softcapping"));
  if (config.layers == 62) scale_by_width(config);
}

}  // namespace tessera

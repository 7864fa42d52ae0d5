// Gemma 4 without experts: window and global layers with heads, KV heads and rope of their own; scores are not scaled, v is normed without
// weights, each layer scales what leaves it. E2B and E4B: each layer hears of each token once more, and the last layers attend to K and V
// of earlier ones. Norm weights are stored as they are. Global layers turn a part of each head: rope_freqs divides the other frequencies by
// 1e30.
#include <cmath>

#include "core/model/architectures/architectures.h"

namespace tessera {

constexpr int64_t kMaxRow = 1 << 24;  // values of a row of per_layer_token_embd

static void read_shared_kv(ConfigReader& in, Config& config) {
  config.shared_kv_layers = in.count_or_none("attention.shared_kv_layers", config.layers - 1);
  for (int layer = config.layers - config.shared_kv_layers; in.result() && layer < config.layers; ++layer) {
    const int source = config.kv_layer(layer);
    if (config.is_local(source) == config.is_local(layer) && config.kv_width(source) == config.kv_width(layer)) continue;
    in.reject("attention.shared_kv_layers", std::to_string(config.shared_kv_layers),
              "an earlier layer whose K and V layer " + std::to_string(layer) + " can take");
  }
}

void read_gemma4(ConfigReader& in, Config& config) {
  config.activation = Activation::kGelu;
  config.embedding_scale = std::sqrt(static_cast<float>(config.width));
  config.attention_scale = 1.0f;
  config.logit_softcap = static_cast<float>(in.number_or_none("final_logit_softcapping"));
  config.post_norms = true;
  config.qk_norm = QkNorm::kHead;
  config.v_norm = true;
  for (int layer = 0; layer < config.layers; ++layer) {
    config.k_as_v.push_back(in.file().find_tensor("blk." + std::to_string(layer) + ".attn_v.weight") == nullptr);
  }
  config.window = in.count("attention.sliding_window", 1 << 26);
  config.window_pattern = in.window_pattern(config.layers, 6);
  config.local_head_dim = in.count_or("attention.key_length_swa", config.head_dim, config.head_dim);
  if (in.count_or("attention.value_length_swa", config.head_dim, config.local_head_dim) != config.local_head_dim) {
    in.refuse("heads whose keys and values differ in length");
  }
  if (config.local_head_dim % 16 != 0) in.refuse("window layers with heads of " + std::to_string(config.local_head_dim) + " values");
  config.rope.split_halves = true;
  config.rope_local = {.dims = in.count_or("rope.dimension_count_swa", config.local_head_dim, config.local_head_dim),
                       .base = in.number_or("rope.freq_base_swa", 10000.0),
                       .magnitude = in.number_or("rope.scaling.attn_factor", 1.0),
                       .divided = false,
                       .split_halves = true};
  if (config.rope_local.dims % 2 != 0) in.refuse("rope over an odd number of values");
  if (in.file().find_tensor("rope_freqs.weight") == nullptr) {
    in.keep({ErrorCode::kNotFound, "tensor rope_freqs.weight is missing", "convert the model again with a newer converter"});
  }
  config.per_layer_width = in.count_or_none("embedding_length_per_layer_input", kMaxRow / config.layers);
  read_shared_kv(in, config);
}

}  // namespace tessera

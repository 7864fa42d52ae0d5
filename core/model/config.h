// Owns the numbers that describe a model, read from GGUF metadata; differences between architectures are fields here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"
#include "core/kernels/kernels.h"
#include "core/ops/rope.h"

namespace tessera {

/// RMS norms of q and k before rope: none, one for all heads over each head's values, or one over all heads together (OLMo 2). Hunyuan's
/// are over each head's values, too, but behind rope.
enum class QkNorm { kNone, kHead, kWidth, kHeadBehindRope };

/// A mixture of experts in place of the feed-forward block (Shazeer et al. 2017; experts.h has the arithmetic).
struct ExpertConfig {
  int count = 0;             ///< expert_count; 0 = one dense feed-forward
  int used = 0;              ///< expert_used_count: experts that each token goes through, ≤ count
  int width = 0;             ///< expert_feed_forward_length
  int shared_width = 0;      ///< expert_shared_feed_forward_length of the expert that every token goes through; 0 = none
  bool shared_gate = false;  ///< the shared expert's output is multiplied by sigmoid(ffn_gate_inp_shexp · x)
  bool renormalize = false;  ///< the chosen experts' probabilities are divided by their sum
  bool biases = false;       ///< router, gate, up and down have a bias, each expert its own (gpt-oss)
};

/// Shape and constants of a decoder-only transformer. Keys are `{architecture}.…` of the GGUF metadata.
struct Config {
  std::string architecture;  ///< a name of kArchitectures
  int layers = 0;            ///< block_count
  int width = 0;             ///< embedding_length
  int heads = 0;             ///< attention.head_count
  int kv_heads = 0;          ///< attention.head_count_kv; divides heads (grouped-query attention); the most of a layer
  int head_dim = 0;          ///< attention.key_length, else width / heads; a multiple of 16; of global layers
  int local_head_dim = 0;    ///< attention.key_length_swa of sliding-window layers, ≤ head_dim; 0 = head_dim
  int ffn_width = 0;         ///< feed_forward_length; the largest of a layer
  int vocab_size = 0;        ///< rows of token_embd
  int per_layer_width = 0;   ///< embedding_length_per_layer_input: values that each layer gets of each token (Gemma 4 E2B, E4B); 0 = none
  int trained_context = 0;   ///< context_length
  float norm_epsilon = 0;    ///< attention.layer_norm_rms_epsilon
  ExpertConfig experts;

  std::vector<bool> conv_layers;  ///< [layers], or empty: true where a short convolution takes attention's place (head_count_kv 0)
  int conv_length = 0;            ///< shortconv.l_cache: positions that such a convolution sees, its own included
  std::vector<bool> k_as_v;       ///< [layers], or empty: true without a matrix for v, which is k before its norm and rope (Gemma 4)

  RopeConfig rope;           ///< rope.* of ordinary (global) layers
  RopeConfig rope_local;     ///< rope of sliding-window layers (Gemma 3: base 10,000; OLMo 3: not stretched)
  int original_context = 0;  ///< rope.scaling.original_context_length: sessions beyond it take the long rope factors (Phi-3); 0 = no such
  int rope_free_period = 0;  ///< every n-th layer has no rope (SmolLM3: 4; EXAONE 4: the global ones); 0 = all have it
  int window = 0;            ///< attention.sliding_window: positions a local layer sees, itself included; 0 = none
  int window_pattern = 0;    ///< with a window, every n-th layer is global, the others local; 0 = all local
  int shared_kv_layers = 0;  ///< attention.shared_kv_layers: so many last layers attend to the K and V of kv_layer(layer)

  std::vector<int> layer_kv_heads;    ///< attention.head_count_kv of each layer, 0 without attention; empty = kv_heads everywhere
  std::vector<int> layer_ffn_widths;  ///< feed_forward_length of each layer; empty = ffn_width everywhere

  float attention_scale = 0;    ///< factor of q·k
  float attention_softcap = 0;  ///< attn_logit_softcapping: scores are bent to stay within ±it; 0 = not at all
  float temperature_scale = 0;  ///< attention.temperature_scale β: queries grow by 1 + β·log(1 + ⌊position / temperature_length⌋)
  int temperature_length = 1;   ///< rope.scaling.original_context_length (Ministral 3)
  float logit_softcap = 0;      ///< final_logit_softcapping; 0 = none
  float embedding_scale = 1;    ///< factor of the token embeddings (Gemma: √width; Granite: embedding_scale)
  float residual_scale = 1;     ///< factor of each block's output before it is added (Granite)
  float logit_scale = 1;        ///< factor of the logits (Granite: 1 / logit_scale)

  Activation activation = Activation::kSilu;
  QkNorm qk_norm = QkNorm::kNone;
  bool pre_norms = true;           ///< RMS norms before attention and feed-forward
  bool post_norms = false;         ///< RMS norms behind attention and feed-forward
  bool v_norm = false;             ///< RMS norm over each head's v, without weights (Gemma 4)
  bool qkv_bias = false;           ///< q, k and v must have a bias; otherwise each may have one
  bool attention_sinks = false;    ///< each head has a logit beside its scores that takes part in the softmax and has no value (gpt-oss)
  bool fused_projections = false;  ///< q, k, v are one tensor, gate and up another (Phi-3)
  std::string_view ffn_norm = "ffn_norm";  ///< name of the norm before the feed-forward block (gpt-oss: post_attention_norm)

  std::string_view output_norm = "output_norm.weight";  ///< tensor of the last norm (LFM2: token_embd_norm.weight)

  bool is_conv(int layer) const { return !conv_layers.empty() && conv_layers[layer]; }
  bool v_is_k(int layer) const { return !k_as_v.empty() && k_as_v[layer]; }
  bool is_local(int layer) const { return window > 0 && (window_pattern == 0 || (layer + 1) % window_pattern != 0); }
  bool has_rope(int layer) const { return rope_free_period == 0 || (layer + 1) % rope_free_period != 0; }
  bool has_gate() const { return activation != Activation::kSquaredRelu; }
  int kv_heads_of(int layer) const { return layer_kv_heads.empty() ? kv_heads : layer_kv_heads[layer]; }
  int head_dim_of(int layer) const { return local_head_dim > 0 && is_local(layer) ? local_head_dim : head_dim; }
  int ffn_width_of(int layer) const { return layer_ffn_widths.empty() ? ffn_width : layer_ffn_widths[layer]; }
  // Of a header alone, which promises heads that no tensor has to hold, these are beyond an int.
  int64_t q_width(int layer) const { return int64_t{heads} * head_dim_of(layer); }
  int64_t kv_width(int layer) const { return int64_t{kv_heads_of(layer)} * head_dim_of(layer); }
  int64_t max_q_width() const { return int64_t{heads} * head_dim; }
  int64_t max_kv_width() const;
  /// Whose K and V a layer attends to: its own, or those of the last layer of its kind (window or global) that has any.
  int kv_layer(int layer) const;

  /// kUnsupported names the architecture or feature that this build does not run; kNotFound / kBadFile name the key.
  static Result<Config> from_gguf(const GgufFile& file);
};

}  // namespace tessera

// Owns the numbers that describe a model, read from GGUF metadata; differences between architectures are fields here.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"
#include "core/ops/rope.h"

namespace tessera {

enum class Activation { kSilu, kGelu };

/// Shape and constants of a decoder-only transformer. Keys are `{architecture}.…` of the GGUF metadata.
struct Config {
  std::string architecture;     ///< "llama", "gemma3"
  int layers = 0;               ///< block_count
  int width = 0;                ///< embedding_length
  int heads = 0;                ///< attention.head_count
  int kv_heads = 0;             ///< attention.head_count_kv; divides heads (grouped-query attention)
  int head_dim = 0;             ///< attention.key_length, else width / heads; a multiple of 16
  int ffn_width = 0;            ///< feed_forward_length
  int vocab_size = 0;           ///< rows of token_embd
  int trained_context = 0;      ///< context_length
  float norm_epsilon = 0;       ///< attention.layer_norm_rms_epsilon
  RopeConfig rope;              ///< rope.* of ordinary (global) layers
  RopeConfig rope_local;        ///< rope of sliding-window layers (Gemma 3: base 10,000)
  int window = 0;               ///< attention.sliding_window: positions a local layer sees, itself included; 0 = none
  int window_pattern = 0;       ///< every n-th layer is global, the others local; 0 = all global
  float attention_scale = 0;    ///< factor of q·k
  float attention_softcap = 0;  ///< attn_logit_softcapping: scores are bent to stay within ±it; 0 = not at all
  float embedding_scale = 1;    ///< factor of the token embeddings (Gemma: √width)
  Activation activation = Activation::kSilu;
  bool qk_norm = false;     ///< RMS norm on each head of q and k
  bool post_norms = false;  ///< RMS norms behind attention and feed-forward, too

  bool is_local(int layer) const { return window_pattern > 0 && (layer + 1) % window_pattern != 0; }

  /// kUnsupported names the architecture or feature that this build does not run; kNotFound / kBadFile name the key.
  static Result<Config> from_gguf(const GgufFile& file);
};

}  // namespace tessera

// Owns every buffer that one forward pass writes; allocated once per session, never inside the pass.
#pragma once

#include "core/base/aligned_buffer.h"
#include "core/base/result.h"
#include "core/model/attention.h"
#include "core/model/config.h"
#include "core/model/experts.h"
#include "core/model/lora.h"
#include "core/model/profile.h"
#include "core/ops/linear.h"

namespace tessera {

/// Activations of up to kMaxBatch tokens. B = tokens of the current batch.
class Workspace {
 public:
  static constexpr int kMaxBatch = 128;  ///< tokens of one forward pass
  static_assert(kMaxBatch <= KvCache::kMargin, "a batch is written to the cache before it is read");
  static constexpr int kMaxLogits = 8;  ///< positions whose logits are held at once

  /// `code_bytes` of the KernelTable that will run on it.
  static Result<Workspace> create(const Config& config, int code_bytes);
  static uint64_t bytes(const Config& config, int code_bytes);

  float* x = nullptr;                          ///< [B][width] residual stream
  float* normed = nullptr;                     ///< [B][width] normed input of a block; block output before it is added
  float* q = nullptr;                          ///< [B][heads · head_dim]
  float* k = nullptr;                          ///< [B][kv_heads · head_dim]
  float* v = nullptr;                          ///< [B][kv_heads · head_dim]
  int16_t* q_codes = nullptr;                  ///< [B][heads · head_dim], for a Q16_8 cache
  float* q_scales = nullptr;                   ///< [B][heads]
  float* attended = nullptr;                   ///< [B][heads · head_dim]
  float* mixed = nullptr;                      ///< [B][3 · width] b, c and x of a short convolution; none without one
  float* convolved = nullptr;                  ///< [B][width]; none without one
  float* gate = nullptr;                       ///< [B][ffn_width]; none with experts; [B][layers · per_layer_width] before the layers
  float* up = nullptr;                         ///< [B][ffn_width]; none with experts
  float* per_layer = nullptr;                  ///< [B][layers][per_layer_width]
  float* rope = nullptr;                       ///< [global, local][cos, sin][B][head_dim/2]
  float* logits = nullptr;                     ///< [kMaxLogits][vocab]
  AttentionScratch attention_scratch;          ///< kMaxBatch rows
  AttentionState* attention_states = nullptr;  ///< [B][heads]
  InputBuffer input;                           ///< of all products but the FFN's last
  InputBuffer hidden;  ///< of the FFN's last product: it is filled while `input` is still being read; none with experts
  ExpertBuffers experts;
  AdapterSet adapters;         ///< LoRA terms of this session
  Profile* profile = nullptr;  ///< not owned; when set, the forward pass adds its times

 private:
  AlignedBuffer memory_;
};

}  // namespace tessera

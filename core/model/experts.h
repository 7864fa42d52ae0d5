// Owns the feed-forward block of a mixture of experts: choosing experts for each token, going through them, adding up.
//
// The arithmetic, part of the one arithmetic of kernels.h: p = softmax over all router logits, summed by index; the `used` largest are
// chosen, of equal ones the lower index; with `renormalize` each is divided by their sum. Then, in ascending index of the chosen experts,
//   y = p₁·e₁(x);  y = y + pᵢ·eᵢ(x);  y = y + sigmoid(g·x)·shared(x)   (or + shared(x)),  e(x) = down · (act(gate·x) ⊙ up·x)
// A bias of router, gate, up or down is added to the finished product.
// A token's result depends on that token alone, so the bits do not depend on how tokens are grouped by expert.
#pragma once

#include <span>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/result.h"
#include "core/model/config.h"
#include "core/model/profile.h"
#include "core/model/weights.h"
#include "core/ops/linear.h"

namespace tessera {

/// What one pass through the experts writes; allocated once a session. n = tokens at a time, slots = n · experts.used rows, one for each
/// pair of a token and an expert it goes through, by expert.
class ExpertBuffers {
 public:
  static constexpr int kTokens = 64;  ///< n: bounds the memory; larger batches go through in parts

  /// Empty for a model without experts.
  static Result<ExpertBuffers> create(const Config& config);
  static uint64_t bytes(const Config& config);
  /// The largest tokens · width that goes through InputBuffer.
  static uint64_t input_values(const Config& config);

  float* logits = nullptr;         ///< [n][count]
  float* probabilities = nullptr;  ///< [n][used] of the chosen experts
  float* slots = nullptr;          ///< [slots][width] inputs, then outputs of the experts
  float* gate = nullptr;           ///< [slots][experts.width]
  float* up = nullptr;             ///< [slots][experts.width]
  float* shared_gate = nullptr;    ///< [n][shared_width]
  float* shared_up = nullptr;      ///< [n][shared_width]
  float* shared_out = nullptr;     ///< [n][width]
  float* shared_factor = nullptr;  ///< [n]
  std::vector<int> chosen;         ///< [n][used] indices of experts, ascending
  std::vector<int> slot_of;        ///< [n][used]
  std::vector<int> pair_of;        ///< [slots] index into `chosen` and `slot_of`
  std::vector<int> first_slot;     ///< [count + 1]
  std::vector<Product> products;

 private:
  AlignedBuffer memory_;
};

/// out [tokens][width] = the block's output for x [tokens][width]; out may be x.
void expert_block(const Config& config, const KernelTable& kernels, ThreadPool& pool, const ExpertWeights& weights, const float* x,
                  int tokens, InputBuffer& input, ExpertBuffers& buffers, Profile* profile, float* out);

/// The `chosen.size()` largest of softmax(logits) with the rule above: indices ascending, their probabilities beside them.
/// logits are overwritten.
void choose_experts(std::span<float> logits, bool renormalize, std::span<int> chosen, std::span<float> probabilities);

}  // namespace tessera

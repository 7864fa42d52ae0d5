// Owns TENSORS → LOGITS: the forward pass of a decoder-only transformer.
#pragma once

#include <span>

#include "core/model/kv_cache.h"
#include "core/model/model.h"
#include "core/model/workspace.h"
#include "core/parallel/thread_pool.h"

namespace tessera {

/// One batch on its way through the layers, a layer at a time, so that a caller may look around between two of them. Everything it is
/// made from must outlive it, and nobody else may use cache and workspace meanwhile; dropping it early forgets the batch.
class ForwardPass {
 public:
  /// Embeds `tokens` (1…Workspace::kMaxBatch ids inside the vocabulary) for the positions after cache.size(), which must have room.
  ForwardPass(const Model& model, ThreadPool& pool, std::span<const int32_t> tokens, KvCache& cache, Workspace& workspace);

  /// Computes the next layer; not to be called once done. The last one appends the batch's K and V to the cache and leaves the residual
  /// stream behind it in workspace.x [tokens][width].
  void step();
  bool done() const { return next_layer_ == model_.config.layers; }
  int tokens() const { return tokens_; }
  float share() const { return static_cast<float>(next_layer_) / static_cast<float>(model_.config.layers); }  ///< of the layers, 0…1

 private:
  const Model& model_;
  ThreadPool& pool_;
  KvCache& cache_;
  Workspace& workspace_;
  int tokens_, next_layer_ = 0;
};

/// A whole ForwardPass.
void forward(const Model& model, ThreadPool& pool, std::span<const int32_t> tokens, KvCache& cache, Workspace& workspace);

/// Logits of batch positions [first, first + count) of the last ForwardPass into workspace.logits [count][vocab];
/// count ≤ Workspace::kMaxLogits.
void compute_logits(const Model& model, ThreadPool& pool, int first, int count, Workspace& workspace);

}  // namespace tessera

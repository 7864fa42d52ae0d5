// Owns TENSORS → LOGITS: the forward pass of a decoder-only transformer.
#pragma once

#include <span>

#include "core/model/kv_cache.h"
#include "core/model/model.h"
#include "core/model/upstream.h"
#include "core/model/workspace.h"
#include "core/parallel/thread_pool.h"

namespace tessera {

/// One batch on its way through the layers, a layer at a time, so that a caller may look around between two of them. Everything it is
/// made from must outlive it, and nobody else may use cache and workspace meanwhile; dropping it early forgets the batch.
class ForwardPass {
 public:
  /// Begins with `tokens` (1…Workspace::kMaxBatch ids inside the vocabulary) for the positions after cache.size(), which must have room.
  /// `upstream` computes the layers before those of model.weights.range. Without it the pass begins at its own first layer: with the
  /// tokens' embedding, or where that is not held, with whatever workspace.x has.
  ForwardPass(const Model& model, ThreadPool& pool, std::span<const int32_t> tokens, KvCache& cache, Workspace& workspace,
              Upstream* upstream = nullptr);

  /// Computes the next layer; not to be called once done. The last one of the range appends the batch's K and V to the cache and leaves
  /// the residual stream behind it in workspace.x [tokens][width].
  void step();
  bool done() const { return next_layer_ == model_.weights.range.end_in(model_.config.layers); }
  int tokens() const { return tokens_; }
  float share() const { return static_cast<float>(next_layer_) / static_cast<float>(model_.config.layers); }  ///< of the layers, 0…1

 private:
  void enter();
  const Model& model_;
  ThreadPool& pool_;
  KvCache& cache_;
  Workspace& workspace_;
  Upstream* upstream_;
  int tokens_, next_layer_;
};

/// A whole ForwardPass.
void forward(const Model& model, ThreadPool& pool, std::span<const int32_t> tokens, KvCache& cache, Workspace& workspace);

/// Logits of batch positions [first, first + count) of the last ForwardPass into workspace.logits [count][vocab];
/// count ≤ Workspace::kMaxLogits.
void compute_logits(const Model& model, ThreadPool& pool, int first, int count, Workspace& workspace);

}  // namespace tessera

// Owns TENSORS → LOGITS: the forward pass of a decoder-only transformer.
#pragma once

#include <span>

#include "core/model/kv_cache.h"
#include "core/model/model.h"
#include "core/model/workspace.h"
#include "core/parallel/thread_pool.h"

namespace tessera {

/// Computes `tokens` (1…Workspace::kMaxBatch ids inside the vocabulary) at the positions after cache.size(), which must have room
/// for them; appends their K and V. Afterwards workspace.x [tokens][width] is the residual stream behind the last layer.
void forward(const Model& model, ThreadPool& pool, std::span<const int32_t> tokens, KvCache& cache, Workspace& workspace);

/// Logits of batch positions [first, first + count) of the last forward() into workspace.logits [count][vocab];
/// count ≤ Workspace::kMaxLogits.
void compute_logits(const Model& model, ThreadPool& pool, int first, int count, Workspace& workspace);

}  // namespace tessera

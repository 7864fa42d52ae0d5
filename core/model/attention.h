// Owns causal grouped-query attention over the KV cache.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/model/config.h"
#include "core/model/kv_cache.h"
#include "core/parallel/thread_pool.h"

namespace tessera {

/// Room for the partial results of segments, `rows` of them at a time. A view into the workspace.
struct AttentionScratch {
  int rows = 0;
  float* sums = nullptr;             ///< [rows][heads · head_dim] of the longest heads
  AttentionState* states = nullptr;  ///< [rows][heads]
  uint32_t* left = nullptr;          ///< [heads] segments of each KV head that are not done
  uint32_t* placed = nullptr;        ///< [heads] how far place() is for each KV head
};

/// What attention reads and writes for one batch. What place() makes is not there before.
struct AttentionBatch {
  int layer = 0;
  int first = 0;                     ///< position of the first query
  int tokens = 0;                    ///< ≤ AttentionScratch::rows
  int window = 0;                    ///< each query sees its last `window` positions, itself included; 0 = all
  const float* sinks = nullptr;      ///< [heads] logits that take part in each head's softmax and have no value; nullptr = none
  const float* queries = nullptr;    ///< [tokens][heads · head_dim], already multiplied by the attention scale
  QuantizedQueries quantized;        ///< the same as codes [tokens][heads · head_dim] and scales [tokens][heads], for a Q16_8 cache
  float* out = nullptr;              ///< [tokens][heads · head_dim]
  AttentionState* states = nullptr;  ///< [tokens][heads], scratch
};

/// Makes the queries of KV head `kv_head` ready, and its keys and values of the batch's own positions, of tokens [first, end).
using PlaceHeads = std::function<void(int kv_head, int first, int end)>;
/// Called for values [first, end) of token `t` in AttentionBatch::out, the heads of one KV head, as soon as they are there.
using FinishHeads = std::function<void(int t, int64_t first, int64_t end)>;

/// out = softmax(q·Kᵀ)·V, a head's sink counted beside its scores. place() is called once for each KV head and token, finish() behind it;
/// both on the threads of the pool.
void attention(ThreadPool& pool, const KernelTable& kernels, const Config& config, const KvCache& cache, const AttentionScratch& scratch,
               const AttentionBatch& batch, const PlaceHeads& place, const FinishHeads& finish);

}  // namespace tessera

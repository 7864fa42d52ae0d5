// Owns causal grouped-query attention over the KV cache.
#pragma once

#include "core/model/config.h"
#include "core/model/kv_cache.h"
#include "core/parallel/thread_pool.h"

namespace tessera {

/// out [tokens][heads · head_dim] = softmax(q·Kᵀ)·V for queries q [tokens][heads · head_dim] (already scaled) at positions
/// first … first + tokens - 1, whose K and V are written. `window` > 0 limits each query to its last `window` positions.
/// Walks the cache in chunks at fixed positions (kAttentionChunk), so a query's result does not depend on its batch.
void attention(ThreadPool& pool, const KernelTable& kernels, const Config& config, const KvCache& cache, int layer, int first, int tokens,
               int window, const float* q, float* out);

}  // namespace tessera

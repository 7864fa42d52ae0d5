#include "core/model/attention.h"

#include <algorithm>
#include <limits>

namespace tessera {
namespace {

constexpr int kTokenBlock = 16;   // queries of one task: they share each widened chunk of the cache
constexpr int kMaxTaskHeads = 8;  // query heads of one task

// One task: some query heads of one KV head, for a block of queries.
struct Task {
  int first_head, heads;    // query heads
  int first_token, tokens;  // queries, counted from the batch's first
};

void run_task(const KernelTable& kernels, const Config& config, const KvCache& cache, int layer, int batch_first, int window,
              const Task& task, const float* q, float* out) {
  const int head_dim = config.head_dim, row = config.heads * head_dim;
  const int kv_head = task.first_head / (config.heads / config.kv_heads);
  alignas(64) float k_scratch[kAttentionChunk * KvCache::kMaxWidenedHeadDim];
  alignas(64) float v_scratch[kAttentionChunk * KvCache::kMaxWidenedHeadDim];
  AttentionState states[kTokenBlock][kMaxTaskHeads];
  const auto window_start = [&](int position) { return window > 0 ? std::max(0, position - window + 1) : 0; };

  for (int t = 0; t < task.tokens; ++t) {
    for (int h = 0; h < task.heads; ++h) {
      float* accumulator = out + (task.first_token + t) * row + (task.first_head + h) * head_dim;
      std::fill(accumulator, accumulator + head_dim, 0.0f);
      states[t][h] = {-std::numeric_limits<float>::infinity(), 0.0f, accumulator};
    }
  }
  const int first_position = batch_first + task.first_token, last_position = first_position + task.tokens - 1;
  for (int chunk = window_start(first_position) / kAttentionChunk * kAttentionChunk; chunk <= last_position; chunk += kAttentionChunk) {
    const int held = std::min(kAttentionChunk, last_position + 1 - chunk);
    const CacheRows k = cache.keys(kernels, layer, kv_head, chunk, held, k_scratch);
    const CacheRows v = cache.values(kernels, layer, kv_head, chunk, held, v_scratch);
    for (int t = 0; t < task.tokens; ++t) {
      const int position = first_position + t;
      const int begin = std::max(chunk, window_start(position)) - chunk, end = std::min(held, position + 1 - chunk);
      if (begin >= end) continue;
      for (int h = 0; h < task.heads; ++h) {
        const float* query = q + (task.first_token + t) * row + (task.first_head + h) * head_dim;
        kernels.attend(query, {k.data + begin * k.stride, k.stride}, {v.data + begin * v.stride, v.stride}, end - begin, head_dim,
                       states[t][h]);
      }
    }
  }
  for (int t = 0; t < task.tokens; ++t) {
    for (int h = 0; h < task.heads; ++h) {
      for (int i = 0; i < head_dim; ++i) states[t][h].accumulator[i] = states[t][h].accumulator[i] / states[t][h].sum;
    }
  }
}

}  // namespace

void attention(ThreadPool& pool, const KernelTable& kernels, const Config& config, const KvCache& cache, int layer, int first, int tokens,
               int window, const float* q, float* out) {
  // An f32 cache is read in place, so single heads make the finest tasks; other types are widened once for a whole group.
  const int group = config.heads / config.kv_heads;
  const int heads_a_task = cache.type() == KvType::kF32 ? 1 : std::min(group, kMaxTaskHeads);
  const int tasks_a_group = (group + heads_a_task - 1) / heads_a_task;
  const int token_blocks = (tokens + kTokenBlock - 1) / kTokenBlock;
  const int head_tasks = config.kv_heads * tasks_a_group;
  pool.run(head_tasks * token_blocks, [&](int index) {
    // Later token blocks see more positions: they go first, so that no long task is left for the end.
    const int block = token_blocks - 1 - index / head_tasks;
    const int kv_head = index % head_tasks / tasks_a_group, in_group = index % tasks_a_group * heads_a_task;
    const Task task{.first_head = kv_head * group + in_group,
                    .heads = std::min(heads_a_task, group - in_group),
                    .first_token = block * kTokenBlock,
                    .tokens = std::min(kTokenBlock, tokens - block * kTokenBlock)};
    run_task(kernels, config, cache, layer, first, window, task, q, out);
  });
}

}  // namespace tessera

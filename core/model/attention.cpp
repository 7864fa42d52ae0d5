#include "core/model/attention.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "core/base/math.h"
#include "core/parallel/futex.h"

namespace tessera {
namespace {

constexpr int kTokenBlock = 16;   // queries of one task: they share each chunk of the cache
constexpr int kEvenTasks = 4;     // tasks of each thread that end at about the same time
constexpr int kPanelTokens = 16;  // positions that share cache lines of the transposed keys, which no two threads should write
constexpr AttentionState kNothingSeen = {-std::numeric_limits<float>::infinity(), 0.0f};

// The heads of one KV head: where they lie in a row of queries or results.
struct HeadGroup {
  int kv_head;
  int heads;
  int first_head;
};

// One pass over the cache for a batch, spread over the pool in tasks.
class AttentionPass {
 public:
  AttentionPass(const KernelTable& kernels, const Config& config, const KvCache& cache, const AttentionScratch& scratch,
                const AttentionBatch& batch, const PlaceHeads& place, const FinishHeads& finish)
      : kernels_(kernels),
        config_(config),
        kv_heads_(config.kv_heads_of(batch.layer)),
        head_dim_(config.head_dim_of(batch.layer)),
        cache_(cache),
        scratch_(scratch),
        batch_(batch),
        place_(place),
        finish_(finish) {}

  void run(ThreadPool& pool) {
    const int first_segment = window_start(batch_.first) / kAttentionSegment;
    const int segments = (batch_.first + batch_.tokens - 1) / kAttentionSegment - first_segment + 1;
    // As many queries at a time as there are rows for their segments; more rounds only where KV heads alone are too few for the threads.
    const int most = scratch_.rows / segments;
    const bool apart = batch_.tokens <= most || (most > 0 && kv_heads_ < kEvenTasks * pool.size());
    if (batch_.tokens >= kTokenBlock || !apart) return run_segments_in_turn(pool, first_segment, segments);
    for (int first = 0; first < batch_.tokens; first += most) {
      run_segments_apart(pool, first_segment, segments, first, std::min(batch_.tokens, first + most));
    }
  }

 private:
  int row_width() const { return config_.heads * head_dim_; }
  int window_start(int position) const { return batch_.window > 0 ? std::max(0, position - batch_.window + 1) : 0; }
  HeadGroup group(int kv_head) const {
    const int heads = config_.heads / kv_heads_;
    return {kv_head, heads, kv_head * heads};
  }

  // Few queries (decode), [first, end) of the batch: each segment is a task of its own, row (t - first) · segments + s of the scratch holds
  // its result. Who comes to a KV head first places it, with the first queries for all, who has its last segment merges them all, so that
  // nobody waits for that in phases of their own.
  void run_segments_apart(ThreadPool& pool, int first_segment, int segments, int first, int end) {
    for (int h = 0; h < kv_heads_; ++h) {
      scratch_.left[h] = static_cast<uint32_t>(segments);
      if (first == 0) scratch_.placed[h] = kUntouched;
    }
    pool.run(kv_heads_ * segments, [&](int task) {
      const int s = task % segments;
      const HeadGroup heads = group(task / segments);
      place_once(heads.kv_head);
      const auto row_of = [=](int t, int segment) { return (t - first) * segments + segment; };
      attend_segment(heads, first, end, first_segment + s, [=](int t) { return row_of(t, s); });
      if (std::atomic_ref(scratch_.left[heads.kv_head]).fetch_sub(1, std::memory_order_acq_rel) > 1) return;
      for (int t = first; t < end; ++t) {
        for (int each = 0; each < segments; ++each) merge(heads, t, first_segment + each, row_of(t, each));
        finish(heads, t);
      }
    });
  }

  void place_once(int kv_head) const {
    const std::atomic_ref state(scratch_.placed[kv_head]);
    uint32_t seen = kUntouched;
    if (state.compare_exchange_strong(seen, kBegun, std::memory_order_acq_rel)) {
      place_(kv_head, 0, batch_.tokens);
      state.store(kPlaced, std::memory_order_release);
    }
    // Another thread is at it: a microsecond or two.
    while (state.load(std::memory_order_acquire) != kPlaced) pause_cpu();
  }

  void place_all(ThreadPool& pool) const {
    const int lead = batch_.first % kPanelTokens;
    pool.run((lead + batch_.tokens + kPanelTokens - 1) / kPanelTokens, [&](int task) {
      const int first = std::max(0, task * kPanelTokens - lead), end = std::min(batch_.tokens, (task + 1) * kPanelTokens - lead);
      for (int h = 0; h < kv_heads_; ++h) place_(h, first, end);
    });
  }

  // Many queries (prefill): a task takes some of them through all segments; row t of the scratch is used again by each segment.
  void run_segments_in_turn(ThreadPool& pool, int first_segment, int segments) {
    place_all(pool);
    const int blocks = (batch_.tokens + kTokenBlock - 1) / kTokenBlock;
    pool.run(kv_heads_ * blocks, [&](int task) {
      // Later queries see more positions: they go first, so that no long task is left for the end.
      const int first = (blocks - 1 - task / kv_heads_) * kTokenBlock, end = std::min(batch_.tokens, first + kTokenBlock);
      const HeadGroup heads = group(task % kv_heads_);
      for (int segment = first_segment; segment < first_segment + segments; ++segment) {
        attend_segment(heads, first, end, segment, [](int t) { return t; });
        for (int t = first; t < end; ++t) merge(heads, t, segment, t);
      }
      for (int t = first; t < end; ++t) finish(heads, t);
    });
  }

  // A query's first segment goes straight to the result; later ones to the scratch, to be merged.
  bool is_first(int t, int segment) const { return window_start(batch_.first + t) / kAttentionSegment == segment; }
  bool sees(int t, int segment) const {
    const int position = batch_.first + t;
    return position >= segment * kAttentionSegment && window_start(position) < (segment + 1) * kAttentionSegment;
  }
  float* result(const HeadGroup& g, int t) const { return batch_.out + static_cast<int64_t>(t) * row_width() + g.first_head * head_dim_; }
  AttentionState* result_states(const HeadGroup& g, int t) const { return batch_.states + t * config_.heads + g.first_head; }
  float* partial(const HeadGroup& g, int row) const {
    return scratch_.sums + static_cast<int64_t>(row) * row_width() + g.first_head * head_dim_;
  }
  AttentionState* partial_states(const HeadGroup& g, int row) const { return scratch_.states + row * config_.heads + g.first_head; }

  template <class RowOf>
  void attend_segment(const HeadGroup& g, int first, int end, int segment, const RowOf& row_of) const {
    if (cache_.type() == KvType::kQ16_8) {
      attend_codes(g, first, end, segment, row_of);
    } else {
      attend_floats(g, first, end, segment, row_of);
    }
  }

  template <class RowOf>
  void attend_codes(const HeadGroup& g, int first, int end, int segment, const RowOf& row_of) const {
    const int start = segment * kAttentionSegment;
    QuantizedSegment codes = cache_.segment(batch_.layer, g.kv_head, start);
    codes.in_streams = kernels_.streams > 1;
    for (int t = first; t < end; ++t) {
      if (!sees(t, segment)) continue;
      const int position = batch_.first + t;
      const int from = std::max(start, window_start(position)) - start, to = std::min(kAttentionSegment, position + 1 - start);
      const QuantizedQueries queries = {batch_.quantized.codes + static_cast<int64_t>(t) * row_width() + g.first_head * head_dim_,
                                        batch_.quantized.scales + t * config_.heads + g.first_head};
      const bool direct = is_first(t, segment);
      kernels_.attend_segment(queries, g.heads, codes, from, to, head_dim_, config_.attention_softcap,
                              direct ? result_states(g, t) : partial_states(g, row_of(t)), direct ? result(g, t) : partial(g, row_of(t)));
    }
  }

  template <class RowOf>
  void attend_floats(const HeadGroup& g, int first, int end, int segment, const RowOf& row_of) const {
    float* sums[kTokenBlock];
    AttentionState* states[kTokenBlock];
    for (int t = first; t < end; ++t) {
      const bool direct = is_first(t, segment);
      sums[t - first] = direct ? result(g, t) : partial(g, row_of(t));
      states[t - first] = direct ? result_states(g, t) : partial_states(g, row_of(t));
      if (!sees(t, segment)) continue;
      std::fill_n(sums[t - first], g.heads * head_dim_, 0.0f);
      std::fill_n(states[t - first], g.heads, kNothingSeen);
    }
    alignas(64) float scratch[2 * kAttentionChunk * KvCache::kMaxWidenedHeadDim];
    const int begin_position = std::max(segment * kAttentionSegment, window_start(batch_.first + first));
    const int end_position = std::min((segment + 1) * kAttentionSegment, batch_.first + end);
    for (int start = begin_position / kAttentionChunk * kAttentionChunk; start < end_position; start += kAttentionChunk) {
      const CacheChunk chunk = cache_.chunk(kernels_, batch_.layer, g.kv_head, start, scratch);
      for (int t = first; t < end; ++t) {
        const int position = batch_.first + t;
        const int from = std::max(start, window_start(position)) - start, to = std::min(kAttentionChunk, position + 1 - start);
        if (from >= to) continue;
        const float* queries = batch_.queries + static_cast<int64_t>(t) * row_width() + g.first_head * head_dim_;
        kernels_.attend(queries, g.heads, chunk, from, to, head_dim_, config_.attention_softcap, states[t - first], sums[t - first]);
      }
    }
  }

  // Adds a later segment's state to the result: both are brought to the larger maximum, which one of them has already.
  void merge(const HeadGroup& g, int t, int segment, int row) const {
    if (is_first(t, segment) || !sees(t, segment)) return;
    for (int h = 0; h < g.heads; ++h) {
      AttentionState& into = result_states(g, t)[h];
      const AttentionState& from = partial_states(g, row)[h];
      float* sums = result(g, t) + h * head_dim_;
      const float* more = partial(g, row) + h * head_dim_;
      if (from.maximum > into.maximum) {
        const float keep = exp_f32(into.maximum - from.maximum);
        into = {from.maximum, into.sum * keep + from.sum};
        for (int i = 0; i < head_dim_; ++i) sums[i] = sums[i] * keep + more[i];
      } else {
        const float add = exp_f32(from.maximum - into.maximum);
        into.sum = into.sum + from.sum * add;
        for (int i = 0; i < head_dim_; ++i) sums[i] = sums[i] + more[i] * add;
      }
    }
  }

  // Divides by the sum of weights.
  void finish(const HeadGroup& g, int t) const {
    for (int h = 0; h < g.heads; ++h) {
      const AttentionState& state = result_states(g, t)[h];
      // e^88, where exp_f32 ends, outweighs all scores as well as more would.
      const float sink = batch_.sinks != nullptr ? exp_f32(batch_.sinks[g.first_head + h] - state.maximum) : 0.0f;
      const float sum = state.sum + sink;
      float* values = result(g, t) + h * head_dim_;
      for (int i = 0; i < head_dim_; ++i) values[i] = values[i] / sum;
    }
    finish_(t, int64_t{1} * g.first_head * head_dim_, int64_t{1} * (g.first_head + g.heads) * head_dim_);
  }

  // AttentionScratch::placed
  enum : uint32_t { kUntouched, kBegun, kPlaced };

  const KernelTable& kernels_;
  const Config& config_;
  const int kv_heads_, head_dim_;  // of the layer
  const KvCache& cache_;
  const AttentionScratch& scratch_;
  const AttentionBatch& batch_;
  const PlaceHeads& place_;
  const FinishHeads& finish_;
};

}  // namespace

void attention(ThreadPool& pool, const KernelTable& kernels, const Config& config, const KvCache& cache, const AttentionScratch& scratch,
               const AttentionBatch& batch, const PlaceHeads& place, const FinishHeads& finish) {
  AttentionPass(kernels, config, cache, scratch, batch, place, finish).run(pool);
}

}  // namespace tessera

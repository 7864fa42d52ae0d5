#include "core/model/forward.h"

#include "core/kernels/pack.h"
#include "core/model/attention.h"
#include "core/ops/linear.h"
#include "core/ops/rope.h"

namespace tessera {
namespace {

// Everything one pass hands from step to step. B = tokens.size().
struct Pass {
  const Config& config;
  const KernelTable& kernels;
  ThreadPool& pool;
  KvCache& cache;
  Workspace& ws;
  std::span<const int32_t> tokens;
  int first;  // position of tokens[0]
  int batch() const { return static_cast<int>(tokens.size()); }
};

// normed [B][width] = rms_norm(x) · weight; x and normed may be the same.
void norm_rows(const Pass& p, const float* x, const float* weight, float* normed) {
  const int64_t width = p.config.width;
  p.pool.run(p.batch(), [&](int t) { p.kernels.rms_norm(x + t * width, weight, width, p.config.norm_epsilon, normed + t * width); });
}

void add_rows(const Pass& p, const float* from, float* to) {
  const int64_t width = p.config.width;
  p.pool.run(p.batch(), [&](int t) {
    for (int64_t i = t * width; i < (t + 1) * width; ++i) to[i] = to[i] + from[i];
  });
}

// The cosines and sines of the batch's positions: global layers at table 0, local ones at table 1.
float* rope_rows(const Pass& p, int table) { return p.ws.rope + static_cast<int64_t>(table) * Workspace::kMaxBatch * p.config.head_dim; }

// q and k of every token: optional per-head norm, rotation (which also scales q), then K and V into the cache.
void place_heads(const Pass& p, const LayerWeights& layer, int index) {
  const Config& c = p.config;
  const bool local = c.is_local(index);
  const RopeConfig& rope = local ? c.rope_local : c.rope;
  const float* cosines = rope_rows(p, local);
  const float* sines = cosines + Workspace::kMaxBatch * (c.head_dim / 2);
  p.pool.run(p.batch(), [&](int t) {
    float* q = p.ws.q + static_cast<int64_t>(t) * c.heads * c.head_dim;
    float* k = p.ws.k + static_cast<int64_t>(t) * c.kv_heads * c.head_dim;
    if (c.qk_norm) {
      for (int h = 0; h < c.heads; ++h) {
        p.kernels.rms_norm(q + h * c.head_dim, layer.q_norm, c.head_dim, c.norm_epsilon, q + h * c.head_dim);
      }
      for (int h = 0; h < c.kv_heads; ++h) {
        p.kernels.rms_norm(k + h * c.head_dim, layer.k_norm, c.head_dim, c.norm_epsilon, k + h * c.head_dim);
      }
    }
    const int64_t angle = static_cast<int64_t>(t) * (rope.dims / 2);
    rope_apply(rope, cosines + angle, sines + angle, c.heads, c.head_dim, c.attention_scale, q);
    rope_apply(rope, cosines + angle, sines + angle, c.kv_heads, c.head_dim, 1.0f, k);
    p.cache.write(p.kernels, index, p.first + t, k, p.ws.v + static_cast<int64_t>(t) * c.kv_heads * c.head_dim);
  });
}

// x += post_norm(wo · attention(…norm(x)…))
void attention_block(const Pass& p, const LayerWeights& layer, int index) {
  const Config& c = p.config;
  norm_rows(p, p.ws.x, layer.attention_norm, p.ws.normed);
  const Activations input = p.ws.input.quantize(p.pool, p.kernels, p.ws.normed, p.batch(), c.width);
  const Product projections[] = {{&layer.wq, p.ws.q}, {&layer.wk, p.ws.k}, {&layer.wv, p.ws.v}};
  linear(p.pool, p.kernels, input, projections);
  place_heads(p, layer, index);
  attention(p.pool, p.kernels, c, p.cache, index, p.first, p.batch(), c.is_local(index) ? c.window : 0, p.ws.q, p.ws.attended);
  const Activations attended = p.ws.input.quantize(p.pool, p.kernels, p.ws.attended, p.batch(), c.heads * c.head_dim);
  const Product output[] = {{&layer.wo, p.ws.normed}};
  linear(p.pool, p.kernels, attended, output);
  if (layer.post_attention_norm != nullptr) norm_rows(p, p.ws.normed, layer.post_attention_norm, p.ws.normed);
  add_rows(p, p.ws.normed, p.ws.x);
}

// x += post_norm(down · (act(gate · norm(x)) ⊙ up · norm(x)))
void ffn_block(const Pass& p, const LayerWeights& layer) {
  const Config& c = p.config;
  norm_rows(p, p.ws.x, layer.ffn_norm, p.ws.normed);
  const Activations input = p.ws.input.quantize(p.pool, p.kernels, p.ws.normed, p.batch(), c.width);
  const Product gated[] = {{&layer.gate, p.ws.gate}, {&layer.up, p.ws.up}};
  linear(p.pool, p.kernels, input, gated);
  const auto activate = c.activation == Activation::kGelu ? p.kernels.gelu_mul : p.kernels.silu_mul;
  p.pool.run(p.batch(), [&](int t) {
    activate(p.ws.gate + static_cast<int64_t>(t) * c.ffn_width, p.ws.up + static_cast<int64_t>(t) * c.ffn_width, c.ffn_width);
  });
  const Activations hidden = p.ws.input.quantize(p.pool, p.kernels, p.ws.gate, p.batch(), c.ffn_width);
  const Product output[] = {{&layer.down, p.ws.normed}};
  linear(p.pool, p.kernels, hidden, output);
  if (layer.post_ffn_norm != nullptr) norm_rows(p, p.ws.normed, layer.post_ffn_norm, p.ws.normed);
  add_rows(p, p.ws.normed, p.ws.x);
}

// x [B][width] = embedding rows of the tokens, scaled.
void embed(const Pass& p, const PackedMatrix& embedding) {
  const int64_t width = p.config.width;
  p.pool.run(p.batch(), [&](int t) {
    float* x = p.ws.x + t * width;
    unpack_row(embedding, p.tokens[t], x);
    for (int64_t i = 0; i < width; ++i) x[i] = x[i] * p.config.embedding_scale;
  });
}

}  // namespace

void forward(const Model& model, ThreadPool& pool, std::span<const int32_t> tokens, KvCache& cache, Workspace& workspace) {
  const Pass p{model.config, *model.kernels, pool, cache, workspace, tokens, cache.size()};
  embed(p, model.weights.embedding);
  const int half = Workspace::kMaxBatch * (p.config.head_dim / 2);
  rope_table(p.config.rope, p.first, p.batch(), rope_rows(p, 0), rope_rows(p, 0) + half);
  if (p.config.window_pattern > 0) rope_table(p.config.rope_local, p.first, p.batch(), rope_rows(p, 1), rope_rows(p, 1) + half);
  for (int index = 0; index < p.config.layers; ++index) {
    attention_block(p, model.weights.layers[index], index);
    ffn_block(p, model.weights.layers[index]);
  }
  cache.commit(p.first + p.batch());
}

void compute_logits(const Model& model, ThreadPool& pool, int first, int count, Workspace& workspace) {
  const Config& c = model.config;
  const KernelTable& kernels = *model.kernels;
  const float* x = workspace.x + static_cast<int64_t>(first) * c.width;
  for (int t = 0; t < count; ++t) {
    kernels.rms_norm(x + static_cast<int64_t>(t) * c.width, model.weights.output_norm, c.width, c.norm_epsilon,
                     workspace.normed + static_cast<int64_t>(t) * c.width);
  }
  const Activations input = workspace.input.quantize(pool, kernels, workspace.normed, count, c.width);
  const Product output[] = {{&model.weights.output, workspace.logits}};
  linear(pool, kernels, input, output);
}

}  // namespace tessera

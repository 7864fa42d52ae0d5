#include "core/model/forward.h"

#include <algorithm>
#include <cmath>

#include "core/base/math.h"
#include "core/kernels/pack.h"
#include "core/model/attention.h"
#include "core/model/experts.h"
#include "core/model/short_conv.h"
#include "core/ops/linear.h"
#include "core/ops/rope.h"

namespace tessera {
namespace {

constexpr Projection kQkv[] = {Projection::kQ, Projection::kK, Projection::kV}, kOutput[] = {Projection::kOutput};
constexpr Projection kConvIn[] = {Projection::kConvIn}, kConvOut[] = {Projection::kConvOut};
constexpr Projection kGated[] = {Projection::kGate, Projection::kUp}, kDown[] = {Projection::kDown};

// Everything one pass hands from step to step. B = batch.
struct Pass {
  const Config& config;
  const KernelTable& kernels;
  ThreadPool& pool;
  KvCache& cache;
  Workspace& ws;
  int batch;  // tokens
  int first;  // position of the first
};

// What cross() leaves for the products of the next block.
Activations normed_input(const Pass& p) { return p.ws.input.view(p.ws.normed, p.batch, p.config.width); }

float* row_of(float* rows, int t, int64_t width) { return rows + t * width; }

// Ends one block and begins the next: x += post_norm(normed + bias), x *= scale; normed = next_norm(x), quantised. Without a norm, bias
// or scale that step is left out; `opening` has no block to end, `closing` none to begin.
struct Seam {
  bool opening = false;
  bool closing = false;
  const float* bias = nullptr;
  const float* post_norm = nullptr;
  const float* scale = nullptr;  // [1]
  const float* next_norm = nullptr;
};
void cross(const Pass& p, const Seam& seam) {
  const WorkTimer timer(p.ws.profile, Work::kNorm);
  const int64_t width = p.config.width;
  const float epsilon = p.config.norm_epsilon;
  const Activations input = normed_input(p);
  p.pool.run(p.batch, [&](int t) {
    float* x = row_of(p.ws.x, t, width);
    float* normed = row_of(p.ws.normed, t, width);
    if (!seam.opening) {
      add_bias(seam.bias, width, normed);
      if (seam.post_norm != nullptr) p.kernels.rms_norm(normed, seam.post_norm, width, epsilon, normed);
      for (int64_t i = 0; i < width; ++i) x[i] = x[i] + normed[i] * p.config.residual_scale;
      if (seam.scale != nullptr) {
        for (int64_t i = 0; i < width; ++i) x[i] = x[i] * *seam.scale;
      }
    }
    if (seam.closing) return;
    if (seam.next_norm != nullptr) {
      p.kernels.rms_norm(x, seam.next_norm, width, epsilon, normed);
    } else {
      std::copy_n(x, width, normed);
    }
    p.ws.input.quantize(p.kernels, input, t);
  });
}

// products[i] is projection projections[i] of layer `index`, or nothing that an adapter adds to where there are no projections.
void multiply(const Pass& p, int index, std::span<const Product> products, std::span<const Projection> projections) {
  const WorkTimer timer(p.ws.profile, Work::kProducts);
  if (p.ws.input.observer != nullptr) p.ws.input.observer->observe(products);
  linear(p.pool, p.kernels, products);
  if (!projections.empty() && !p.ws.adapters.empty()) p.ws.adapters.add(p.pool, index, products, projections);
}

// The cosines and sines of the batch's positions: global layers at table 0, local ones at table 1.
float* rope_rows(const Pass& p, int table) { return p.ws.rope + static_cast<int64_t>(table) * Workspace::kMaxBatch * p.config.head_dim; }

// RMS norm of each `part` values of x [width].
void norm_parts(const Pass& p, const float* weight, int width, int part, float* x) {
  for (int at = 0; at < width; at += part) p.kernels.rms_norm(x + at, weight, part, p.config.norm_epsilon, x + at);
}

// What the query of a position is multiplied by besides the attention scale.
float temperature(const Config& c, int position) {
  if (c.temperature_scale == 0) return 1.0f;
  return static_cast<float>(1.0 + c.temperature_scale * log_f64(1.0 + position / c.temperature_length));
}

// Turns `heads` heads of token t by its position and multiplies them by `scale`.
void rotate(const Pass& p, int index, int t, int heads, float scale, float* x) {
  const Config& c = p.config;
  const bool local = c.is_local(index);
  const RopeConfig& rope = local ? c.rope_local : c.rope;
  const float* cosines = rope_rows(p, local) + static_cast<int64_t>(t) * (rope.dims / 2);
  const float* sines = cosines + Workspace::kMaxBatch * (c.head_dim / 2);
  rope_apply(rope, cosines, sines, heads, c.head_dim_of(index), scale, x);
}

// Norm of each head and rotation of `heads` heads of q or k of token t, which are multiplied by `scale`, too.
void norm_and_rotate(const Pass& p, int index, int t, int heads, const float* norm, float scale, float* x) {
  const Config& c = p.config;
  const int head_dim = c.head_dim_of(index), width = heads * head_dim;
  const bool turned = c.has_rope(index), norm_last = c.qk_norm == QkNorm::kHeadBehindRope;
  if (c.qk_norm == QkNorm::kHead) norm_parts(p, norm, width, head_dim, x);
  if (turned) rotate(p, index, t, heads, norm_last ? 1.0f : scale, x);
  if (norm_last) norm_parts(p, norm, width, head_dim, x);
  if (norm_last || !turned) {
    for (int i = 0; i < width; ++i) x[i] = x[i] * scale;
  }
}

// Some neighbouring KV heads of token t: their keys and values, and the queries that look at them.
struct Heads {
  int64_t query, key;     // where they begin in a row of q, and in one of k or v
  int64_t queries, keys;  // values
  float *q, *k, *v;
};
Heads heads_of(const Pass& p, int index, int t, int first, int count) {
  const int64_t all = p.config.kv_heads_of(index), q_width = p.config.q_width(index), kv_width = p.config.kv_width(index);
  const int64_t query = q_width / all * first, key = kv_width / all * first;
  return {query,
          key,
          q_width / all * count,
          kv_width / all * count,
          row_of(p.ws.q, t, q_width) + query,
          row_of(p.ws.k, t, kv_width) + key,
          row_of(p.ws.v, t, kv_width) + key};
}

const float* from(const float* bias, int64_t at) { return bias != nullptr ? bias + at : nullptr; }

void add_biases(const LayerWeights& layer, const Heads& h) {
  add_bias(from(layer.q_bias, h.query), h.queries, h.q);
  if (layer.wk.rows == 0) return;
  add_bias(from(layer.k_bias, h.key), h.keys, h.k);
  if (layer.wv.rows == 0) std::copy_n(h.k, h.keys, h.v);
  add_bias(from(layer.v_bias, h.key), h.keys, h.v);
}

// What takes all heads of a token at once: norms over the width, and before them the biases.
void norm_widths(const Pass& p, const LayerWeights& layer, int index) {
  if (p.config.qk_norm != QkNorm::kWidth) return;
  const WorkTimer timer(p.ws.profile, Work::kRope);
  p.pool.run(p.batch, [&](int t) {
    const Heads h = heads_of(p, index, t, 0, p.config.kv_heads_of(index));
    add_biases(layer, h);
    p.kernels.rms_norm(h.q, layer.q_norm, h.queries, p.config.norm_epsilon, h.q);
    if (layer.wk.rows > 0) p.kernels.rms_norm(h.k, layer.k_norm, h.keys, p.config.norm_epsilon, h.k);
  });
}

// The rest, for one KV head of a token: optional biases and norms, rotation, which also scales q, its codes for a Q16_8 cache, and k and v
// into the cache.
void place(const Pass& p, const LayerWeights& layer, int index, int kv_head, int t) {
  const Config& c = p.config;
  const int head_dim = c.head_dim_of(index), heads = c.heads / c.kv_heads_of(index);
  const Heads h = heads_of(p, index, t, kv_head, 1);
  if (c.qk_norm != QkNorm::kWidth) add_biases(layer, h);
  norm_and_rotate(p, index, t, heads, layer.q_norm, c.attention_scale * temperature(c, p.first + t), h.q);
  if (p.cache.type() == KvType::kQ16_8) {
    int16_t* codes = p.ws.q_codes + (h.q - p.ws.q);
    float* scales = p.ws.q_scales + t * c.heads + kv_head * heads;
    for (int i = 0; i < heads; ++i) {
      scales[i] = p.kernels.quantize_words(h.q + i * head_dim, head_dim, p.cache.score_code(index), codes + i * head_dim);
    }
  }
  if (layer.wk.rows == 0) return;
  if (layer.v_norm != nullptr) norm_parts(p, layer.v_norm, head_dim, head_dim, h.v);
  norm_and_rotate(p, index, t, 1, layer.k_norm, 1.0f, h.k);
  p.cache.write(p.kernels, index, p.first + t, kv_head, h.k, h.v);
}

// ws.attended, quantised: attention of every head over the cache, into which k and v are written first.
Activations attend(const Pass& p, const LayerWeights& layer, int index) {
  const Config& c = p.config;
  const Activations attended = p.ws.input.view(p.ws.attended, p.batch, c.q_width(index));
  const WorkTimer timer(p.ws.profile, Work::kAttention);
  const AttentionBatch batch{.layer = index,
                             .first = p.first,
                             .tokens = p.batch,
                             .window = c.is_local(index) ? c.window : 0,
                             .sinks = layer.sinks,
                             .queries = p.ws.q,
                             .quantized = {p.ws.q_codes, p.ws.q_scales},
                             .out = p.ws.attended,
                             .states = p.ws.attention_states};
  const bool in_blocks = c.q_width(index) / c.kv_heads_of(index) % kActivationBlock == 0;
  SharedTime rope(p.ws.profile);
  const auto place_tokens = [&](int kv_head, int first, int end) {
    const auto start = rope.start();
    for (int t = first; t < end; ++t) place(p, layer, index, kv_head, t);
    rope.stop(start);
  };
  attention(p.pool, p.kernels, c, p.cache, p.ws.attention_scratch, batch, place_tokens, [&](int t, int64_t first, int64_t end) {
    if (in_blocks) p.ws.input.quantize(p.kernels, attended, t, first, end);
  });
  rope.move(Work::kAttention, Work::kRope, p.pool.size());
  if (!in_blocks) p.pool.run(p.batch, [&](int t) { p.ws.input.quantize(p.kernels, attended, t); });
  return attended;
}

// normed = wo · attention(…normed…), of norm(x), quantised.
void attention_block(const Pass& p, const LayerWeights& layer, int index) {
  const Activations input = normed_input(p);
  const Product projections[] = {{&layer.wq, input, p.ws.q}, {&layer.wk, input, p.ws.k}, {&layer.wv, input, p.ws.v}};
  const size_t count = layer.wk.rows == 0 ? 1 : layer.wv.rows == 0 ? 2 : 3;
  multiply(p, index, std::span(projections).first(count), std::span(kQkv).first(count));
  norm_widths(p, layer, index);
  const Product output[] = {{&layer.wo, attend(p, layer, index), p.ws.normed}};
  multiply(p, index, output, kOutput);
}

// ws.convolved, quantised: b, c and x of ws.mixed through the convolution.
Activations convolve(const Pass& p, const LayerWeights& layer, int index) {
  const int64_t width = p.config.width;
  const Activations convolved = p.ws.input.view(p.ws.convolved, p.batch, width);
  const WorkTimer timer(p.ws.profile, Work::kAttention);
  const ShortConvBatch batch{
      .layer = index, .first = p.first, .tokens = p.batch, .taps = layer.conv_taps, .mixed = p.ws.mixed, .out = p.ws.convolved};
  constexpr int64_t kSpan = 8 * kActivationBlock;
  p.pool.run(static_cast<int>((width + kSpan - 1) / kSpan), [&](int task) {
    const int64_t begin = task * kSpan, end = std::min(width, begin + kSpan);
    short_conv(p.config, p.cache, batch, begin, end);
    for (int t = 0; t < p.batch; ++t) p.ws.input.quantize(p.kernels, convolved, t, begin, end);
  });
  return convolved;
}

// normed = conv_out · convolution(…normed…), of norm(x), quantised.
void short_conv_block(const Pass& p, const LayerWeights& layer, int index) {
  const Product in[] = {{&layer.conv_in, normed_input(p), p.ws.mixed}};
  multiply(p, index, in, kConvIn);
  const Product out[] = {{&layer.conv_out, convolve(p, layer, index), p.ws.normed}};
  multiply(p, index, out, kConvOut);
}

// x = max(x, 0)² (So et al. 2021).
void square_relu(float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = x[i] > 0.0f ? x[i] * x[i] : 0.0f;
}

// gate = act(gate) ⊙ up, quantised, for values [first, end) of some tokens; without a gate the up projection lies there.
void activate(const Pass& p, const Activations& hidden, int64_t first, int64_t end, int first_token, int end_token) {
  const GatedFn gated_mul = p.kernels.gated_for(p.config.activation);
  for (int t = first_token; t < end_token; ++t) {
    float* gate = row_of(p.ws.gate, t, hidden.width) + first;
    if (p.config.has_gate()) {
      gated_mul(gate, row_of(p.ws.up, t, hidden.width) + first, end - first);
    } else {
      square_relu(gate, end - first);
    }
    p.ws.hidden.quantize(p.kernels, hidden, t, first, end);
  }
}

// gate and up of a block of rows, and at once what is done with them: no phase of its own, and the rows are still in the cache.
void multiply_gated(const Pass& p, const Product& gate, const Product& up, const Activations& hidden) {
  const WorkTimer timer(p.ws.profile, Work::kProducts);
  SharedTime activation(p.ws.profile);
  linear_pair(p.pool, p.kernels, gate, up, [&](std::span<const Stretch> rows, int first_token, int end_token) {
    const auto start = activation.start();
    for (const Stretch& some : rows) activate(p, hidden, some.first, some.end, first_token, end_token);
    activation.stop(start);
  });
  activation.move(Work::kProducts, Work::kActivation, p.pool.size());
}

// normed = down · (act(gate · normed) ⊙ up · normed), of norm(x), quantised; without a gate down · act(up · normed).
void ffn_block(const Pass& p, const LayerWeights& layer, int index) {
  const int64_t width = layer.up.rows;
  const Activations input = normed_input(p);
  const Product gated[] = {{&layer.gate, input, p.ws.gate}, {&layer.up, input, p.config.has_gate() ? p.ws.up : p.ws.gate}};
  const Activations hidden = p.ws.hidden.view(p.ws.gate, p.batch, width);
  if (p.ws.adapters.empty() && p.config.has_gate()) {
    if (p.ws.input.observer != nullptr) p.ws.input.observer->observe(gated);
    multiply_gated(p, gated[0], gated[1], hidden);
  } else {
    const size_t skipped = p.config.has_gate() ? 0 : 1;
    multiply(p, index, std::span(gated).subspan(skipped), std::span(kGated).subspan(skipped));  // the adapters add to whole products
    const WorkTimer timer(p.ws.profile, Work::kActivation);
    p.pool.run(static_cast<int>((width + kActivationBlock - 1) / kActivationBlock), [&](int block) {
      const int64_t first = static_cast<int64_t>(block) * kActivationBlock;
      activate(p, hidden, first, std::min<int64_t>(width, first + kActivationBlock), 0, p.batch);
    });
  }
  const Product output[] = {{&layer.down, hidden, p.ws.normed}};
  multiply(p, index, output, kDown);
}

// normed = per_layer_output · (act(per_layer_gate · x) ⊙ the layer's part of ws.per_layer), of x, quantised.
void per_layer_block(const Pass& p, const LayerWeights& layer, int index) {
  const int64_t width = p.config.per_layer_width;
  const Product gate[] = {{&layer.per_layer_gate, normed_input(p), p.ws.gate}};
  multiply(p, index, gate, {});
  const Activations hidden = p.ws.hidden.view(p.ws.gate, p.batch, width);
  {
    const WorkTimer timer(p.ws.profile, Work::kActivation);
    p.pool.run(p.batch, [&](int t) {
      p.kernels.gated_for(p.config.activation)(row_of(p.ws.gate, t, width),
                                               row_of(p.ws.per_layer, t, p.config.layers * width) + index * width, width);
      p.ws.hidden.quantize(p.kernels, hidden, t);
    });
  }
  const Product output[] = {{&layer.per_layer_output, hidden, p.ws.normed}};
  multiply(p, index, output, {});
}

// ws.per_layer = (norm(per_layer_projection · x / √width) + √per_layer_width · the tokens' rows of per_layer_embedding) / √2, the norm over
// each layer's part. x is the scaled embedding.
void per_layer_inputs(const Pass& p, const Weights& weights, std::span<const int32_t> tokens) {
  const int part = p.config.per_layer_width, width = p.config.layers * part;
  cross(p, {.opening = true});
  const Product projection[] = {{&weights.per_layer_projection, normed_input(p), p.ws.gate}};
  multiply(p, 0, projection, {});
  const WorkTimer timer(p.ws.profile, Work::kEmbedding);
  const float projection_scale = 1.0f / std::sqrt(static_cast<float>(p.config.width)), row_scale = std::sqrt(static_cast<float>(part));
  const float mean = 1.0f / std::sqrt(2.0f);
  p.pool.run(p.batch, [&](int t) {
    float* projected = row_of(p.ws.gate, t, width);
    float* inputs = row_of(p.ws.per_layer, t, width);
    unpack_row(weights.per_layer_embedding, tokens[t], inputs);
    for (int i = 0; i < width; ++i) projected[i] = projected[i] * projection_scale;
    norm_parts(p, weights.per_layer_norm, width, part, projected);
    for (int i = 0; i < width; ++i) inputs[i] = (projected[i] + inputs[i] * row_scale) * mean;
  });
}

// x [B][width] = embedding rows of the tokens, scaled.
void embed(const Pass& p, const PackedMatrix& embedding, std::span<const int32_t> tokens) {
  const WorkTimer timer(p.ws.profile, Work::kEmbedding);
  const int64_t width = p.config.width;
  p.pool.run(p.batch, [&](int t) {
    float* x = p.ws.x + t * width;
    unpack_row(embedding, tokens[t], x);
    p.ws.adapters.add_embedding(tokens[t], x);
    for (int64_t i = 0; i < width; ++i) x[i] = x[i] * p.config.embedding_scale;
  });
}

}  // namespace

ForwardPass::ForwardPass(const Model& model, ThreadPool& pool, std::span<const int32_t> tokens, KvCache& cache, Workspace& workspace,
                         Upstream* upstream)
    : model_(model),
      pool_(pool),
      cache_(cache),
      workspace_(workspace),
      upstream_(upstream),
      tokens_(static_cast<int>(tokens.size())),
      next_layer_(upstream == nullptr ? model.weights.range.first : 0) {
  const Pass p{model.config, *model.kernels, pool, cache, workspace, tokens_, cache.size()};
  cache.prepare(p.first + p.batch);
  const int half = Workspace::kMaxBatch * (p.config.head_dim / 2);
  const bool stretched = p.config.original_context > 0 && cache.capacity() > p.config.original_context;
  const float* divisors = stretched ? model.weights.long_rope_divisors : model.weights.rope_divisors;
  rope_table(p.config.rope, divisors, p.first, p.batch, rope_rows(p, 0), rope_rows(p, 0) + half);
  if (p.config.window > 0) {
    const float* local_divisors = p.config.rope_local.divided ? divisors : nullptr;
    rope_table(p.config.rope_local, local_divisors, p.first, p.batch, rope_rows(p, 1), rope_rows(p, 1) + half);
  }
  if (upstream != nullptr) {
    upstream->begin(p.first, tokens);
  } else {
    if (model.weights.range.has_embedding()) embed(p, model.weights.embedding, tokens);
    if (p.config.per_layer_width > 0) per_layer_inputs(p, model.weights, tokens);
    enter();
  }
}

// From the residual stream in workspace.x to the input of the first layer of the range.
void ForwardPass::enter() {
  const Pass p{model_.config, *model_.kernels, pool_, cache_, workspace_, tokens_, cache_.size()};
  cross(p, {.opening = true, .next_norm = model_.weights.layers.front().attention_norm});
}

void ForwardPass::step() {
  const Pass p{model_.config, *model_.kernels, pool_, cache_, workspace_, tokens_, cache_.size()};
  const int index = next_layer_++;
  if (index < model_.weights.range.first) {
    upstream_->step();
    if (next_layer_ < model_.weights.range.first) return;
    upstream_->read({p.ws.x, static_cast<size_t>(tokens_) * p.config.width});
    return enter();
  }
  const LayerWeights& layer = model_.weights.layer(index);
  if (p.config.is_conv(index)) {
    short_conv_block(p, layer, index);
  } else {
    attention_block(p, layer, index);
  }
  cross(p, {.bias = layer.o_bias, .post_norm = layer.post_attention_norm, .next_norm = layer.ffn_norm});
  if (p.config.experts.count > 0) {
    expert_block(p.config, p.kernels, pool_, layer.experts, p.ws.normed, p.batch, p.ws.input, p.ws.experts, p.ws.profile, p.ws.normed);
  } else {
    ffn_block(p, layer, index);
  }
  const float* post_norm = layer.post_ffn_norm;
  if (p.config.per_layer_width > 0) {
    cross(p, {.post_norm = layer.post_ffn_norm});
    per_layer_block(p, layer, index);
    post_norm = layer.post_per_layer_norm;
  }
  cross(p, {.closing = done(),
            .post_norm = post_norm,
            .scale = layer.output_scale,
            .next_norm = done() ? nullptr : model_.weights.layer(next_layer_).attention_norm});
  if (done()) cache_.commit(p.first + p.batch);
}

void forward(const Model& model, ThreadPool& pool, std::span<const int32_t> tokens, KvCache& cache, Workspace& workspace) {
  ForwardPass pass(model, pool, tokens, cache, workspace);
  while (!pass.done()) pass.step();
}

void compute_logits(const Model& model, ThreadPool& pool, int first, int count, Workspace& workspace) {
  const WorkTimer timer(workspace.profile, Work::kOutput);
  const Config& c = model.config;
  const KernelTable& kernels = *model.kernels;
  const Activations input = workspace.input.view(workspace.normed, count, c.width);
  const float* x = workspace.x + static_cast<int64_t>(first) * c.width;
  for (int t = 0; t < count; ++t) {
    kernels.rms_norm(x + static_cast<int64_t>(t) * c.width, model.weights.output_norm, c.width, c.norm_epsilon,
                     workspace.normed + static_cast<int64_t>(t) * c.width);
    workspace.input.quantize(kernels, input, t);
  }
  const Product output[] = {{&model.weights.output, input, workspace.logits}};
  linear(pool, kernels, output);
  if (!workspace.adapters.empty()) workspace.adapters.add_output(pool, output[0]);
  if (c.logit_scale == 1.0f && c.logit_softcap == 0.0f) return;
  constexpr int kSpan = 4096;
  const int64_t values = static_cast<int64_t>(count) * c.vocab_size;
  pool.run(static_cast<int>((values + kSpan - 1) / kSpan), [&](int task) {
    for (int64_t i = static_cast<int64_t>(task) * kSpan; i < std::min<int64_t>(values, (task + 1ll) * kSpan); ++i) {
      float& logit = workspace.logits[i];
      logit = logit * c.logit_scale;
      if (c.logit_softcap > 0.0f) logit = soft_cap(logit, c.logit_softcap);
    }
  });
}

}  // namespace tessera

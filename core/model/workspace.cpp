#include "core/model/workspace.h"

#include <algorithm>
#include <array>

namespace tessera {
namespace {

constexpr size_t kBuffers = 18;
constexpr uint64_t kStateFloats = sizeof(AttentionState) / sizeof(float);

int64_t dense_width(const Config& c) { return c.experts.count > 0 ? 0 : c.ffn_width; }
int conv_width(const Config& c) { return c.conv_layers.empty() ? 0 : c.width; }
int64_t per_layer_width(const Config& c) { return static_cast<int64_t>(c.layers) * c.per_layer_width; }

// Floats of each buffer, in the order of the pointers in Workspace, each rounded up to a cache line.
std::array<uint64_t, kBuffers> buffer_floats(const Config& c) {
  const uint64_t batch = Workspace::kMaxBatch, states = batch * c.heads * kStateFloats;
  std::array<uint64_t, kBuffers> sizes = {batch * c.width,
                                          batch * c.width,
                                          batch * c.heads * c.head_dim,
                                          batch * c.max_kv_width(),
                                          batch * c.max_kv_width(),
                                          batch * c.heads * c.head_dim,
                                          3 * batch * conv_width(c),
                                          batch * conv_width(c),
                                          batch * std::max(dense_width(c), per_layer_width(c)),
                                          batch * dense_width(c),
                                          batch * per_layer_width(c),
                                          batch * 2 * c.head_dim,
                                          static_cast<uint64_t>(Workspace::kMaxLogits) * c.vocab_size,
                                          batch * c.heads * c.head_dim,
                                          2 * states,
                                          batch * c.heads,
                                          batch * c.heads * c.head_dim / 2,
                                          2ull * c.heads};
  for (uint64_t& size : sizes) size = (size + 15) / 16 * 16;
  return sizes;
}

uint64_t input_values(const Config& c) {
  const uint64_t widest = std::max<int64_t>(c.width, c.max_q_width());
  return std::max(Workspace::kMaxBatch * widest, ExpertBuffers::input_values(c));
}

uint64_t hidden_values(const Config& c) { return Workspace::kMaxBatch * std::max<int64_t>(dense_width(c), c.per_layer_width); }

}  // namespace

uint64_t Workspace::bytes(const Config& config, int code_bytes) {
  uint64_t floats = 0;
  for (uint64_t size : buffer_floats(config)) floats += size;
  return floats * sizeof(float) + InputBuffer::bytes(input_values(config), code_bytes) +
         InputBuffer::bytes(hidden_values(config), code_bytes) + ExpertBuffers::bytes(config);
}

Result<Workspace> Workspace::create(const Config& config, int code_bytes) {
  Workspace workspace;
  const auto sizes = buffer_floats(config);
  uint64_t floats = 0;
  for (uint64_t size : sizes) floats += size;
  auto memory = AlignedBuffer::allocate(floats * sizeof(float), "activations");
  if (!memory) return memory.error();
  workspace.memory_ = std::move(*memory);
  auto input = InputBuffer::create(input_values(config), code_bytes);
  if (!input) return input.error();
  workspace.input = std::move(*input);
  auto hidden = InputBuffer::create(hidden_values(config), code_bytes);
  if (!hidden) return hidden.error();
  workspace.hidden = std::move(*hidden);
  auto experts = ExpertBuffers::create(config);
  if (!experts) return experts.error();
  workspace.experts = std::move(*experts);

  float* next = workspace.memory_.as<float>();
  size_t i = 0;
  for (float** buffer : {&workspace.x, &workspace.normed, &workspace.q, &workspace.k, &workspace.v, &workspace.attended, &workspace.mixed,
                         &workspace.convolved, &workspace.gate, &workspace.up, &workspace.per_layer, &workspace.rope, &workspace.logits,
                         &workspace.attention_scratch.sums}) {
    *buffer = next;
    next += sizes[i++];
  }
  workspace.attention_scratch.rows = kMaxBatch;
  workspace.attention_scratch.states = reinterpret_cast<AttentionState*>(next);
  workspace.attention_states = workspace.attention_scratch.states + kMaxBatch * config.heads;
  next += sizes[i++];
  workspace.q_scales = next;
  next += sizes[i++];
  workspace.q_codes = reinterpret_cast<int16_t*>(next);
  next += sizes[i++];
  workspace.attention_scratch.left = reinterpret_cast<uint32_t*>(next);
  workspace.attention_scratch.placed = workspace.attention_scratch.left + config.heads;
  return workspace;
}

}  // namespace tessera

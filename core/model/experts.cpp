#include "core/model/experts.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/base/heap_sort.h"
#include "core/base/math.h"

namespace tessera {
namespace {

constexpr size_t kFloatBuffers = 9;

// Floats of each buffer, in the order of the pointers in ExpertBuffers, each rounded up to a cache line.
std::array<uint64_t, kFloatBuffers> buffer_floats(const Config& c) {
  const ExpertConfig& e = c.experts;
  const uint64_t n = ExpertBuffers::kTokens, slots = n * e.used, shared = n * e.shared_width;
  std::array<uint64_t, kFloatBuffers> sizes = {
      n * e.count, slots, slots * c.width, slots * e.width, slots * e.width, shared, shared, e.shared_width > 0 ? n * c.width : 0, n};
  for (uint64_t& size : sizes) size = (size + 15) / 16 * 16;
  return sizes;
}

uint64_t sum_of(const std::array<uint64_t, kFloatBuffers>& sizes) {
  uint64_t sum = 0;
  for (uint64_t size : sizes) sum += size;
  return sum;
}

float sigmoid(float x) { return 1.0f / (1.0f + exp_f32(-x)); }

// One part of a batch on its way through the experts: at most ExpertBuffers::kTokens tokens.
class ExpertPass {
 public:
  ExpertPass(const Config& config, const KernelTable& kernels, ThreadPool& pool, const ExpertWeights& weights, InputBuffer& input,
             ExpertBuffers& buffers, Profile* profile)
      : config_(config), kernels_(kernels), pool_(pool), weights_(weights), input_(input), b_(buffers), profile_(profile) {}

  void run(const float* x, int tokens, float* out) {
    tokens_ = tokens;
    route(x);
    if (config_.experts.shared_width > 0) go_through_shared();
    gather(x);
    go_through_chosen();
    add_up(out);
  }

 private:
  int64_t width() const { return config_.width; }
  int used() const { return config_.experts.used; }
  int slots() const { return tokens_ * used(); }

  void multiply(std::span<const Product> products) {
    const WorkTimer timer(profile_, Work::kProducts);
    if (input_.observer != nullptr) input_.observer->observe(products);
    linear(pool_, kernels_, products);
  }

  int expert_of(int slot) const { return b_.chosen[b_.pair_of[slot]]; }

  // gate [rows][width] = act(gate) ⊙ up, quantised; before(row) comes first.
  template <class Before>
  Activations activate(float* gate, const float* up, int rows, int64_t width, const Before& before) {
    const WorkTimer timer(profile_, Work::kActivation);
    const Activations hidden = input_.view(gate, rows, width);
    const GatedFn act = kernels_.gated_for(config_.activation);
    pool_.run(rows, [&](int row) {
      before(row);
      act(gate + row * width, up + row * width, width);
      input_.quantize(kernels_, hidden, row);
    });
    return hidden;
  }

  // Everything that all tokens go through; then each token's choice.
  void route(const float* x) {
    const Activations input = input_.view(x, tokens_, width());
    pool_.run(tokens_, [&](int t) { input_.quantize(kernels_, input, t); });
    b_.products.assign(1, {&weights_.router, input, b_.logits});
    if (config_.experts.shared_width > 0) {
      b_.products.push_back({&weights_.shared_gate, input, b_.shared_gate});
      b_.products.push_back({&weights_.shared_up, input, b_.shared_up});
      if (config_.experts.shared_gate) b_.products.push_back({&weights_.shared_router, input, b_.shared_factor});
    }
    multiply(b_.products);
    const WorkTimer timer(profile_, Work::kActivation);
    const size_t count = config_.experts.count, k = used();
    pool_.run(tokens_, [&](int t) {
      add_bias(weights_.router_bias, count, b_.logits + t * count);
      choose_experts({b_.logits + t * count, count}, config_.experts.renormalize, std::span(b_.chosen).subspan(t * k, k),
                     {b_.probabilities + t * k, k});
    });
    sort_by_expert();
  }

  // Slots by expert, within one by token.
  void sort_by_expert() {
    std::ranges::fill(b_.first_slot, 0);
    for (int i = 0; i < slots(); ++i) b_.first_slot[b_.chosen[i] + 1] += 1;
    for (size_t e = 1; e < b_.first_slot.size(); ++e) b_.first_slot[e] += b_.first_slot[e - 1];
    for (int i = 0; i < slots(); ++i) {
      const int slot = b_.first_slot[b_.chosen[i]]++;
      b_.slot_of[i] = slot;
      b_.pair_of[slot] = i;
    }
    for (size_t e = b_.first_slot.size() - 1; e > 0; --e) b_.first_slot[e] = b_.first_slot[e - 1];
    b_.first_slot[0] = 0;
  }

  void go_through_shared() {
    const Activations hidden = activate(b_.shared_gate, b_.shared_up, tokens_, config_.experts.shared_width, [](int) {});
    const Product down[] = {{&weights_.shared_down, hidden, b_.shared_out}};
    multiply(down);
  }

  void gather(const float* x) {
    const WorkTimer timer(profile_, Work::kActivation);
    const Activations input = input_.view(b_.slots, slots(), width());
    pool_.run(slots(), [&](int slot) {
      std::copy_n(x + b_.pair_of[slot] / used() * width(), width(), b_.slots + slot * width());
      input_.quantize(kernels_, input, slot);
    });
  }

  void go_through_chosen() {
    const int64_t hidden_width = config_.experts.width;
    const Activations input = input_.view(b_.slots, slots(), width());
    b_.products.clear();
    each_expert([&](int e, int first, int count) {
      const Activations own = some_tokens(input, first, count);
      b_.products.push_back({&weights_.gate[e], own, b_.gate + first * hidden_width});
      b_.products.push_back({&weights_.up[e], own, b_.up + first * hidden_width});
    });
    multiply(b_.products);
    const Activations hidden = activate(b_.gate, b_.up, slots(), hidden_width, [&](int slot) {
      if (!config_.experts.biases) return;
      add_bias(weights_.gate_bias + expert_of(slot) * hidden_width, hidden_width, b_.gate + slot * hidden_width);
      add_bias(weights_.up_bias + expert_of(slot) * hidden_width, hidden_width, b_.up + slot * hidden_width);
    });
    b_.products.clear();
    each_expert([&](int e, int first, int count) {
      b_.products.push_back({&weights_.down[e], some_tokens(hidden, first, count), b_.slots + first * width()});
    });
    multiply(b_.products);
  }

  template <class Visit>
  void each_expert(const Visit& visit) const {
    for (int e = 0; e < config_.experts.count; ++e) {
      const int first = b_.first_slot[e], count = b_.first_slot[e + 1] - first;
      if (count > 0) visit(e, first, count);
    }
  }

  void add_up(float* out) const {
    const WorkTimer timer(profile_, Work::kActivation);
    pool_.run(tokens_, [&](int t) {
      float* y = out + t * width();
      for (int i = 0; i < used(); ++i) {
        const float p = b_.probabilities[t * used() + i];
        float* from = b_.slots + b_.slot_of[t * used() + i] * width();
        if (config_.experts.biases) add_bias(weights_.down_bias + b_.chosen[t * used() + i] * width(), width(), from);
        for (int64_t d = 0; d < width(); ++d) y[d] = i == 0 ? p * from[d] : y[d] + p * from[d];
      }
      if (config_.experts.shared_width == 0) return;
      const float factor = config_.experts.shared_gate ? sigmoid(b_.shared_factor[t]) : 1.0f;
      const float* from = b_.shared_out + t * width();
      for (int64_t d = 0; d < width(); ++d) y[d] = y[d] + factor * from[d];
    });
  }

  const Config& config_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  const ExpertWeights& weights_;
  InputBuffer& input_;
  ExpertBuffers& b_;
  Profile* profile_;
  int tokens_ = 0;
};

}  // namespace

uint64_t ExpertBuffers::bytes(const Config& config) {
  const ExpertConfig& e = config.experts;
  if (e.count == 0) return 0;
  return sum_of(buffer_floats(config)) * sizeof(float) + (3ull * kTokens * e.used + e.count + 1) * sizeof(int) +
         (2ull * e.count + 4) * sizeof(Product);
}

uint64_t ExpertBuffers::input_values(const Config& config) {
  const ExpertConfig& e = config.experts;
  return static_cast<uint64_t>(kTokens) * std::max<int64_t>(int64_t{e.used} * std::max(config.width, e.width), e.shared_width);
}

Result<ExpertBuffers> ExpertBuffers::create(const Config& config) {
  ExpertBuffers buffers;
  if (config.experts.count == 0) return buffers;
  const auto sizes = buffer_floats(config);
  auto memory = AlignedBuffer::allocate(sum_of(sizes) * sizeof(float), "the experts' activations");
  if (!memory) return memory.error();
  buffers.memory_ = std::move(*memory);
  float* next = buffers.memory_.as<float>();
  size_t i = 0;
  for (float** buffer : {&buffers.logits, &buffers.probabilities, &buffers.slots, &buffers.gate, &buffers.up, &buffers.shared_gate,
                         &buffers.shared_up, &buffers.shared_out, &buffers.shared_factor}) {
    *buffer = next;
    next += sizes[i++];
  }
  const size_t slots = static_cast<size_t>(kTokens) * config.experts.used;
  buffers.chosen.resize(slots);
  buffers.slot_of.resize(slots);
  buffers.pair_of.resize(slots);
  buffers.first_slot.resize(config.experts.count + 1);
  buffers.products.reserve(2 * config.experts.count + 4);
  return buffers;
}

void choose_experts(std::span<float> logits, bool renormalize, std::span<int> chosen, std::span<float> probabilities) {
  float maximum = -std::numeric_limits<float>::infinity();
  for (const float logit : logits) maximum = logit > maximum ? logit : maximum;
  float sum = 0.0f;
  for (float& logit : logits) {
    logit = exp_f32(logit - maximum);
    sum = sum + logit;
  }
  for (float& p : logits) p = p / sum;
  for (size_t rank = 0; rank < chosen.size(); ++rank) {
    const auto taken = chosen.first(rank);
    int best = -1;
    for (int e = 0; e < static_cast<int>(logits.size()); ++e) {
      if ((best < 0 || logits[e] > logits[best]) && std::ranges::find(taken, e) == taken.end()) best = e;
    }
    chosen[rank] = best;
  }
  heap_sort(chosen.begin(), chosen.end());
  float total = 0.0f;
  for (size_t i = 0; i < chosen.size(); ++i) {
    probabilities[i] = logits[chosen[i]];
    total = total + probabilities[i];
  }
  if (!renormalize) return;
  for (float& p : probabilities) p = p / total;
}

void expert_block(const Config& config, const KernelTable& kernels, ThreadPool& pool, const ExpertWeights& weights, const float* x,
                  int tokens, InputBuffer& input, ExpertBuffers& buffers, Profile* profile, float* out) {
  ExpertPass pass(config, kernels, pool, weights, input, buffers, profile);
  for (int first = 0; first < tokens; first += ExpertBuffers::kTokens) {
    const int64_t at = static_cast<int64_t>(first) * config.width;
    pass.run(x + at, std::min(ExpertBuffers::kTokens, tokens - first), out + at);
  }
}

}  // namespace tessera

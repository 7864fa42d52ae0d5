#include "core/model/lora.h"

#include <array>
#include <cmath>
#include <string>

#include "core/model/lora_loader.h"

namespace tessera {
namespace {

// Inner products of one adapter in one call.
size_t inner_floats(int rank, int max_tokens) {
  constexpr size_t kProductsOfACall = 3;  // q, k, v
  return kProductsOfACall * rank * max_tokens;
}

}  // namespace

/// One adapter's part in one product of a call.
struct AdapterSet::Term {
  const LowRank* low_rank;
  float scale;
  int product;
};

Result<void> AdapterSet::check(std::span<const float> scales) {
  if (scales.size() > kMost) {
    return Error{ErrorCode::kInvalidArgument,
                 "lora: " + std::to_string(scales.size()) + " adapters, expected at most " + std::to_string(kMost), "merge some of them"};
  }
  for (const float scale : scales) {
    if (!std::isfinite(scale)) {
      return Error{ErrorCode::kInvalidArgument, "lora: the scale " + std::to_string(scale) + " is not a finite number", "1 is usual"};
    }
  }
  return {};
}

Result<uint64_t> AdapterSet::measure(const GgufFile& file, const Config& config, int max_tokens) {
  const Result<Adapter> adapter = AdapterLoader(file, config, true).load();
  if (!adapter) return adapter.error();
  return adapter.value().bytes() + inner_floats(adapter.value().largest_rank(), max_tokens) * sizeof(float);
}

Result<AdapterSet> AdapterSet::create(std::vector<ActiveAdapter> adapters, int max_tokens) {
  std::vector<float> scales;
  size_t inner = 0;
  for (const ActiveAdapter& active : adapters) {
    scales.push_back(active.scale);
    inner += inner_floats(active.adapter->largest_rank(), max_tokens);
  }
  if (auto checked = check(scales); !checked) return checked.error();
  AdapterSet set;
  set.inner_.resize(inner);
  set.adapters_ = std::move(adapters);
  return set;
}

void AdapterSet::add(ThreadPool& pool, int layer, std::span<const Product> products, std::span<const Projection> projections) {
  std::array<Term, 3 * kMost> terms;
  size_t count = 0;
  for (const ActiveAdapter& active : adapters_) {
    for (size_t i = 0; i < products.size(); ++i) {
      const LowRank& term = active.adapter->term(layer, projections[i]);
      if (term.rank > 0) terms[count++] = {&term, active.scale * active.adapter->scale_of(term), static_cast<int>(i)};
    }
  }
  add_terms(pool, std::span(terms).first(count), products);
}

void AdapterSet::add_output(ThreadPool& pool, const Product& product) {
  std::array<Term, kMost> terms;
  size_t count = 0;
  for (const ActiveAdapter& active : adapters_) {
    const LowRank& term = active.adapter->output();
    if (term.rank > 0) terms[count++] = {&term, active.scale * active.adapter->scale_of(term), 0};
  }
  add_terms(pool, std::span(terms).first(count), {&product, 1});
}

void AdapterSet::add_terms(ThreadPool& pool, std::span<const Term> terms, std::span<const Product> products) {
  if (terms.empty()) return;
  const int tokens = products.front().x.tokens;
  std::array<float*, 3 * kMost> inner;
  float* next = inner_.data();
  for (size_t i = 0; i < terms.size(); ++i) {
    inner[i] = next;
    next += static_cast<size_t>(tokens) * terms[i].low_rank->rank;
  }
  pool.run(static_cast<int>(terms.size()) * tokens, [&](int task) {
    const Term& term = terms[task / tokens];
    const int t = task % tokens;
    const LowRank& low_rank = *term.low_rank;
    low_rank_inner(low_rank, products[term.product].x.values + t * low_rank.width, inner[task / tokens] + t * low_rank.rank);
  });
  constexpr int64_t kSpan = 1024;
  int64_t longest = 0;
  for (const Product& product : products) longest = std::max(longest, product.weights->rows);
  const int spans = static_cast<int>((longest + kSpan - 1) / kSpan);
  pool.run(tokens * spans, [&](int task) {
    const int t = task / spans;
    const int64_t first = task % spans * kSpan;
    for (size_t i = 0; i < terms.size(); ++i) {
      const LowRank& low_rank = *terms[i].low_rank;
      const int64_t end = std::min(first + kSpan, low_rank.rows);
      if (first < end) {
        low_rank_add(low_rank, inner[i] + t * low_rank.rank, terms[i].scale, first, end,
                     products[terms[i].product].out + t * low_rank.rows);
      }
    }
  });
}

void AdapterSet::add_embedding(int32_t token, float* x) const {
  for (const ActiveAdapter& active : adapters_) {
    const LowRank& term = active.adapter->embedding();
    if (term.rank == 0) continue;
    low_rank_add(term, term.a + static_cast<int64_t>(token) * term.rank, active.scale * active.adapter->scale_of(term), 0, term.rows, x);
  }
}

Result<Adapter> Adapter::load(const GgufFile& file, const Config& config) { return AdapterLoader(file, config).load(); }

}  // namespace tessera

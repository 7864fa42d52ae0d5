// Owns low-rank adapters: reading an adapter GGUF for a model, and adding its terms to a session's products.
// Keys and tensor names: general.type "adapter", adapter.type "lora", adapter.lora.alpha; NAME.lora_a, NAME.lora_b (GGUF specification).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"
#include "core/model/config.h"
#include "core/ops/linear.h"
#include "core/ops/low_rank.h"

namespace tessera {

/// Matrices of a layer that an adapter can add to.
enum class Projection { kQ, kK, kV, kOutput, kConvIn, kConvOut, kGate, kUp, kDown };
inline constexpr int kProjections = 9;

/// One adapter in f32, checked against a model. Immutable after load; may be shared by sessions.
class Adapter {
 public:
  /// kBadFile or kUnsupported names the key or the first tensor that does not fit `config`; kNotFound a key or the other half of a pair.
  static Result<Adapter> load(const GgufFile& file, const Config& config);

  /// alpha / rank of that term: what it is multiplied by besides the caller's scale. 1 where the file has no alpha or 0, as in llama.cpp.
  float scale_of(const LowRank& term) const { return alpha_ == 0.0f ? 1.0f : alpha_ / static_cast<float>(term.rank); }
  const LowRank& term(int layer, Projection projection) const { return layers_[layer * kProjections + static_cast<int>(projection)]; }
  const LowRank& output() const { return output_; }
  const LowRank& embedding() const { return embedding_; }  ///< a: [vocab][rank], read by token instead of multiplied
  int largest_rank() const { return largest_rank_; }
  uint64_t bytes() const { return bytes_; }  ///< in memory

 private:
  friend class AdapterLoader;
  float alpha_ = 0;
  std::vector<LowRank> layers_;
  LowRank output_, embedding_;
  std::vector<std::vector<float>> values_;
  int largest_rank_ = 0;
  uint64_t bytes_ = 0;
};

/// An adapter at work: its terms are multiplied by `scale`, too.
struct ActiveAdapter {
  std::shared_ptr<const Adapter> adapter;
  float scale = 1;
};

/// The adapters of one session and room for their inner products.
class AdapterSet {
 public:
  static constexpr int kMost = 8;  ///< adapters at a time

  /// kInvalidArgument for too many adapters, or a scale that is not finite.
  static Result<void> check(std::span<const float> scales);
  /// Bytes that an adapter takes in memory, itself and its room in a set, from the file's header alone. Errors of Adapter::load.
  static Result<uint64_t> measure(const GgufFile& file, const Config& config, int max_tokens);

  /// `max_tokens`: of one batch. Errors of check.
  static Result<AdapterSet> create(std::vector<ActiveAdapter> adapters, int max_tokens);

  bool empty() const { return adapters_.empty(); }
  /// Adds the terms of products[i] as projection `projections[i]` of `layer`, adapter after adapter; the products are done already.
  void add(ThreadPool& pool, int layer, std::span<const Product> products, std::span<const Projection> projections);
  /// The same for the output matrix.
  void add_output(ThreadPool& pool, const Product& product);
  /// Adds to a token's embedding x [width] before it is scaled.
  void add_embedding(int32_t token, float* x) const;

 private:
  struct Term;
  void add_terms(ThreadPool& pool, std::span<const Term> terms, std::span<const Product> products);
  std::vector<ActiveAdapter> adapters_;
  std::vector<float> inner_;  ///< [terms][tokens][rank] of one call
};

}  // namespace tessera

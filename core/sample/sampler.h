// Owns LOGITS → TOKEN: the chain logit bias → penalties → top-k → typical → top-p → min-p → temperature → draw.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/base/rng.h"

namespace tessera {

/// One answer's sampling settings. The defaults leave the distribution as the model gave it, at temperature 1.
struct SamplerOptions {
  float temperature = 1.0f;        ///< 0…; 0 takes the most likely token (lowest id on a tie)
  int top_k = 0;                   ///< 0 = off, else keep the k most likely
  float top_p = 1.0f;              ///< (0, 1]; 1 = off
  float min_p = 0.0f;              ///< [0, 1]; 0 = off; keep tokens with at least min_p × the best probability
  float typical_p = 1.0f;          ///< (0, 1]; 1 = off; locally typical sampling (Meister et al. 2022)
  float repeat_penalty = 1.0f;     ///< > 0; 1 = off; divides positive and multiplies negative logits (CTRL, Keskar et al. 2019)
  float frequency_penalty = 0.0f;  ///< [-2, 2]; subtracted once per earlier occurrence
  float presence_penalty = 0.0f;   ///< [-2, 2]; subtracted once if it occurred
  int penalty_window = 64;         ///< how many of the last tokens the penalties see; 0 = none
  std::vector<std::pair<int32_t, float>> logit_bias;  ///< added before everything else; -100 or less forbids the token
  uint64_t seed = 0;                                  ///< the same seed, logits and options give the same tokens on every platform

  /// kInvalidArgument naming the first option outside its range (or a bias for an id outside [0, vocab_size) or not finite).
  Result<void> validate(int vocab_size) const;
};

/// Draws tokens. One object per answer; not thread-safe. Deterministic across platforms: own exp, own RNG, ordered sums.
class Sampler {
 public:
  /// A token that is still in the running.
  struct Candidate {
    int32_t id;
    float logit;        ///< after bias and penalties, never NaN
    float probability;  ///< in the distribution that was drawn from
  };

  /// `options` must have passed validate().
  explicit Sampler(const SamplerOptions& options) : options_(options), rng_(options.seed) {}

  /// Tells the penalties which tokens came before: the prompt first, then each drawn token.
  void accept(int32_t token);

  /// Picks the next token from `logits` [vocab], vocab ≥ 1. NaN counts as the lowest logit there is. With temperature 0 the
  /// truncation stages are skipped: the most likely token always survives top-k, top-p and min-p.
  int32_t sample(std::span<const float> logits);

  /// What the last sample() chose among; one entry after a greedy choice. Best first if any truncation was on, else by id.
  std::span<const Candidate> candidates() const { return candidates_; }

 private:
  bool adjusts() const;
  std::span<const float> adjusted(std::span<const float> logits);
  void penalise();
  bool load_best(std::span<const float> logits);
  bool load_likely(std::span<const float> logits);
  void load(std::span<const float> logits);
  void cut_to(size_t count);
  void keep_top_k();
  void keep_typical();
  void keep_top_p();
  void keep_min_p();
  int32_t take_best();
  int32_t draw();
  float best_logit() const;
  double weigh(float best, float temperature);

  SamplerOptions options_;
  Rng rng_;
  std::vector<int32_t> recent_;  ///< the last penalty_window tokens
  std::vector<float> adjusted_;  ///< logits with biases and penalties, where there are any
  std::vector<float> weights_;   ///< exp(logit - best), where top-p asks for all
  std::vector<Candidate> candidates_;
};

}  // namespace tessera

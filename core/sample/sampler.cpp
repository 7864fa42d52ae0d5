// Implements the sampler chain. Everything that could differ between platforms is pinned: exp is our own, sums run in a
// defined order (by id, or best first), and every sort uses a total order, so that partial selection leaves no freedom.
#include "core/sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/base/heap_sort.h"
#include "core/base/math.h"
#include "core/sample/logit_scans.h"

namespace tessera {

namespace {

constexpr float kForbidBias = -100.0f;
constexpr float kLowest = std::numeric_limits<float>::lowest();
constexpr float kHighest = std::numeric_limits<float>::max();

bool better(const Sampler::Candidate& a, const Sampler::Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

/// Keeps the first candidates in `order` whose probabilities add up to `target`, at least one, sorted by `order`; false where all of them
/// do not. Selects in growing chunks: the mass usually sits in few of 100,000 candidates.
template <class Order>
bool keep_mass(std::vector<Sampler::Candidate>& candidates, double target, Order order) {
  double sum = 0;
  size_t sorted = 0;
  for (size_t chunk = 64; sorted < candidates.size(); chunk *= 8) {
    const size_t end = std::min(candidates.size(), sorted + chunk);
    const auto first = candidates.begin() + static_cast<std::ptrdiff_t>(sorted);
    const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(end);
    if (end < candidates.size()) {
      std::nth_element(first, last, candidates.end(), order);
    }
    heap_sort(first, last, order);
    for (size_t i = sorted; i < end; ++i) {
      sum += candidates[i].probability;
      if (sum >= target) {
        candidates.resize(i + 1);
        return true;
      }
    }
    sorted = end;
  }
  return false;
}

Error out_of_range(const char* option, const std::string& value, const char* expected) {
  return {ErrorCode::kInvalidArgument, std::string(option) + " is " + value + ", expected " + expected,
          std::string("choose a value of ") + option + " inside that range"};
}

Error out_of_range(const char* option, double value, const char* expected) { return out_of_range(option, std::to_string(value), expected); }

bool within(float value, float low, float high) { return value >= low && value <= high; }  // false for NaN

}  // namespace

Result<void> SamplerOptions::validate(int vocab_size) const {
  if (!within(temperature, 0.0f, kHighest)) {
    return out_of_range("temperature", temperature, "a finite number >= 0");
  }
  if (top_k < 0) {
    return out_of_range("top_k", std::to_string(top_k), "0 (off) or more");
  }
  if (!within(top_p, std::numeric_limits<float>::min(), 1.0f)) {
    return out_of_range("top_p", top_p, "more than 0 and at most 1");
  }
  if (!within(min_p, 0.0f, 1.0f)) {
    return out_of_range("min_p", min_p, "0 to 1");
  }
  if (!within(typical_p, std::numeric_limits<float>::min(), 1.0f)) {
    return out_of_range("typical_p", typical_p, "more than 0 and at most 1");
  }
  if (!within(repeat_penalty, 0.01f, 100.0f)) {
    return out_of_range("repeat_penalty", repeat_penalty, "0.01 to 100 (1 = off)");
  }
  if (!within(frequency_penalty, -2.0f, 2.0f)) {
    return out_of_range("frequency_penalty", frequency_penalty, "-2 to 2");
  }
  if (!within(presence_penalty, -2.0f, 2.0f)) {
    return out_of_range("presence_penalty", presence_penalty, "-2 to 2");
  }
  if (penalty_window < 0) {
    return out_of_range("penalty_window", std::to_string(penalty_window), "0 (none) or more");
  }
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0 || id >= vocab_size) {
      return out_of_range("logit_bias token id", std::to_string(id), ("0 to " + std::to_string(vocab_size - 1)).c_str());
    }
    if (!std::isfinite(bias)) {
      return out_of_range("logit_bias", bias, "a finite number");
    }
  }
  return {};
}

void Sampler::accept(int32_t token) {
  if (options_.penalty_window == 0) {
    return;
  }
  if (recent_.size() == static_cast<size_t>(options_.penalty_window)) {
    recent_.erase(recent_.begin());
  }
  recent_.push_back(token);
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (adjusts()) {
    logits = adjusted(logits);
  }
  // A list of the whole vocabulary costs more than all else here, so it is made only where fewer candidates do not tell.
  const bool few = options_.temperature == 0.0f || options_.top_k > 0;
  const bool cut = few ? load_best(logits) : load_likely(logits);
  if (!cut) {
    load(logits);
  }
  if (candidates_.empty()) {
    return 0;  // logit_bias forbids the whole vocabulary
  }
  if (options_.temperature == 0.0f) {
    return take_best();
  }
  keep_top_k();
  keep_typical();
  if (few || !cut) {
    keep_top_p();
  }
  keep_min_p();
  return draw();
}

bool Sampler::adjusts() const {
  return options_.repeat_penalty != 1.0f || options_.frequency_penalty != 0.0f || options_.presence_penalty != 0.0f ||
         !options_.logit_bias.empty();
}

/// The logits with biases and penalties, all finite but those of tokens that must not be drawn, which are -infinity.
std::span<const float> Sampler::adjusted(std::span<const float> logits) {
  adjusted_.resize(logits.size());
  copy_finite(logits, adjusted_);
  for (const auto& [id, bias] : options_.logit_bias) {
    float& logit = adjusted_[static_cast<size_t>(id)];
    logit = bias <= kForbidBias ? -std::numeric_limits<float>::infinity() : std::min(logit + bias, kHighest);
  }
  penalise();
  return adjusted_;
}

void Sampler::penalise() {
  std::vector<int32_t> sorted = recent_;
  heap_sort(sorted.begin(), sorted.end());
  for (size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
    while (end < sorted.size() && sorted[end] == sorted[begin]) {
      ++end;
    }
    if (sorted[begin] < 0 || static_cast<size_t>(sorted[begin]) >= adjusted_.size()) {
      continue;
    }
    float& logit = adjusted_[static_cast<size_t>(sorted[begin])];
    logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    logit -= static_cast<float>(end - begin) * options_.frequency_penalty + options_.presence_penalty;
    logit = std::min(logit, kHighest);
  }
}

void Sampler::load(std::span<const float> logits) {
  candidates_.clear();
  candidates_.reserve(logits.size());
  const bool forbids = adjusts();
  for (size_t i = 0; i < logits.size(); ++i) {
    const bool number = logits[i] > kLowest;  // false for NaN and -infinity, which may be drawn where there is nothing else
    if (forbids && logits[i] < kLowest) continue;
    candidates_.push_back({static_cast<int32_t>(i), number ? std::min(logits[i], kHighest) : kLowest, 0.0f});
  }
}

/// The candidates that take_best() or keep_top_k() would leave. False where there are not as many numbers.
bool Sampler::load_best(std::span<const float> logits) {
  const size_t kept = options_.temperature == 0.0f ? 1 : static_cast<size_t>(options_.top_k);
  if (kept >= logits.size()) {
    return false;
  }
  candidates_.clear();
  float bound = kLowest;
  // An equal one of a higher id is worse.
  for (size_t i = first_above(logits, 0, bound); i < logits.size(); i = first_above(logits, i + 1, bound)) {
    candidates_.push_back({static_cast<int32_t>(i), std::min(logits[i], kHighest), 0.0f});
    if (candidates_.size() == 4 * kept) {
      cut_to(kept);
      bound = candidates_[kept - 1].logit;
    }
  }
  if (candidates_.size() < kept) {
    return false;
  }
  cut_to(kept);
  heap_sort(candidates_.begin(), candidates_.end(), better);
  return true;
}

/// The candidates that keep_top_p() would leave, and without top-p at least those that keep_min_p() would. False where neither can leave
/// any out, or other stages have to see all.
bool Sampler::load_likely(std::span<const float> logits) {
  const bool by_mass = options_.top_p < 1.0f;
  const float best = largest(logits);
  if (options_.typical_p < 1.0f || (!by_mass && options_.min_p <= 0.0f) || best <= kLowest || best > kHighest) {
    return false;
  }
  double least = options_.min_p, total = 0;  // least: exp(logit - best) of a candidate
  if (by_mass) {
    weights_.resize(logits.size());
    weigh_all(logits, best, weights_);
    for (const float weight : weights_) total += weight;
    // All that are below it together are less than what top-p leaves out.
    least = (1.0 - static_cast<double>(options_.top_p)) * total / static_cast<double>(logits.size());
  }
  // A hundredth less, and for logits beyond all sense some of their last bits, so that no rounding decides here.
  const float bound = best + std::log(static_cast<float>(least)) - 0.01f - 1e-5f * std::abs(best);
  candidates_.clear();
  for (size_t i = first_above(logits, 0, bound); i < logits.size(); i = first_above(logits, i + 1, bound)) {
    candidates_.push_back({static_cast<int32_t>(i), logits[i], by_mass ? weights_[i] : 0.0f});
  }
  return !by_mass || keep_mass(candidates_, options_.top_p * total, better);
}

/// Keeps the best `count` of at least as many candidates, the worst of them last.
void Sampler::cut_to(size_t count) {
  const auto last = candidates_.begin() + static_cast<std::ptrdiff_t>(count) - 1;
  std::nth_element(candidates_.begin(), last, candidates_.end(), better);
  candidates_.resize(count);
}

float Sampler::best_logit() const {
  float best = kLowest;
  for (const Candidate& candidate : candidates_) {
    best = std::max(best, candidate.logit);
  }
  return best;
}

/// Sets every probability to exp((logit - best) / temperature), not yet normalised, and returns the sum in their order.
double Sampler::weigh(float best, float temperature) {
  double sum = 0;
  for (Candidate& candidate : candidates_) {
    candidate.probability = exp_f32((candidate.logit - best) / temperature);
    sum += candidate.probability;
  }
  return sum;
}

void Sampler::keep_top_k() {
  const auto k = static_cast<size_t>(options_.top_k);
  if (k == 0 || k >= candidates_.size()) {
    return;
  }
  cut_to(k);
  heap_sort(candidates_.begin(), candidates_.end(), better);
}

// Meister et al. 2022: keep the tokens whose information -log p is nearest to the distribution's entropy H. With
// d = logit - best and p = exp(d) / Z the log Z cancels: |-log p - H| = |sum(p d) - d|.
void Sampler::keep_typical() {
  if (options_.typical_p >= 1.0f) {
    return;
  }
  const float best = best_logit();
  const double total = weigh(best, 1.0f);
  double mean = 0;
  for (const Candidate& candidate : candidates_) {
    if (candidate.probability > 0.0f) {
      mean += candidate.probability / total * static_cast<double>(candidate.logit - best);
    }
  }
  const auto surprise = [mean, best](const Candidate& candidate) { return std::abs(mean - static_cast<double>(candidate.logit - best)); };
  (void)keep_mass(candidates_, options_.typical_p * total, [&surprise](const Candidate& a, const Candidate& b) {
    const double left = surprise(a);
    const double right = surprise(b);
    return left != right ? left < right : a.id < b.id;
  });
  heap_sort(candidates_.begin(), candidates_.end(), better);
}

void Sampler::keep_top_p() {
  if (options_.top_p >= 1.0f) {
    return;
  }
  const double total = weigh(best_logit(), 1.0f);
  (void)keep_mass(candidates_, options_.top_p * total, better);
}

void Sampler::keep_min_p() {
  if (options_.min_p <= 0.0f) {
    return;
  }
  const float best = best_logit();
  const float min_p = options_.min_p;
  std::erase_if(candidates_, [best, min_p](const Candidate& candidate) { return exp_f32(candidate.logit - best) < min_p; });
}

int32_t Sampler::take_best() {
  const Candidate best = *std::min_element(candidates_.begin(), candidates_.end(), better);
  candidates_.assign(1, {best.id, best.logit, 1.0f});
  return best.id;
}

int32_t Sampler::draw() {
  const double total = weigh(best_logit(), options_.temperature);
  const double point = rng_.uniform() * total;
  double sum = 0;
  int32_t drawn = 0;
  bool found = false;
  for (Candidate& candidate : candidates_) {
    sum += candidate.probability;
    if (!found && candidate.probability > 0.0f) {
      drawn = candidate.id;  // rounding may leave `point` past the end: then the last possible token stays
      found = sum > point;
    }
    candidate.probability = static_cast<float>(candidate.probability / total);
  }
  return drawn;
}

}  // namespace tessera

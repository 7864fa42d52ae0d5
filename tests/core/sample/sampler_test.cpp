// Tests the sampler chain stage by stage against values worked out by hand, and its determinism.
#include "core/sample/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/math.h"
#include "core/base/rng.h"
#include "doctest/doctest.h"

using tessera::Sampler;
using tessera::SamplerOptions;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Probabilities 0.5, 0.25, 0.125, 0.125 in an order that is not sorted: ids 2, 0, 1, 3.
const std::vector<float> kHalves = {std::log(0.25f), std::log(0.125f), std::log(0.5f), std::log(0.125f)};

std::vector<int32_t> survivors(const SamplerOptions& options, const std::vector<float>& logits) {
  Sampler sampler(options);
  sampler.sample(logits);
  std::vector<int32_t> ids;
  for (const Sampler::Candidate& candidate : sampler.candidates()) {
    ids.push_back(candidate.id);
  }
  return ids;
}

SamplerOptions with(void (*change)(SamplerOptions&)) {
  SamplerOptions options;
  change(options);
  return options;
}

// Deterministic, model-like logits: a few high ones over a broad floor.
std::vector<float> spread_logits(int count) {
  std::vector<float> logits(static_cast<size_t>(count));
  tessera::Rng rng(7);
  for (float& logit : logits) {
    const float u = rng.uniform();
    logit = 12.0f * u * u * u - 4.0f;
  }
  return logits;
}

}  // namespace

TEST_CASE("greedy: temperature 0 takes the best, the lowest id on a tie") {
  SamplerOptions options;
  options.temperature = 0;
  CHECK(Sampler(options).sample(std::vector<float>{0, 3, 1, 3}) == 1);
  options.typical_p = 0.1f;  // would drop the most likely token; skipped at temperature 0
  CHECK(Sampler(options).sample(std::vector<float>{5, 0, 0, 0, 0, 0, 0, 0}) == 0);
}

TEST_CASE("without options the draw follows the softmax") {
  Sampler sampler{SamplerOptions{}};
  std::array<int, 4> counts{};
  for (int i = 0; i < 80000; ++i) {
    ++counts[static_cast<size_t>(sampler.sample(kHalves))];
  }
  const std::array<double, 4> expected = {0.25, 0.125, 0.5, 0.125};
  for (size_t i = 0; i < 4; ++i) {
    // five standard deviations of a binomial of 80,000
    CHECK(std::abs(counts[i] / 80000.0 - expected[i]) < 5 * std::sqrt(expected[i] * (1 - expected[i]) / 80000.0));
  }
}

TEST_CASE("temperature 2 turns probabilities into their square roots") {
  const SamplerOptions options = with([](SamplerOptions& o) { o.temperature = 2; });
  Sampler sampler(options);
  sampler.sample(kHalves);
  const double total = std::sqrt(0.5) + std::sqrt(0.25) + 2 * std::sqrt(0.125);
  REQUIRE(sampler.candidates().size() == 4);
  CHECK(sampler.candidates()[2].probability == doctest::Approx(std::sqrt(0.5) / total).epsilon(1e-5));
  CHECK(sampler.candidates()[3].probability == doctest::Approx(std::sqrt(0.125) / total).epsilon(1e-5));
}

TEST_CASE("top-k keeps the k best, lower ids first among equals") {
  CHECK(survivors(with([](SamplerOptions& o) { o.top_k = 1; }), kHalves) == std::vector<int32_t>{2});
  CHECK(survivors(with([](SamplerOptions& o) { o.top_k = 3; }), kHalves) == std::vector<int32_t>{2, 0, 1});
  CHECK(survivors(with([](SamplerOptions& o) { o.top_k = 9; }), kHalves).size() == 4);
}

TEST_CASE("top-k on a large vocabulary agrees with a plain full sort") {
  const std::vector<float> logits = spread_logits(20000);
  std::vector<int32_t> sorted(logits.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::stable_sort(sorted.begin(), sorted.end(), [&logits](int32_t a, int32_t b) { return logits[size_t(a)] > logits[size_t(b)]; });
  for (const int k : {1, 40, 1000, 19999}) {
    SamplerOptions options;
    options.top_k = k;
    CHECK(survivors(options, logits) == std::vector<int32_t>(sorted.begin(), sorted.begin() + k));
  }
}

TEST_CASE("top-p keeps the smallest set that reaches the mass") {
  CHECK(survivors(with([](SamplerOptions& o) { o.top_p = 0.4f; }), kHalves) == std::vector<int32_t>{2});
  CHECK(survivors(with([](SamplerOptions& o) { o.top_p = 0.6f; }), kHalves) == std::vector<int32_t>{2, 0});
  CHECK(survivors(with([](SamplerOptions& o) { o.top_p = 0.8f; }), kHalves) == std::vector<int32_t>{2, 0, 1});
  CHECK(survivors(with([](SamplerOptions& o) { o.top_p = 0.99f; }), kHalves).size() == 4);
}

TEST_CASE("top-p on a large vocabulary agrees with a plain full sort") {
  const std::vector<float> logits = spread_logits(20000);
  for (const float top_p : {0.3f, 0.9f, 0.999f}) {
    SamplerOptions options;
    options.top_p = top_p;
    std::vector<std::pair<double, int32_t>> sorted;
    double total = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      sorted.emplace_back(-std::exp(static_cast<double>(logits[i])), static_cast<int32_t>(i));
      total -= sorted.back().first;
    }
    std::sort(sorted.begin(), sorted.end());
    std::vector<int32_t> expected;
    double sum = 0;
    while (sum < top_p * total) {
      sum -= sorted[expected.size()].first;
      expected.push_back(sorted[expected.size()].second);
    }
    const std::vector<int32_t> kept = survivors(options, logits);
    CHECK(std::abs(static_cast<double>(kept.size()) - static_cast<double>(expected.size())) <= 1);  // float against double at the edge
    const auto common = static_cast<std::ptrdiff_t>(std::min(kept.size(), expected.size()));
    CHECK(std::equal(kept.begin(), kept.begin() + common, expected.begin()));
  }
}

TEST_CASE("min-p keeps what has a share of the best") {
  CHECK(survivors(with([](SamplerOptions& o) { o.min_p = 0.6f; }), kHalves) == std::vector<int32_t>{2});
  CHECK(survivors(with([](SamplerOptions& o) { o.min_p = 0.45f; }), kHalves) == std::vector<int32_t>{0, 2});
  CHECK(survivors(with([](SamplerOptions& o) { o.min_p = 0.2f; }), kHalves).size() == 4);
}

TEST_CASE("typical sampling prefers the token nearest to the entropy") {
  // H = 1.75 bits; surprises are 1, 2, 3, 3 bits, so id 0 (|2 - 1.75|) comes first, then id 2 (|1 - 1.75|).
  CHECK(survivors(with([](SamplerOptions& o) { o.typical_p = 0.2f; }), kHalves) == std::vector<int32_t>{0});
  CHECK(survivors(with([](SamplerOptions& o) { o.typical_p = 0.7f; }), kHalves) == std::vector<int32_t>{2, 0});
  CHECK(survivors(with([](SamplerOptions& o) { o.typical_p = 0.8f; }), kHalves) == std::vector<int32_t>{2, 0, 1});
}

TEST_CASE("stages combine in the documented order") {
  // top-k 3 renormalises to 4/7, 2/7, 1/7: then 0.85 needs two tokens; on the full distribution it would need three.
  const SamplerOptions options = with([](SamplerOptions& o) {
    o.top_k = 3;
    o.top_p = 0.85f;
  });
  CHECK(survivors(options, kHalves) == std::vector<int32_t>{2, 0});
}

TEST_CASE("logit bias is added first; -100 forbids") {
  SamplerOptions options;
  options.temperature = 0;
  options.logit_bias = {{1, 5.0f}, {3, -100.0f}};
  CHECK(Sampler(options).sample(std::vector<float>{0, 0, 4, 9}) == 1);
  options.logit_bias = {{0, -100.0f}, {1, -1000.0f}};
  CHECK(Sampler(options).sample(std::vector<float>{9, 9, -50}) == 2);
  options.logit_bias = {{0, -100.0f}};
  CHECK(Sampler(options).sample(std::vector<float>{1}) == 0);  // nothing left: still no crash
}

TEST_CASE("repetition, frequency and presence penalties") {
  SamplerOptions options;
  options.repeat_penalty = 2;
  options.frequency_penalty = 0.5f;
  options.presence_penalty = 0.25f;
  Sampler sampler(options);
  for (const int32_t token : {0, 1, 1, 99, -1}) {  // ids outside the vocabulary are harmless
    sampler.accept(token);
  }
  sampler.sample(std::vector<float>{4, -1, 3});
  REQUIRE(sampler.candidates().size() == 3);
  CHECK(sampler.candidates()[0].logit == 4.0f / 2 - 0.5f - 0.25f);
  CHECK(sampler.candidates()[1].logit == -1.0f * 2 - 2 * 0.5f - 0.25f);
  CHECK(sampler.candidates()[2].logit == 3.0f);
}

TEST_CASE("penalties see only the window") {
  SamplerOptions options;
  options.temperature = 0;
  options.presence_penalty = 2;
  options.penalty_window = 2;
  Sampler sampler(options);
  sampler.accept(0);
  CHECK(sampler.sample(std::vector<float>{5, 4, 0}) == 1);
  sampler.accept(1);
  sampler.accept(2);
  CHECK(sampler.sample(std::vector<float>{5, 4, 0}) == 0);
  options.penalty_window = 0;
  Sampler none(options);
  none.accept(0);
  CHECK(none.sample(std::vector<float>{5, 4, 0}) == 0);
}

TEST_CASE("NaN and infinite logits neither crash nor win") {
  for (const float temperature : {0.0f, 1.0f}) {
    SamplerOptions options;
    options.temperature = temperature;
    options.top_k = 3;
    options.typical_p = 0.9f;
    options.top_p = 0.9f;
    options.min_p = 0.1f;
    CHECK(Sampler(options).sample(std::vector<float>{kNan, -kInf, 1, kNan, -kInf}) == 2);
    CHECK(Sampler(options).sample(std::vector<float>{kNan, kInf, 1}) == 1);
    const int32_t any = Sampler(options).sample(std::vector<float>{kNan, kNan, kNan});
    CHECK((any >= 0 && any < 3));
  }
}

TEST_CASE("the same seed gives the same tokens, on every platform") {
  const std::vector<float> logits = spread_logits(1000);
  const auto tokens = [&logits](uint64_t seed) {
    SamplerOptions options;
    options.temperature = 0.8f;
    options.top_k = 50;
    options.top_p = 0.95f;
    options.min_p = 0.05f;
    options.repeat_penalty = 1.1f;
    options.seed = seed;
    Sampler sampler(options);
    std::vector<int32_t> drawn;
    for (int i = 0; i < 12; ++i) {
      drawn.push_back(sampler.sample(logits));
      sampler.accept(drawn.back());
    }
    return drawn;
  };
  CHECK(tokens(42) == tokens(42));
  CHECK(tokens(42) != tokens(43));
  // Recorded on x86-64; the WebAssembly build and other processors must give the same.
  CHECK(tokens(42) == std::vector<int32_t>{880, 445, 972, 436, 880, 883, 284, 972, 255, 360, 436, 310});
}

TEST_CASE("validate names the option") {
  const auto message = [](void (*change)(SamplerOptions&)) {
    const auto result = with(change).validate(100);
    return result ? std::string("ok") : result.error().message;
  };
  CHECK(message([](SamplerOptions&) {}) == "ok");
  CHECK(message([](SamplerOptions& o) { o.temperature = -1; }).find("temperature is -1") == 0);
  CHECK(message([](SamplerOptions& o) { o.temperature = kNan; }).find("temperature is nan") == 0);
  CHECK(message([](SamplerOptions& o) { o.temperature = kInf; }).find("temperature is inf") == 0);
  CHECK(message([](SamplerOptions& o) { o.top_k = -1; }) == "top_k is -1, expected 0 (off) or more");
  CHECK(message([](SamplerOptions& o) { o.top_p = 0; }).find("top_p ") == 0);
  CHECK(message([](SamplerOptions& o) { o.top_p = 1.5f; }).find("top_p ") == 0);
  CHECK(message([](SamplerOptions& o) { o.min_p = 1.5f; }).find("min_p ") == 0);
  CHECK(message([](SamplerOptions& o) { o.typical_p = 0; }).find("typical_p ") == 0);
  CHECK(message([](SamplerOptions& o) { o.repeat_penalty = 0; }).find("repeat_penalty ") == 0);
  CHECK(message([](SamplerOptions& o) { o.frequency_penalty = 3; }).find("frequency_penalty ") == 0);
  CHECK(message([](SamplerOptions& o) { o.presence_penalty = -3; }).find("presence_penalty ") == 0);
  CHECK(message([](SamplerOptions& o) { o.penalty_window = -1; }) == "penalty_window is -1, expected 0 (none) or more");
  CHECK(message([](SamplerOptions& o) { o.logit_bias = {{100, 1.0f}}; }) == "logit_bias token id is 100, expected 0 to 99");
  CHECK(message([](SamplerOptions& o) { o.logit_bias = {{5, kNan}}; }).find("logit_bias is ") == 0);
}

namespace {

struct Drawn {
  int32_t token = 0;
  std::vector<Sampler::Candidate> candidates;
};

/// The chain without typical-p as sampler.h tells it, over a list of the whole vocabulary.
Drawn draw_plainly(const SamplerOptions& options, const std::vector<int32_t>& recent, const std::vector<float>& logits) {
  constexpr float kLowest = std::numeric_limits<float>::lowest(), kHighest = std::numeric_limits<float>::max();
  std::vector<Sampler::Candidate> all;
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    float logit = logits[i] > kLowest ? std::min(logits[i], kHighest) : kLowest;
    for (const auto& [biased, bias] : options.logit_bias) {
      if (biased == id) logit = bias <= -100.0f ? -kInf : std::min(logit + bias, kHighest);
    }
    if (const auto count = std::count(recent.begin(), recent.end(), id); count > 0) {
      logit = logit > 0 ? logit / options.repeat_penalty : logit * options.repeat_penalty;
      logit -= static_cast<float>(count) * options.frequency_penalty + options.presence_penalty;
      logit = std::min(logit, kHighest);
    }
    if (logit >= kLowest) all.push_back({id, logit, 0.0f});
  }
  if (all.empty()) return {};
  const auto better = [](const Sampler::Candidate& a, const Sampler::Candidate& b) { return a.logit > b.logit; };
  const float best = std::ranges::min_element(all, better)->logit;
  const auto weigh = [&](float temperature) {
    double sum = 0;
    for (Sampler::Candidate& one : all) sum += one.probability = tessera::exp_f32((one.logit - best) / temperature);
    return sum;
  };
  if (options.temperature == 0.0f) {
    const Sampler::Candidate first = *std::ranges::min_element(all, better);
    return {first.id, {{first.id, first.logit, 1.0f}}};
  }
  if (const auto k = static_cast<size_t>(options.top_k); k > 0 && k < all.size()) {
    std::ranges::stable_sort(all, better);
    all.resize(k);
  }
  if (options.top_p < 1.0f) {
    const double target = options.top_p * weigh(1.0f);
    std::ranges::stable_sort(all, better);
    double sum = 0;
    size_t kept = 0;
    while (kept < all.size() && sum < target) sum += all[kept++].probability;
    all.resize(kept);
  }
  std::erase_if(all, [&](const Sampler::Candidate& one) { return tessera::exp_f32(one.logit - best) < options.min_p; });
  const double total = weigh(options.temperature), point = tessera::Rng(options.seed).uniform() * total;
  double sum = 0;
  Drawn drawn{0, all};
  bool found = false;
  for (Sampler::Candidate& one : drawn.candidates) {
    sum += one.probability;
    if (!found && one.probability > 0.0f) drawn.token = one.id, found = sum > point;
    one.probability = static_cast<float>(one.probability / total);
  }
  return drawn;
}

template <class T>
T one_of(tessera::Rng& rng, const std::vector<T>& values) {
  return values[static_cast<size_t>(rng.next() % values.size())];
}

}  // namespace

TEST_CASE("what is drawn, and from which candidates, is what the whole vocabulary's list would give, whatever the logits and options are") {
  tessera::Rng rng(7);
  for (int round = 0; round < 3000; ++round) {
    std::vector<float> logits(static_cast<size_t>(one_of<int>(rng, {1, 5, 40, 41, 300, 3000})));
    const float scale = one_of<float>(rng, {1.0f, 20.0f, 50.0f, 1e30f}), odd = one_of<float>(rng, {0.0f, 0.1f, 0.9f, 1.0f});
    const bool ties = rng.next() % 2 == 0;
    for (float& logit : logits) {
      const float u = rng.uniform();
      logit = ties ? std::floor(u * 50.0f) * (scale / 50.0f) : (u * u * u - 0.5f) * scale;
      if (rng.uniform() < odd) logit = one_of<float>(rng, {kNan, -kInf, -kInf, round % 3 == 0 ? kInf : kNan});
    }
    SamplerOptions options;
    options.temperature = one_of<float>(rng, {0.0f, 0.3f, 0.8f, 3.0f});
    options.top_k = one_of<int>(rng, {0, 0, 1, 3, 40});
    options.top_p = one_of<float>(rng, {1.0f, 0.01f, 0.5f, 0.95f, 0.9999999f});
    options.min_p = one_of<float>(rng, {0.0f, 0.05f, 0.5f, 1.0f});
    options.repeat_penalty = one_of<float>(rng, {1.0f, 1.0f, 1.1f, 0.5f});
    options.presence_penalty = one_of<float>(rng, {0.0f, 0.0f, 2.0f, -2.0f});
    options.seed = static_cast<uint64_t>(round);
    const auto vocabulary = static_cast<uint32_t>(logits.size());
    for (uint32_t count = rng.next() % 8; count > 0; --count) {
      options.logit_bias.emplace_back(static_cast<int32_t>(rng.next() % vocabulary), one_of<float>(rng, {-100.0f, -3.0f, 5.0f}));
    }
    Sampler sampler(options);
    std::vector<int32_t> recent;
    for (uint32_t count = rng.next() % 20; count > 0; --count)
      sampler.accept(recent.emplace_back(static_cast<int32_t>(rng.next() % vocabulary)));
    CAPTURE(round);
    const Drawn expected = draw_plainly(options, recent, logits);
    REQUIRE(sampler.sample(logits) == expected.token);
    REQUIRE(sampler.candidates().size() == expected.candidates.size());
    for (size_t i = 0; i < expected.candidates.size(); ++i) {
      REQUIRE(sampler.candidates()[i].id == expected.candidates[i].id);
      REQUIRE(sampler.candidates()[i].logit == expected.candidates[i].logit);
      REQUIRE(sampler.candidates()[i].probability == expected.candidates[i].probability);
    }
  }
}

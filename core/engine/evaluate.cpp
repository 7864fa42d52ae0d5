// Implements log-probabilities, the logits report and perplexity. Sums run by id in f64, so they are the same everywhere.
#include "core/engine/evaluate.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/base/math.h"
#include "core/base/sha256.h"

namespace tessera {

namespace {

// NaN has no place in an order; it counts as the lowest number.
float orderable(float logit) { return std::max(std::numeric_limits<float>::lowest(), logit); }

}  // namespace

double log_normaliser(std::span<const float> logits) {
  if (logits.empty()) {
    return 0;
  }
  const float best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) {
    sum += exp_f32(logit - best);
  }
  return best + log_f64(sum);
}

std::vector<std::pair<int32_t, float>> top_logprobs(std::span<const float> logits, double normaliser, int count) {
  if (count == 0) {
    return {};
  }
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto kept = std::min(static_cast<std::ptrdiff_t>(ids.size()), static_cast<std::ptrdiff_t>(count));
  std::partial_sort(ids.begin(), ids.begin() + kept, ids.end(), [logits](int32_t a, int32_t b) {
    const float left = orderable(logits[static_cast<size_t>(a)]), right = orderable(logits[static_cast<size_t>(b)]);
    return left != right ? left > right : a < b;
  });
  std::vector<std::pair<int32_t, float>> top;
  for (const int32_t id : std::span(ids).first(static_cast<size_t>(kept))) {
    top.emplace_back(id, static_cast<float>(logits[static_cast<size_t>(id)] - normaliser));
  }
  return top;
}

Result<LogitsReport> report_logits(Session& session, std::span<const int32_t> tokens, const LogitsOptions& options) {
  const int vocab_size = session.engine().info().vocab_size;
  if (options.top < 0 || options.top > vocab_size) {
    return Error{ErrorCode::kInvalidArgument,
                 "top is " + std::to_string(options.top) + ", expected 0 to " + std::to_string(vocab_size) + " (the vocabulary)", ""};
  }
  LogitsReport report;
  report.positions.reserve(tokens.size());
  Sha256 hash;
  const auto each = [&](int position, std::span<const float> logits) {
    hash.update(std::as_bytes(logits));
    const double normaliser = log_normaliser(logits);
    LogitsReport::Position& entry = report.positions.emplace_back();
    entry.top = top_logprobs(logits, normaliser, options.top);
    const auto next = static_cast<size_t>(position) + 1;
    if (next < tokens.size()) {
      entry.next = static_cast<float>(logits[static_cast<size_t>(tokens[next])] - normaliser);
    }
    return !options.on_position || options.on_position(position, logits);
  };
  if (Result<void> done = session.evaluate(tokens, options.batch, each); !done) {
    return done.error();
  }
  report.hash = hash.hex();
  return report;
}

Result<PerplexityReport> measure_perplexity(
    Session& session, std::span<const int32_t> tokens, std::optional<int32_t> bos, int chunk,
    const std::function<bool(const PerplexityReport& so_far, size_t done, size_t total)>& on_progress) {
  const int shortest = bos ? 3 : 2;
  if (chunk < shortest) {
    return Error{ErrorCode::kInvalidArgument, "chunk is " + std::to_string(chunk) + ", expected at least " + std::to_string(shortest), ""};
  }
  const size_t step = static_cast<size_t>(chunk) - (bos ? 1 : 0);
  PerplexityReport report;
  double total_nll = 0;
  for (size_t begin = 0; begin < tokens.size(); begin += step) {
    const std::span<const int32_t> fresh = tokens.subspan(begin, std::min(step, tokens.size() - begin));
    std::vector<int32_t> piece;
    if (bos) {
      piece.push_back(*bos);
    }
    piece.insert(piece.end(), fresh.begin(), fresh.end());
    const auto each = [&](int position, std::span<const float> logits) {
      const auto next = static_cast<size_t>(position) + 1;
      if (next < piece.size()) {
        total_nll += log_normaliser(logits) - static_cast<double>(logits[static_cast<size_t>(piece[next])]);
        ++report.tokens;
      }
      return true;
    };
    if (Result<void> done = session.evaluate(piece, 0, each); !done) {
      return done.error();
    }
    report.mean_nll = report.tokens > 0 ? total_nll / static_cast<double>(report.tokens) : 0;
    report.perplexity = exp_f64(report.mean_nll);
    if (on_progress && !on_progress(report, begin + fresh.size(), tokens.size())) {
      return Error{ErrorCode::kAborted, "the measurement was stopped", ""};
    }
  }
  if (report.tokens == 0) {
    return Error{ErrorCode::kInvalidArgument, "the text has " + std::to_string(tokens.size()) + " tokens, none of them can be predicted",
                 "give a text of at least two tokens"};
  }
  return report;
}

}  // namespace tessera

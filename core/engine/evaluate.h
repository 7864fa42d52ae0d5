// The core's public face, part six: what a model thinks of given tokens: log-probabilities, the hash of all logits, perplexity.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/engine/session.h"

namespace tessera {

/// log Σ exp(logits), so that a log-probability (natural log) is logit - log_normaliser. The same bits on every platform.
double log_normaliser(std::span<const float> logits);

/// The `count` most likely ids with their log-probabilities, best first (lowest id first on a tie).
std::vector<std::pair<int32_t, float>> top_logprobs(std::span<const float> logits, double normaliser, int count);

/// How report_logits works.
struct LogitsOptions {
  int top = 10;   ///< alternatives a position, 0…vocabulary size
  int batch = 0;  ///< tokens computed at a time; 0 = the engine's own size. The result does not depend on it.
  /// Sees every position's raw logits [vocab]; return false to abort (kAborted).
  std::function<bool(int position, std::span<const float> logits)> on_position;
};

/// One entry per input token.
struct LogitsReport {
  struct Position {
    std::vector<std::pair<int32_t, float>> top;  ///< id, log-probability after this token; best first
    std::optional<float> next;                   ///< log-probability of the input token that follows; none after the last
  };
  std::vector<Position> positions;
  std::string hash;  ///< SHA-256 (hex) over the raw little-endian f32 logits of all positions in order
};

/// Runs `tokens` from an empty timeline. Errors of Session::evaluate; kInvalidArgument for options out of range.
Result<LogitsReport> report_logits(Session& session, std::span<const int32_t> tokens, const LogitsOptions& options);

/// Mean negative log-likelihood (natural log) of a text.
struct PerplexityReport {
  int64_t tokens = 0;  ///< predicted tokens: all but the first of each chunk
  double mean_nll = 0;
  double perplexity = 0;  ///< exp(mean_nll)
};

/// Cuts `tokens` into chunks of `chunk` tokens (the last may be shorter), each from an empty timeline. With `bos`, every chunk
/// begins with that token, which counts towards its length. kInvalidArgument when chunk < 2 (3 with bos), when it does not
/// fit the context, or when there are fewer than two tokens to predict from. `on_progress` may return false (kAborted).
Result<PerplexityReport> measure_perplexity(
    Session& session, std::span<const int32_t> tokens, std::optional<int32_t> bos, int chunk,
    const std::function<bool(const PerplexityReport& so_far, size_t done, size_t total)>& on_progress);

}  // namespace tessera

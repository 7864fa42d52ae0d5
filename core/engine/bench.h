// The core's public face, part seven: how fast a loaded model is here.
#pragma once

#include <functional>
#include <vector>

#include "core/base/result.h"
#include "core/engine/session.h"

namespace tessera {

/// What to time. Prefill starts from an empty timeline; decode is timed token by token after `depth` tokens.
struct BenchOptions {
  int prompt_tokens = 512;   ///< 0 = no prefill
  int generate_tokens = 64;  ///< 0 = no decode
  int depth = 0;
  int repetitions = 3;  ///< ≥ 1; one more, shorter round before them warms up
  /// Called after every batch and every token; return false to abort (kAborted).
  std::function<bool()> keep_going;
};

/// Tokens per second, one entry a repetition; empty where nothing was asked for.
struct BenchReport {
  std::vector<double> prefill_tps;
  std::vector<double> decode_tps;
};

/// Times the session; its timeline is overwritten. The tokens are pseudo-random: speed does not depend on them.
/// kInvalidArgument for counts out of range, kContextFull when prompt_tokens or depth + generate_tokens exceed the context.
Result<BenchReport> run_bench(Session& session, const BenchOptions& options);

}  // namespace tessera

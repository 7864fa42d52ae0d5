// The core's public face, part seven: how fast a loaded model is here.
#pragma once

#include <functional>
#include <vector>

#include "core/base/result.h"
#include "core/engine/roofline.h"
#include "core/engine/session.h"
#include "core/model/profile.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera {

/// What to time. Prefill starts from an empty timeline; decode is timed token by token after `depth` tokens.
struct BenchOptions {
  int prompt_tokens = 512;   ///< 0 = no prefill
  int generate_tokens = 64;  ///< 0 = no decode
  int depth = 0;
  int repetitions = 3;    ///< ≥ 1; one more, shorter round before them warms up
  bool profile = false;   ///< also measure the kinds of work; reading the clock costs about 1 % of a decode
  bool roofline = false;  ///< also measure what decoding could reach at most
  /// Called after every batch and every token; return false to abort (kAborted).
  std::function<bool()> keep_going;
};

/// Tokens per second, one entry a repetition; empty where nothing was asked for.
struct BenchReport {
  std::vector<double> prefill_tps;
  std::vector<double> decode_tps;
  Roofline roofline;                        ///< of the last repetition; zeros unless asked for, and with experts
  Profile prefill_profile, decode_profile;  ///< sums over all repetitions; empty unless asked for
};

/// Times the session; its timeline is overwritten. The tokens are pseudo-random: speed does not depend on them.
/// kInvalidArgument for counts out of range, kContextFull when prompt_tokens or depth + generate_tokens exceed the context.
Result<BenchReport> run_bench(Session& session, const BenchOptions& options);

/// {"prefill": {"tokens", "tps"}, "decode": {"tokens", "depth", "tps"}}, both with "profile" if it was asked for: milliseconds per
/// kind of work and token, and "overhead", the part that is not matrix products. With "roofline" {"products_tps", "reading_tps",
/// "token_bytes"} if there is one.
nlohmann::ordered_json bench_json(const BenchOptions& options, const BenchReport& report);

}  // namespace tessera

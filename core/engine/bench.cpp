// Implements the timing of prefill and decode.
#include "core/engine/bench.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "core/base/rng.h"
#include "nlohmann/json.hpp"

namespace tessera {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWarmUpTokens = 16;

std::vector<int32_t> random_tokens(Rng& rng, int count, int vocab_size) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(rng.next() % static_cast<uint32_t>(vocab_size));
  }
  return tokens;
}

Result<void> check(const BenchOptions& options, int context_size) {
  const auto negative = [](const char* name, int value, const char* expected) {
    return Error{ErrorCode::kInvalidArgument, std::string(name) + " is " + std::to_string(value) + ", expected " + expected, ""};
  };
  if (options.prompt_tokens < 0) {
    return negative("prompt tokens", options.prompt_tokens, "0 or more");
  }
  if (options.generate_tokens < 0) {
    return negative("generated tokens", options.generate_tokens, "0 or more");
  }
  if (options.depth < 0) {
    return negative("depth", options.depth, "0 or more");
  }
  if (options.repetitions < 1 || options.repetitions > 1000) {
    return negative("repetitions", options.repetitions, "1 to 1000");
  }
  const int64_t longest = std::max<int64_t>(options.prompt_tokens, int64_t{options.depth} + options.generate_tokens);
  if (longest > context_size) {
    return Error{ErrorCode::kContextFull,
                 "the benchmark needs " + std::to_string(longest) + " tokens, the context holds " + std::to_string(context_size),
                 "load the model with a larger context or time fewer tokens"};
  }
  return {};
}

/// Extends the session by `tokens`: as a prompt, or one by one with the logits of each, as decoding does.
Result<void> feed(Session& session, std::span<const int32_t> tokens, bool one_by_one, const BenchOptions& options) {
  while (!tokens.empty()) {
    const Result<int> taken = session.extend(one_by_one ? tokens.first(1) : tokens);
    if (!taken) {
      return taken.error();
    }
    tokens = tokens.subspan(static_cast<size_t>(taken.value()));
    if (options.keep_going && !options.keep_going()) {
      return Error{ErrorCode::kAborted, "the benchmark was stopped", ""};
    }
  }
  return {};
}

/// Tokens per second of feeding `tokens` after a timeline of `depth` of them.
Result<double> time_feed(Session& session, std::span<const int32_t> depth, std::span<const int32_t> tokens, bool one_by_one,
                         const BenchOptions& options, Profile& profile) {
  session.truncate(0);
  if (Result<void> fed = feed(session, depth, false, options); !fed) {
    return fed.error();
  }
  session.set_profile(options.profile ? &profile : nullptr);
  const Clock::time_point start = Clock::now();
  const Result<void> fed = feed(session, tokens, one_by_one, options);
  session.set_profile(nullptr);
  if (!fed) {
    return fed.error();
  }
  return static_cast<double>(tokens.size()) / std::chrono::duration<double>(Clock::now() - start).count();
}

nlohmann::ordered_json profile_json(const Profile& profile, int tokens) {
  nlohmann::ordered_json object;
  for (int kind = 0; kind < kWorkKinds; ++kind) {
    object[std::string(kWorkNames[static_cast<size_t>(kind)])] = profile.milliseconds[static_cast<size_t>(kind)] / std::max(tokens, 1);
  }
  object["overhead"] = profile.overhead();
  return object;
}

struct Tokens {
  std::span<const int32_t> prompt, depth, generated;
};

/// Times prefill and decode once each and appends to `report`.
Result<void> run_round(Session& session, const Tokens& tokens, const BenchOptions& options, BenchReport& report) {
  if (!tokens.prompt.empty()) {
    const Result<double> tps = time_feed(session, {}, tokens.prompt, false, options, report.prefill_profile);
    if (!tps) {
      return tps.error();
    }
    report.prefill_tps.push_back(tps.value());
  }
  if (!tokens.generated.empty()) {
    const Result<double> tps = time_feed(session, tokens.depth, tokens.generated, true, options, report.decode_profile);
    if (!tps) {
      return tps.error();
    }
    report.decode_tps.push_back(tps.value());
  }
  if (options.roofline) {
    Result<Roofline> roofline = measure_roofline(session.engine());
    if (!roofline) {
      return roofline.error();
    }
    report.roofline = *roofline;
  }
  return {};
}

}  // namespace

Result<BenchReport> run_bench(Session& session, const BenchOptions& options) {
  if (Result<void> checked = check(options, session.engine().info().context_size); !checked) {
    return checked.error();
  }
  Rng rng(1);
  const int vocab_size = session.engine().info().vocab_size;
  const std::vector<int32_t> prompt = random_tokens(rng, options.prompt_tokens, vocab_size);
  const std::vector<int32_t> depth = random_tokens(rng, options.depth, vocab_size);
  const std::vector<int32_t> generated = random_tokens(rng, options.generate_tokens, vocab_size);

  const auto few = [](std::span<const int32_t> tokens) { return tokens.first(std::min<size_t>(tokens.size(), kWarmUpTokens)); };
  BenchReport warm_up;
  if (Result<void> done = run_round(session, {few(prompt), {}, few(generated)}, options, warm_up); !done) {
    return done.error();
  }
  BenchReport report;
  for (int i = 0; i < options.repetitions; ++i) {
    if (Result<void> done = run_round(session, {prompt, depth, generated}, options, report); !done) {
      return done.error();
    }
  }
  return report;
}

nlohmann::ordered_json bench_json(const BenchOptions& options, const BenchReport& report) {
  nlohmann::ordered_json object;
  nlohmann::ordered_json& prefill = object["prefill"];
  prefill["tokens"] = options.prompt_tokens;
  prefill["tps"] = report.prefill_tps;
  nlohmann::ordered_json& decode = object["decode"];
  decode["tokens"] = options.generate_tokens;
  decode["depth"] = options.depth;
  decode["tps"] = report.decode_tps;
  if (options.profile) {
    object["prefill"]["profile"] = profile_json(report.prefill_profile, options.prompt_tokens * options.repetitions);
    object["decode"]["profile"] = profile_json(report.decode_profile, options.generate_tokens * options.repetitions);
  }
  if (report.roofline.token_bytes > 0) {
    nlohmann::ordered_json& roofline = object["roofline"];
    roofline["products_tps"] = report.roofline.products_tps;
    roofline["reading_tps"] = report.roofline.reading_tps;
    roofline["token_bytes"] = report.roofline.token_bytes;
  }
  return object;
}

}  // namespace tessera

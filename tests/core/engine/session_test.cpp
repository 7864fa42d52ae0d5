// Tests Session: the logits of a sequence are the same bits on every way to it; the timeline stays consistent.
#include "core/engine/session.h"

#include <cmath>
#include <cstring>

#include "core/engine/bench.h"
#include "core/engine/evaluate.h"
#include "tests/core/engine/tiny.h"

using namespace tessera;
using namespace tessera::testing;

namespace {

using Bits = std::vector<uint32_t>;

Bits bits(std::span<const float> logits) {
  Bits out(logits.size());
  std::memcpy(out.data(), logits.data(), logits.size_bytes());
  return out;
}

Bits fresh_logits(const Engine& engine, std::span<const int32_t> tokens) {
  const auto session = new_session(engine);
  REQUIRE(session->sync(tokens).ok());
  return bits(session->logits());
}

std::string hash(const Engine& engine, std::span<const int32_t> tokens, int batch = 0) {
  const auto session = new_session(engine);
  const auto report = report_logits(*session, tokens, {.top = 0, .batch = batch, .on_position = {}});
  REQUIRE(report.ok());
  return report.value().hash;
}

}  // namespace

TEST_CASE("prefix reuse gives the bits of a fresh run") {
  for (const char* name : kTinyModels) {
    CAPTURE(name);
    const auto engine = load_tiny(name);
    const auto session = new_session(*engine);
    const std::vector<int32_t> first = some_tokens(*engine, 60);
    std::vector<int32_t> second(first.begin(), first.begin() + 41);
    for (const int32_t token : some_tokens(*engine, 30, 5)) {
      second.push_back(token);
    }
    REQUIRE(session->sync(first).value() == 0);
    CHECK(session->sync(second).value() == 41);
    CHECK(bits(session->logits()) == fresh_logits(*engine, second));
    // The same prompt again: all but the last token is reused, so that there is something to compute.
    CHECK(session->sync(second).value() == static_cast<int>(second.size()) - 1);
    CHECK(bits(session->logits()) == fresh_logits(*engine, second));
    // A prefix of what is held.
    CHECK(session->sync(std::span(second).first(10)).value() == 9);
    CHECK(bits(session->logits()) == fresh_logits(*engine, std::span(second).first(10)));
    CHECK(session->tokens().size() == 10);
  }
}

TEST_CASE("batches, threads and kernels do not change a bit") {
  for (const char* name : kTinyModels) {
    CAPTURE(name);
    const auto engine = load_tiny(name);
    const std::vector<int32_t> tokens = some_tokens(*engine, 150);  // more than one full batch, more than a window
    const std::string expected = hash(*engine, tokens);
    for (const int batch : {1, 2, 7, 33, 1000}) {
      CAPTURE(batch);
      CHECK(hash(*engine, tokens, batch) == expected);
    }
    for (const std::string& kernels : kernel_names()) {
      for (const int threads : {1, 2, 3}) {
        CAPTURE(kernels);
        CAPTURE(threads);
        EngineOptions options;
        options.kernels = kernels;
        options.threads = threads;
        CHECK(hash(*load_tiny(name, options), tokens) == expected);
      }
    }
  }
}

TEST_CASE("evaluate and extend agree, token by token, for every cache format") {
  for (const char* name : kTinyModels) {
    for (const KvType type : {KvType::kQ16_8, KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
      CAPTURE(name);
      EngineOptions options;
      options.kv_type = type;
      const auto engine = load_tiny(name, options);
      const std::vector<int32_t> tokens = some_tokens(*engine, 40);
      const auto one_by_one = new_session(*engine);
      std::vector<Bits> expected;
      for (const int32_t& token : tokens) {
        REQUIRE(one_by_one->extend({&token, 1}).value() == 1);
        expected.push_back(bits(one_by_one->logits()));
      }
      const auto session = new_session(*engine);
      int seen = 0;
      const auto each = [&](int position, std::span<const float> logits) {
        CHECK(position == seen);
        CHECK(bits(logits) == expected[static_cast<size_t>(seen++)]);
        return true;
      };
      REQUIRE(session->evaluate(tokens, 0, each).ok());
      CHECK(seen == 40);
      CHECK(bits(session->logits()) == expected.back());
    }
  }
}

TEST_CASE("truncate forgets the end and nothing else") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  const std::vector<int32_t> tokens = some_tokens(*engine, 20);
  REQUIRE(session->sync(tokens).ok());
  session->truncate(20);
  CHECK_FALSE(session->logits().empty());
  session->truncate(12);
  CHECK(session->tokens().size() == 12);
  CHECK(session->logits().empty());
  REQUIRE(session->extend(std::span(tokens).subspan(12)).ok());
  CHECK(bits(session->logits()) == fresh_logits(*engine, tokens));
  session->truncate(-5);
  CHECK(session->tokens().empty());
}

TEST_CASE("windows: taken back a little, the rest is kept; further, all is computed again; the bits are a fresh timeline's") {
  const auto loaded = Engine::load(changed_parts("tiny-gemma3", "gemma3.context_length", uint64_t{1024}),
                                   {.threads = 2, .context_size = 1024, .kernels = "", .on_progress = {}});
  REQUIRE(loaded.ok());
  const Engine& engine = *loaded.value();
  // One global layer of 1024 positions and six local ones of 16 + 256 and what the borders of segments need.
  const uint64_t position = 2ull * (32 * sizeof(int16_t) + 32 * sizeof(int8_t) + 3 * sizeof(float));
  CHECK(engine.info().kv_bytes == (1024 + 6 * 512) * position);
  const auto session = new_session(engine);
  std::vector<int32_t> tokens = some_tokens(engine, 900);
  REQUIRE(session->sync(tokens).ok());
  const auto replace_from = [&](int from, int kept) {
    for (size_t i = from; i < tokens.size(); ++i) tokens[i] = (tokens[i] + 1) % engine.info().vocab_size;
    const auto reused = session->sync(tokens);
    REQUIRE(reused.ok());
    CHECK(reused.value() == kept);
    CHECK(bits(session->logits()) == fresh_logits(engine, tokens));
  };
  replace_from(899, 899);
  replace_from(660, 660);
  replace_from(640, 640);  // not lost by being written again
  replace_from(520, 0);    // its window began in a segment that was overwritten
  replace_from(850, 850);
  tokens.resize(300);
  CHECK(session->sync(tokens).value() == 0);
  tokens.resize(200);
  CHECK(session->sync(tokens).value() == 199);
  CHECK(bits(session->logits()) == fresh_logits(engine, tokens));
}

TEST_CASE("a batch that was dropped between layers has cost a window nothing that is still seen") {
  const auto loaded = Engine::load(changed_parts("tiny-gemma3", "gemma3.context_length", uint64_t{1024}),
                                   {.threads = 1, .context_size = 1024, .kernels = "", .on_progress = {}});
  REQUIRE(loaded.ok());
  const Engine& engine = *loaded.value();
  const auto session = new_session(engine);
  const std::vector<int32_t> tokens = some_tokens(engine, 600), others = some_tokens(engine, 300, 7);
  REQUIRE(session->sync(tokens).ok());
  REQUIRE(session->extend(others, 0, 0.0).value() == 0);
  std::vector<int32_t> longer = tokens;
  longer.push_back(5);
  CHECK(session->sync(longer).value() == 600);
  CHECK(bits(session->logits()) == fresh_logits(engine, longer));
}

TEST_CASE("short convolutions: as windows, they are taken back as far as their rings reach; the bits are a fresh timeline's") {
  auto file = map_file(source_path("tests/golden/architectures/lfm2.gguf"));
  REQUIRE(file.ok());
  const auto loaded = Engine::load({std::move(*file)}, {.threads = 2, .context_size = 1024, .kernels = "", .on_progress = {}});
  REQUIRE(loaded.ok());
  const Engine& engine = *loaded.value();
  // One layer with attention; three with rings of the 2 positions before a batch and the 256 of the margin.
  CHECK(engine.info().kv_bytes == 1024 * 2 * (2 * 16 * sizeof(float)) + 3 * 258 * 64 * sizeof(float));
  const auto session = new_session(engine);
  std::vector<int32_t> tokens = some_tokens(engine, 900);
  REQUIRE(session->sync(tokens).ok());
  const auto replace_from = [&](int from, int kept) {
    for (size_t i = from; i < tokens.size(); ++i) tokens[i] = (tokens[i] + 1) % engine.info().vocab_size;
    CHECK(session->sync(tokens).value() == kept);
    CHECK(bits(session->logits()) == fresh_logits(engine, tokens));
  };
  replace_from(899, 899);
  replace_from(700, 700);
  replace_from(644, 644);
  replace_from(643, 0);
  REQUIRE(session->extend(some_tokens(engine, 100, 7), 0, 0.0).value() == 0);  // dropped between layers
  replace_from(880, 880);
  // Token by token as in batches.
  CHECK(hash(engine, tokens, 1) == hash(engine, tokens));
  CHECK(hash(engine, tokens, 37) == hash(engine, tokens));
}

TEST_CASE("adapters come and go without the engine being loaded again") {
  const auto parts = [](const std::string& name) {
    return std::vector<std::shared_ptr<const ByteSource>>{map_file(source_path("tests/golden/architectures/" + name)).value()};
  };
  const auto engine = Engine::load(parts("llama.gguf"), {.threads = 2, .kernels = "", .on_progress = {}});
  REQUIRE(engine.ok());
  const auto adapter = engine.value()->load_adapter(parts("llama.lora.gguf"));
  REQUIRE(adapter.ok());
  const auto session = new_session(*engine.value()), other = new_session(*engine.value());
  const std::vector<int32_t> tokens = some_tokens(*engine.value(), 20);
  REQUIRE(session->sync(tokens).ok());
  const auto plain = bits(session->logits());
  REQUIRE(session->set_adapters({{adapter.value(), 1.0f}}).ok());
  CHECK(session->tokens().empty());
  REQUIRE(session->sync(tokens).ok());
  CHECK(bits(session->logits()) != plain);
  REQUIRE(other->sync(tokens).ok());
  CHECK(bits(other->logits()) == plain);
  REQUIRE(session->set_adapters({}).ok());
  REQUIRE(session->sync(tokens).ok());
  CHECK(bits(session->logits()) == plain);
  CHECK(load_tiny("tiny-gemma3")->load_adapter(parts("llama.lora.gguf")).error().message.find("general.architecture") != std::string::npos);
}

TEST_CASE("extend computes logits only behind the last token given") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  const std::vector<int32_t> tokens = some_tokens(*engine, 10);
  CHECK(session->extend(tokens, 4).value() == 4);
  CHECK(session->logits().empty());
  CHECK(session->extend(std::span(tokens).subspan(4), 100).value() == 6);
  CHECK(bits(session->logits()) == fresh_logits(*engine, tokens));
  CHECK_FALSE(session->extend(tokens, -1).ok());
}

TEST_CASE("prompts that are empty, foreign or too long are refused and change nothing") {
  EngineOptions options;
  options.context_size = 32;
  const auto engine = load_tiny("tiny-llama", options);
  const auto session = new_session(*engine);
  const std::vector<int32_t> tokens = some_tokens(*engine, 20);
  REQUIRE(session->sync(tokens).ok());
  const auto code = [](const auto& result) { return result.ok() ? std::string("ok") : std::string(error_code_name(result.error().code)); };
  CHECK(code(session->sync({})) == "invalid_argument");
  CHECK(code(session->sync(std::vector<int32_t>{1, -1})) == "invalid_argument");
  CHECK(code(session->extend(std::vector<int32_t>{engine->info().vocab_size})) == "invalid_argument");
  const auto too_long = session->sync(some_tokens(*engine, 33));
  REQUIRE_FALSE(too_long.ok());
  CHECK(too_long.error().code == ErrorCode::kContextFull);
  CHECK(too_long.error().message.find("33") != std::string::npos);
  CHECK(too_long.error().message.find("32") != std::string::npos);
  CHECK(too_long.error().hint.find("256") != std::string::npos);
  CHECK(code(session->extend(some_tokens(*engine, 13))) == "context_full");
  CHECK(session->tokens().size() == 20);
  CHECK(bits(session->logits()) == fresh_logits(*engine, tokens));
  CHECK(session->sync(some_tokens(*engine, 32)).ok());  // exactly full is fine
}

TEST_CASE("an aborted sync keeps what was computed") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  const std::vector<int32_t> tokens = some_tokens(*engine, 200);
  const std::atomic<bool> abort = true;
  const auto stopped = session->sync(tokens, &abort);
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.error().code == ErrorCode::kAborted);
  CHECK(session->tokens().size() < tokens.size());
  const auto each = [](int position, std::span<const float>) { return position < 30; };
  const auto cut = session->evaluate(tokens, 16, each);
  REQUIRE_FALSE(cut.ok());
  CHECK(cut.error().code == ErrorCode::kAborted);
  CHECK(session->tokens().size() == 32);
  REQUIRE(session->sync(tokens).ok());
  CHECK(bits(session->logits()) == fresh_logits(*engine, tokens));
}

TEST_CASE("perplexity is the mean over all predicted tokens of all chunks") {
  const auto engine = load_tiny("tiny-gemma3");
  const auto session = new_session(*engine);
  const std::vector<int32_t> tokens = some_tokens(*engine, 50);
  const auto report = measure_perplexity(*session, tokens, 2, 20, {});
  REQUIRE(report.ok());
  CHECK(report.value().tokens == 50);  // with a begin token in each chunk every other token is predicted
  double sum = 0;
  for (size_t begin = 0; begin < 50; begin += 19) {
    std::vector<int32_t> piece = {2};
    piece.insert(piece.end(), tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                 tokens.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(begin + 19, 50)));
    const auto logits = report_logits(*session, piece, {.top = 1, .batch = 0, .on_position = {}});
    for (size_t i = 0; i + 1 < piece.size(); ++i) {
      sum -= static_cast<double>(*logits.value().positions[i].next);
    }
    CHECK_FALSE(logits.value().positions.back().next.has_value());
  }
  CHECK(report.value().mean_nll == doctest::Approx(sum / 50).epsilon(1e-5));
  CHECK(report.value().perplexity == doctest::Approx(std::exp(sum / 50)).epsilon(1e-4));
  CHECK_FALSE(measure_perplexity(*session, tokens, {}, 1, {}).ok());
  CHECK_FALSE(measure_perplexity(*session, std::span(tokens).first(1), {}, 20, {}).ok());
  CHECK(measure_perplexity(*session, tokens, {}, 300, {}).ok());  // chunks are cut from the text that is there
}

TEST_CASE("the benchmark measures what was asked for") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  const auto report = run_bench(*session, {.prompt_tokens = 64, .generate_tokens = 8, .depth = 5, .repetitions = 2, .keep_going = {}});
  REQUIRE(report.ok());
  CHECK(report.value().prefill_tps.size() == 2);
  CHECK(report.value().decode_tps.size() == 2);
  CHECK(report.value().decode_tps[1] > 0);
  CHECK(session->tokens().size() == 13);
  const auto only_decode = run_bench(*session, {.prompt_tokens = 0, .generate_tokens = 4, .depth = 0, .repetitions = 1, .keep_going = {}});
  CHECK(only_decode.value().prefill_tps.empty());
  const auto too_long = run_bench(*session, {.prompt_tokens = 257, .generate_tokens = 8, .depth = 0, .repetitions = 1, .keep_going = {}});
  REQUIRE_FALSE(too_long.ok());
  CHECK(too_long.error().code == ErrorCode::kContextFull);
  const auto stopped =
      run_bench(*session, {.prompt_tokens = 8, .generate_tokens = 8, .depth = 0, .repetitions = 1, .keep_going = [] { return false; }});
  CHECK(stopped.error().code == ErrorCode::kAborted);
}

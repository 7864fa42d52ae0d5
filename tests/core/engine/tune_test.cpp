// Tests tune and roofline: a trial sets what it finds, refuses what does not run here, and changes no result.
#include "core/engine/tune.h"

#include <algorithm>

#include "core/engine/bench.h"
#include "core/engine/evaluate.h"
#include "core/kernels/kernels.h"
#include "core/model/model.h"
#include "tests/core/engine/tiny.h"

using namespace tessera;
using namespace tessera::testing;

TEST_CASE("a trial chooses among the threads and kernels there are, and the logits stay the same bits") {
  EngineOptions options;
  options.threads = 3;
  const auto engine = load_tiny("tiny-llama", options);
  auto session = std::move(Session::create(*engine).value());
  const std::vector<int32_t> tokens = {5, 6, 7, 8, 9};
  const std::string before = report_logits(*session, tokens, {}).value().hash;
  REQUIRE(tune(*engine, *session, {}).ok());
  CHECK((engine->info().threads >= 1 && engine->info().threads <= 3));
  CHECK(engine->info().kernels == engine->kernel_choices().front());  // natively each machine has one table of a tile
  CHECK(session->tokens().empty());
  CHECK(report_logits(*session, tokens, {}).value().hash == before);
  for (const int threads : {1, 2, 3}) {
    REQUIRE(tune(*engine, *session, {"", threads}).ok());
    CHECK(engine->info().threads == threads);
    CHECK(report_logits(*session, tokens, {}).value().hash == before);
  }
  for (const int processors : {1, 2, 3, 64}) {
    REQUIRE(tune(*engine, *session, {"", 0, 0, processors}).ok());
    CHECK((engine->info().threads >= 1 && engine->info().threads <= 3));
    REQUIRE(engine->use(engine->info().kernels, 3).ok());
  }
  REQUIRE(tune(*engine, *session, {"", 64}).ok());
  CHECK(engine->info().threads == 3);
  // A trial of threads, which forgets the timeline, also where one thread is at work: an earlier trial may have chosen it.
  const std::string kernels = engine->info().kernels;
  REQUIRE(engine->use(kernels, 1).ok());
  REQUIRE(session->sync(tokens).ok());
  REQUIRE(tune(*engine, *session, {kernels, 0, kMostStreams}).ok());
  CHECK(session->tokens().empty());
  for (const int streams : {1, kMostStreams}) {
    REQUIRE(tune(*engine, *session, {"", 2, streams}).ok());
    CHECK(engine->info().streams == streams);
    REQUIRE(engine->use(engine->info().kernels, 2).ok());
    CHECK(engine->model().kernels->streams == streams);  // of the engine, whatever kernels compute
    CHECK(report_logits(*session, tokens, {}).value().hash == before);
  }
}

TEST_CASE("kernels that do not run here, or read other tiles, are refused by name") {
  const auto engine = load_tiny("tiny-llama", {});
  auto session = std::move(Session::create(*engine).value());
  const std::vector<std::string> right = engine->kernel_choices();
  std::vector<std::string> wrong = {"abacus"};
  for (const std::string& name : kernel_names()) {
    if (std::ranges::find(right, name) == right.end()) wrong.push_back(name);
  }
  for (const std::string& name : wrong) {
    CAPTURE(name);
    const Result<void> refused = tune(*engine, *session, {name, 1});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::kInvalidArgument);
    CHECK(refused.error().message.find(name) != std::string::npos);
  }
}

TEST_CASE("a number of streams that there is not is refused") {
  const auto engine = load_tiny("tiny-llama", {});
  auto session = std::move(Session::create(*engine).value());
  for (const int streams : {-1, 2, kMostStreams + 1})
    CHECK(tune(*engine, *session, {"", 1, streams}).error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE("the roofline reads what a token reads") {
  const auto engine = load_tiny("tiny-llama", {});
  auto session = std::move(Session::create(*engine).value());
  BenchOptions options{.prompt_tokens = 4, .generate_tokens = 4, .repetitions = 1, .roofline = true, .keep_going = {}};
  const auto report = run_bench(*session, options);
  REQUIRE(report.ok());
  const Roofline& roofline = report.value().roofline;
  CHECK((roofline.products_tps > 0 && roofline.reading_tps > 0));
  CHECK((roofline.token_bytes > 0 && roofline.token_bytes <= engine->info().weight_bytes));
  CHECK(roofline.products_tps >= report.value().decode_tps.front());  // decoding does more
}

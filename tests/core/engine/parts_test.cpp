// Tests models in parts: the same bits as in one memory, whatever is done to the timeline; and how a model is cut.
#include "core/engine/parts.h"

#include <filesystem>

#include "core/engine/estimate.h"
#include "core/engine/evaluate.h"
#include "core/model/model.h"
#include "tests/core/engine/tiny.h"

using namespace tessera;
using namespace tessera::testing;

namespace {

using Sources = std::vector<std::shared_ptr<const ByteSource>>;

Sources open(const std::string& path) { return {map_file(source_path(path)).value()}; }

// A chain of engines and sessions, the one that others use at the end.
struct Chain {
  std::vector<std::unique_ptr<Engine>> engines;
  std::vector<std::shared_ptr<Session>> sessions;
  Session& session() { return *sessions.back(); }

  Chain(const std::string& path, const std::vector<PartSize>& plan, EngineOptions options = {}) {
    for (const PartSize& part : plan) {
      options.layers = part.layers;
      auto engine = Engine::load(open(path), options);
      REQUIRE_MESSAGE(engine.ok(), (engine ? "" : engine.error().message));
      CHECK(engine.value()->info().weight_bytes == part.weight_bytes);
      CHECK(engine.value()->info().kv_bytes == part.kv_bytes);
      std::shared_ptr<Upstream> upstream = sessions.empty() ? nullptr : sessions.back();
      auto session = Session::create(*engine.value(), std::move(upstream));
      REQUIRE(session.ok());
      engines.push_back(std::move(*engine));
      sessions.push_back(std::move(*session));
    }
  }
};

// As many parts as there are layers, or `parts`.
std::vector<PartSize> cut(const std::string& path, int parts = 1000, int context = 0) {
  const auto whole = plan_parts(open(path), context, {}, UINT64_MAX);
  REQUIRE_MESSAGE(whole.ok(), (whole ? "" : whole.error().message));
  REQUIRE(whole.value().size() == 1);
  std::vector<PartSize> best = whole.value();
  const uint64_t all = whole.value()[0].bytes();
  for (uint64_t most = all - 1; most > 0; most -= all / 64) {
    const auto plan = plan_parts(open(path), context, {}, most);
    if (!plan || static_cast<int>(plan.value().size()) > parts) break;
    best = plan.value();
  }
  return best;
}

std::vector<float> logits_of(Session& session, std::span<const int32_t> tokens) {
  const auto reused = session.sync(tokens);
  REQUIRE_MESSAGE(reused.ok(), (reused ? "" : reused.error().message));
  return {session.logits().begin(), session.logits().end()};
}

}  // namespace

TEST_CASE("a model in parts has the logits of one memory, in every architecture") {
  int cut_models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_path("tests/golden/architectures"))) {
    if (entry.path().extension() != ".gguf" || entry.path().string().find(".lora.") != std::string::npos) continue;
    const std::string path = "tests/golden/architectures/" + entry.path().filename().string();
    CAPTURE(path);
    const auto whole = Engine::load(open(path), {.threads = 2, .kernels = "", .on_progress = {}}).value();
    const auto one = new_session(*whole);
    const std::vector<PartSize> plan = cut(path);
    cut_models += plan.size() > 1;
    Chain chain(path, plan, {.threads = 2, .kernels = "", .on_progress = {}});
    const std::vector<int32_t> tokens = some_tokens(*whole, std::min(150, whole->info().context_size));
    const LogitsOptions all{.top = 0, .batch = 0, .on_position = {}};
    CHECK(report_logits(chain.session(), tokens, all).value().hash == report_logits(*one, tokens, all).value().hash);
    // Taken back a little, and anew.
    std::vector<int32_t> other(tokens.begin(), tokens.end() - 5);
    other.push_back(3);
    CHECK(logits_of(chain.session(), other) == logits_of(*one, other));
    const std::vector<int32_t> fresh = some_tokens(*whole, 20, 9);
    CHECK(logits_of(chain.session(), fresh) == logits_of(*one, fresh));
  }
  CHECK(cut_models > 15);
}

TEST_CASE("a model in parts: a batch that ran out of time goes on, one that is dropped leaves nothing behind") {
  const std::string path = "tests/data/tiny-gemma3.gguf";
  const auto whole = load_tiny("tiny-gemma3");
  const auto one = new_session(*whole);
  Chain chain(path, cut(path, 3));
  REQUIRE(chain.engines.size() > 1);
  const std::vector<int32_t> tokens = some_tokens(*whole, 70);
  int calls = 1;
  while (chain.session().extend(tokens, 0, 0.0).value() == 0) ++calls;
  CHECK(calls == chain.engines.front()->model().config.layers);
  const std::vector<float> expected = logits_of(*one, tokens);
  CHECK(std::vector<float>(chain.session().logits().begin(), chain.session().logits().end()) == expected);

  const std::vector<int32_t> dropped = some_tokens(*whole, 30, 4);
  for (int steps = 1; steps < calls; ++steps) {
    std::vector<int32_t> longer = tokens;
    for (int i = 0; i < steps; ++i) CHECK(chain.session().extend(dropped, 0, 0.0).value() == 0);
    longer.push_back(5);
    CHECK(logits_of(chain.session(), longer) == logits_of(*one, longer));
    chain.session().rehearse(8, 1);
    CHECK(logits_of(chain.session(), tokens) == expected);
  }
}

TEST_CASE("a model in parts: what short convolutions keep is taken back in each part alike") {
  const std::string path = "tests/golden/architectures/lfm2.gguf";
  const auto whole = Engine::load(open(path), {.threads = 2, .kernels = "", .on_progress = {}}).value();
  const auto one = new_session(*whole);
  const std::vector<PartSize> plan = cut(path);
  REQUIRE(plan.size() > 1);
  uint64_t kv = 0;
  for (const PartSize& part : plan) kv += part.kv_bytes;
  CHECK(kv == whole->info().kv_bytes);
  Chain chain(path, plan, {.threads = 2, .kernels = "", .on_progress = {}});
  std::vector<int32_t> tokens = some_tokens(*whole, 700);
  CHECK(logits_of(chain.session(), tokens) == logits_of(*one, tokens));
  for (const int kept : {600, 460, 200}) {  // the last is further back than the rings reach
    tokens.resize(kept);
    tokens.insert(tokens.end(), {3, 1, 4, 1, 5});
    const int expected = one->rewind_to_common(tokens).value();
    CHECK(chain.session().rewind_to_common(tokens).value() == expected);
    CHECK((kept == 200) == (expected == 0));
    CHECK(logits_of(chain.session(), tokens) == logits_of(*one, tokens));
  }
}

TEST_CASE("a model in parts: an answer with guessed tokens is that of one memory without") {
  for (const char* name : {"lfm2", "gemma3"}) {
    CAPTURE(name);
    const std::string path = std::string("tests/golden/architectures/") + name + ".gguf";
    const auto whole = Engine::load(open(path), {}).value();
    const auto one = new_session(*whole);
    Chain chain(path, cut(path));
    REQUIRE(chain.engines.size() > 1);
    GenerateOptions options;
    options.chat = false;
    options.ignore_end = true;
    options.max_tokens = 100;
    options.sampler.temperature = 1;
    options.sampler.logit_bias = {{5, 99.0f}, {6, 99.0f}};  // says nothing else, so that much is guessed, right and wrong
    const auto answer = [&](Session& session, bool prompt_lookup) {
      options.prompt_lookup = prompt_lookup;
      return answer_whole(session, some_tokens(*whole, 20), options);
    };
    int guessed = 0, right = 0;
    for (options.sampler.seed = 1; options.sampler.seed < 5; ++options.sampler.seed) {
      const Generation parts = answer(chain.session(), true);
      CHECK(parts.tokens == answer(*one, false).tokens);
      guessed += parts.guessed_tokens;
      right += parts.right_guesses;
    }
    CHECK(right > 0);
    CHECK(guessed > right);
  }
}

TEST_CASE("a model in parts: adapters work in each") {
  const std::string path = "tests/golden/architectures/llama.gguf", lora = "tests/golden/architectures/llama.lora.gguf";
  const auto whole = Engine::load(open(path), {}).value();
  const auto one = new_session(*whole);
  REQUIRE(one->set_adapters({{whole->load_adapter(open(lora)).value(), 0.7f}}).ok());
  Chain chain(path, cut(path));
  REQUIRE(chain.engines.size() > 1);
  const std::vector<int32_t> tokens = some_tokens(*whole, 40);
  CHECK(logits_of(chain.session(), tokens) != logits_of(*one, tokens));
  for (size_t i = 0; i < chain.engines.size(); ++i) {
    REQUIRE(chain.sessions[i]->set_adapters({{chain.engines[i]->load_adapter(open(lora)).value(), 0.7f}}).ok());
  }
  CHECK(logits_of(chain.session(), tokens) == logits_of(*one, tokens));
}

TEST_CASE("plan_parts: each part fits, together they are the model, and one that fits is not cut") {
  const std::string path = "tests/data/tiny-llama.gguf";
  const PartSize whole = plan_parts(open(path), 0, {}, UINT64_MAX).value()[0];
  CHECK(plan_parts(open(path), 0, {}, whole.bytes()).value().size() == 1);
  const auto plan = plan_parts(open(path), 0, {}, whole.bytes() - 1).value();
  REQUIRE(plan.size() == 2);
  CHECK(plan[0].layers.first == 0);
  CHECK(plan[0].layers.end == plan[1].layers.first);
  uint64_t kv = 0;
  for (const PartSize& part : plan) {
    CHECK(part.bytes() < whole.bytes());
    kv += part.kv_bytes;
  }
  CHECK(kv == whole.kv_bytes);
  const auto refused = plan_parts(open(path), 0, {}, 1000);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kOutOfMemory);
}

TEST_CASE("plan_parts: layers that need what others computed are not cut apart") {
  const std::string path = "tests/golden/architectures/gemma4-e2b.gguf";
  const uint64_t all = plan_parts(open(path), 0, {}, UINT64_MAX).value()[0].bytes();
  const auto refused = plan_parts(open(path), 0, {}, all - 1);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kUnsupported);
  CHECK(refused.error().message.find("in several memories") != std::string::npos);
  CHECK(estimate(open(path), {.most_bytes = all - 1}).value().parts == 0);
  EngineOptions options;
  options.layers = {0, 2};
  CHECK(Engine::load(open(path), options).error().code == ErrorCode::kUnsupported);
}

TEST_CASE("a memory that is too small is refused before anything is read; parts cannot be joined in the wrong order") {
  const std::string path = "tests/data/tiny-llama.gguf";
  EngineOptions options;
  options.most_bytes = plan_parts(open(path), 0, {}, UINT64_MAX).value()[0].bytes();
  CHECK(Engine::load(open(path), options).ok());
  options.most_bytes -= 1;
  options.on_progress = [](uint64_t, uint64_t) -> bool {
    FAIL("read");
    return true;
  };
  CHECK(Engine::load(open(path), options).error().code == ErrorCode::kOutOfMemory);
  EngineOptions back;
  back.layers = {1, 1000};
  const auto engine = Engine::load(open(path), back).value();
  CHECK(Session::create(*engine).error().code == ErrorCode::kInvalidArgument);
}

// Tests Generator: where answers end, what of them is shown, and that the same options give the same answer.
#include "core/engine/generator.h"

#include <algorithm>
#include <cmath>

#include "core/text/tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/core/engine/tiny.h"

using namespace tessera;
using namespace tessera::testing;

namespace {

constexpr const char* kAnswer = "Hello! I am a tiny model.";  // tiny-llama's answer to any chat

GenerateOptions greedy() {
  GenerateOptions options;
  options.sampler.temperature = 0;
  return options;
}

/// Runs to the end; checks that the pieces shown add up to the text.
Generation answer(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options) {
  std::string shown, thought;
  const Generation result = answer_whole(session, prompt, options, [&](const GenerateStep& step) {
    shown += step.text;
    thought += step.reasoning;
  });
  CHECK(shown == result.text);
  CHECK(thought == result.reasoning);
  return result;
}

std::string start_error(Session& session, const GenerateOptions& options) {
  const auto generator = Generator::start(session, std::vector<int32_t>{1}, options);
  return generator ? "ok" : generator.error().message;
}

}  // namespace

TEST_CASE("a good answer ends where it ends") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  const std::vector<int32_t> prompt = chat_prompt(*engine);
  const Generation first = answer(*session, prompt, greedy());
  CHECK(first.text == kAnswer);
  CHECK(first.finish_reason == FinishReason::kStop);
  CHECK(first.tokens.size() == 8);
  CHECK(first.prompt_tokens == static_cast<int>(prompt.size()));
  CHECK(first.reused_tokens == 0);
  CHECK(first.decoded_tokens == 8);
  CHECK(first.prefill_tps() > 0);
  CHECK(first.decode_tps() > 0);
  // The next turn reuses the prompt and the answer.
  std::vector<int32_t> next = prompt;
  next.insert(next.end(), first.tokens.begin(), first.tokens.end());
  next.push_back(*engine->tokenizer().vocab().find("<|im_end|>"));
  const std::vector<int32_t> more = chat_prompt(*engine);
  next.insert(next.end(), more.begin(), more.end());
  const Generation second = answer(*session, next, greedy());
  CHECK(second.text == kAnswer);
  CHECK(second.reused_tokens == static_cast<int>(prompt.size() + first.tokens.size()));
}

TEST_CASE("an answer never runs on into the next role's marker") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  const int32_t opener = *engine->tokenizer().vocab().find("<|im_start|>");
  // tiny-llama maps each token to one successor: find the one that is followed by <|im_start|>.
  GenerateOptions options = greedy();
  options.chat = false;
  options.max_tokens = 1;
  int32_t before = -1;
  for (int32_t id = 0; id < engine->info().vocab_size && before < 0; ++id) {
    const Generation one = answer(*session, std::vector<int32_t>{id}, options);
    if (one.tokens == std::vector<int32_t>{opener}) {
      before = id;
    }
  }
  REQUIRE(before >= 0);
  const Generation chat = answer(*session, std::vector<int32_t>{before}, greedy());
  CHECK(chat.tokens.empty());
  CHECK(chat.finish_reason == FinishReason::kStop);
}

TEST_CASE("markers that are plain text end an answer under their template") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  GenerateOptions options = greedy();
  options.max_tokens = 5;
  options.sampler.logit_bias = {{*engine->tokenizer().vocab().find("#"), 99.0f}};  // says nothing but #
  CHECK(answer(*session, chat_prompt(*engine), options).text == "#####");
  options.template_override = "{% for m in messages %}{{ '###\n' if m.role == 'user' else '' }}{{ m.content }}\n{% endfor %}";
  Generation stopped = answer(*session, chat_prompt(*engine), options);
  CHECK(stopped.text == "");
  CHECK(stopped.finish_reason == FinishReason::kStop);
  CHECK(stopped.tokens.size() == 3);
  options.chat = false;  // a raw prompt may well go on with such text
  CHECK(answer(*session, chat_prompt(*engine), options).text == "#####");
}

TEST_CASE("stop strings that arrive in pieces are never shown in part") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  const std::vector<int32_t> prompt = chat_prompt(*engine);
  const auto text = [&](std::vector<std::string> stop) {
    GenerateOptions options = greedy();
    options.stop = std::move(stop);
    const Generation result = answer(*session, prompt, options);
    CHECK(result.finish_reason == FinishReason::kStop);
    return result.text;
  };
  CHECK(text({"I am a tiny"}) == "Hello! ");
  CHECK(text({"am b", "I am a bear"}) == kAnswer);        // begins, but never comes
  CHECK(text({"model.", "tiny m"}) == "Hello! I am a ");  // the one that begins first
  CHECK(text({"Hello"}) == "");
  CHECK(text({".more"}) == kAnswer);  // held back at the end, then released
  CHECK(text({"l"}) == "He");
}

TEST_CASE("what a model thinks is told apart from its answer, where that is asked for") {
  constexpr const char* kThought = "Someone greets me; a greeting is the right answer.";
  const auto engine = load_tiny("tiny-thinker");
  const auto session = new_session(*engine);
  const std::vector<int32_t> prompt = chat_prompt(*engine);
  GenerateOptions options = greedy();
  CHECK(answer(*session, prompt, options).text == "<think>" + std::string(kThought) + "</think>\n\nHello, friend!");
  CHECK(answer(*session, prompt, options).reasoning == "");
  options.split_reasoning = true;
  const Generation apart = answer(*session, prompt, options);
  CHECK(apart.text == "Hello, friend!");
  CHECK(apart.reasoning == kThought);
  options.max_tokens = 5;
  const Generation cut = answer(*session, prompt, options);
  CHECK(cut.text == "");
  CHECK(cut.reasoning == "Someone greets me;");
  options.stop = {"; a"};
  options.max_tokens = -1;
  CHECK(answer(*session, prompt, options).reasoning == "Someone greets me");

  const auto answers_at_once = load_tiny("tiny-llama");
  const auto other = new_session(*answers_at_once);
  options.stop.clear();
  CHECK(answer(*other, chat_prompt(*answers_at_once), options).text == kAnswer);
}

TEST_CASE("tags of reasoning that are control tokens, or that the prompt ends in, are seen, too") {
  auto file = GgufFile::open(tiny_parts("tiny-thinker").front());
  REQUIRE(file.ok());
  auto types = std::get<std::vector<int64_t>>(*file->find("tokenizer.ggml.token_type"));
  types[3] = types[4] = 3;  // <think>, </think>: control
  EngineOptions engine_options;
  auto engine = Engine::load(changed_parts("tiny-thinker", "tokenizer.ggml.token_type", types), engine_options);
  REQUIRE(engine.ok());
  const auto session = new_session(**engine);
  GenerateOptions options = greedy();
  options.split_reasoning = true;
  const Generation apart = answer(*session, chat_prompt(**engine), options);
  CHECK(apart.text == "Hello, friend!");
  CHECK(apart.reasoning == "Someone greets me; a greeting is the right answer.");

  options.template_override = "{{ messages[0].content }}<think>";  // DeepSeek-R1's opens it in the prompt
  const auto prompt = (*engine)->chat_prompt({{"messages", {{{"role", "user"}, {"content", "?"}}}}}, options.template_override);
  REQUIRE(prompt.ok());
  CHECK(answer(*session, prompt.value(), options).reasoning == apart.reasoning);
}

TEST_CASE("an answer of messages: what frames them ends nothing, the analysis channel is reasoning") {
  auto file = GgufFile::open(tiny_parts("tiny-thinker").front());
  REQUIRE(file.ok());
  auto pieces = std::get<std::vector<std::string>>(*file->find("tokenizer.ggml.tokens"));
  auto types = std::get<std::vector<int64_t>>(*file->find("tokenizer.ggml.token_type"));
  // tiny-thinker's answer, word for word, as gpt-oss would write it; only that it has no second <|message|>.
  const std::pair<std::string, std::string> renamed[] = {{"<think>", "<|channel|>"}, {"Someone", "analysis"},
                                                         {"Ġgreets", "<|message|>"}, {"Ġright", "<|end|>"},
                                                         {"Ġanswer", "<|start|>"},   {"<|im_end|>", "<|return|>"}};
  for (const auto& [from, to] : renamed) {
    const auto at = std::ranges::find(pieces, from);
    REQUIRE(at != pieces.end());
    *at = to;
    if (to.starts_with("<|")) types[at - pieces.begin()] = 3;
  }
  const std::string chat =
      "{% for m in messages %}<|start|>{{ m.role ~ ('<|channel|>final' if m.role == 'assistant') ~ '<|message|>' ~ m.content }}<|end|>{% "
      "endfor %}"
      "<|start|>assistant{{ '\n' }}";
  auto engine = Engine::load(changed_parts("tiny-thinker", {{"tokenizer.ggml.tokens", pieces},
                                                            {"tokenizer.ggml.token_type", types},
                                                            {"tokenizer.ggml.merges", std::vector<std::string>{}},
                                                            {"tokenizer.chat_template", chat}}),
                             {});
  REQUIRE_MESSAGE(engine.ok(), (engine ? "" : engine.error().message));
  const auto session = new_session(**engine);
  GenerateOptions options = greedy();
  options.split_reasoning = true;
  const Generation apart = answer(*session, chat_prompt(**engine), options);
  CHECK(apart.reasoning == "me; a greeting is the");
  CHECK(apart.text == "");
  CHECK(apart.finish_reason == FinishReason::kStop);
  CHECK(apart.tokens.size() == 18);
}

TEST_CASE("finish reasons") {
  EngineOptions engine_options;
  engine_options.context_size = 48;
  const auto engine = load_tiny("tiny-llama", engine_options);
  const auto session = new_session(*engine);
  const std::vector<int32_t> prompt = chat_prompt(*engine);
  GenerateOptions options = greedy();
  options.max_tokens = 3;
  Generation result = answer(*session, prompt, options);
  CHECK(result.finish_reason == FinishReason::kLength);
  CHECK(result.text == "Hello! I");
  CHECK(result.decoded_tokens == 2);

  options.max_tokens = 0;
  result = answer(*session, prompt, options);
  CHECK(result.finish_reason == FinishReason::kLength);
  CHECK(result.tokens.empty());

  options.max_tokens = -1;
  options.ignore_end = true;
  result = answer(*session, prompt, options);
  CHECK(result.finish_reason == FinishReason::kContext);
  CHECK(prompt.size() + result.tokens.size() == 48);
  CHECK(session->tokens().size() == 47);  // the last token drawn is not computed

  result = answer(*session, some_tokens(*engine, 48), options);
  CHECK(result.finish_reason == FinishReason::kContext);
  CHECK(result.tokens.empty());

  const auto too_long = Generator::start(*session, some_tokens(*engine, 49), options);
  REQUIRE_FALSE(too_long.ok());
  CHECK(too_long.error().code == ErrorCode::kContextFull);
  const auto empty = Generator::start(*session, {}, options);
  CHECK(empty.error().code == ErrorCode::kInvalidArgument);
  for (const FinishReason reason : {FinishReason::kStop, FinishReason::kLength, FinishReason::kContext, FinishReason::kAborted}) {
    CHECK_FALSE(finish_reason_name(reason).empty());
  }
}

TEST_CASE("prefill comes in steps with progress; dropping the generator leaves a consistent timeline") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  const std::vector<int32_t> prompt = some_tokens(*engine, 200);
  {
    auto generator = Generator::start(*session, prompt, greedy());
    const auto step = (*generator)->step();
    CHECK(step.value().kind == GenerateStep::Kind::kPrefill);
    CHECK(step.value().prompt_total == 200);
    CHECK(step.value().prompt_done < 200);
    const Generation& stopped = (*generator)->result();
    CHECK(stopped.finish_reason == FinishReason::kAborted);
    CHECK(stopped.prefilled_tokens == static_cast<int>(session->tokens().size()));
    CHECK(stopped.prefill_tps() * stopped.prefill_ms == doctest::Approx(1000.0 * stopped.prefilled_tokens));
  }
  CHECK(session->tokens().size() < 200);
  const Generation whole = answer(*session, chat_prompt(*engine), greedy());
  CHECK(whole.text == kAnswer);
  CHECK(whole.prefilled_tokens == whole.prompt_tokens - whole.reused_tokens);
}

TEST_CASE("a batch that is stopped between two layers and taken up again gives the same bits; any other use forgets it") {
  const auto engine = load_tiny("tiny-gemma3");
  const auto whole = new_session(*engine), parts = new_session(*engine);
  const std::vector<int32_t> prompt = some_tokens(*engine, 40), other = some_tokens(*engine, 39);
  REQUIRE(whole->extend(prompt).value() == 40);
  int calls = 0;
  float before = -1;
  for (; parts->extend(prompt, 0, 0.0).value() == 0; ++calls) {
    CHECK(parts->pending() > before);
    CHECK(parts->tokens().empty());
    CHECK(parts->logits().empty());
    before = parts->pending();
  }
  CHECK(calls == 6);  // of its seven layers, the last one ends the batch
  CHECK(parts->pending() == 0);
  CHECK(std::ranges::equal(parts->logits(), whole->logits()));

  parts->truncate(0);
  CHECK(parts->extend(other, 0, 0.0).value() == 0);  // begun and left
  while (parts->extend(prompt, 0, 0.0).value() == 0) {
  }
  CHECK(std::ranges::equal(parts->logits(), whole->logits()));
  parts->truncate(30);
  CHECK(parts->extend(std::span(prompt).subspan(30), 0, 0.0).value() == 0);
  parts->truncate(20);  // forgets what was begun after 30
  CHECK(parts->pending() == 0);
  REQUIRE(parts->extend(std::span(prompt).subspan(20)).value() == 20);
  CHECK(std::ranges::equal(parts->logits(), whole->logits()));
}

TEST_CASE("log-probabilities are the model's own, whatever the sampler does") {
  const auto engine = load_tiny("tiny-gemma3");
  const auto session = new_session(*engine);
  const std::vector<int32_t> prompt = chat_prompt(*engine);
  GenerateOptions options = greedy();
  options.max_tokens = 4;
  options.logprobs = true;
  options.top_logprobs = 20;
  options.ignore_end = true;
  auto generator = Generator::start(*session, prompt, options);
  int tokens = 0;
  float first_logprob = 0;
  for (auto step = (*generator)->step(); step.value().kind != GenerateStep::Kind::kDone; step = (*generator)->step()) {
    if (step.value().kind == GenerateStep::Kind::kToken) {
      first_logprob = tokens++ == 0 ? step.value().logprob : first_logprob;
      REQUIRE(step.value().top.size() == 20);
      CHECK(step.value().top[0].first == step.value().token);
      CHECK(step.value().top[0].second == step.value().logprob);
      double mass = 0;
      for (const auto& [id, logprob] : step.value().top) {
        mass += std::exp(static_cast<double>(logprob));
      }
      CHECK((mass > 0.05 && mass <= 1.0001));
    }
  }
  CHECK(tokens == 4);
  // Forced by a bias to the same token at a high temperature: the number stays.
  const int32_t forced = (*generator)->result().tokens[0];
  options.sampler.temperature = 5;
  options.sampler.logit_bias = {{forced, 99.0f}};
  options.max_tokens = 1;
  auto biased = Generator::start(*session, prompt, options);
  for (auto step = (*biased)->step(); step.value().kind != GenerateStep::Kind::kDone; step = (*biased)->step()) {
    if (step.value().kind == GenerateStep::Kind::kToken) {
      CHECK(step.value().token == forced);
      CHECK(step.value().logprob == first_logprob);
    }
  }
}

TEST_CASE("the same seed gives the same answer, another seed another") {
  const auto engine = load_tiny("tiny-gemma3");
  const auto session = new_session(*engine);
  GenerateOptions options;
  options.max_tokens = 12;
  options.ignore_end = true;
  options.sampler.seed = 11;
  const std::vector<int32_t> prompt = chat_prompt(*engine);
  const Generation first = answer(*session, prompt, options);
  CHECK(answer(*session, prompt, options).tokens == first.tokens);
  options.sampler.seed = 12;
  CHECK(answer(*session, prompt, options).tokens != first.tokens);
}

TEST_CASE("options are checked by name") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  GenerateOptions options;
  CHECK(start_error(*session, options) == "ok");
  options.max_tokens = -2;
  CHECK(start_error(*session, options).find("max_tokens") == 0);
  options = {};
  options.stop = {"ok", ""};
  CHECK(start_error(*session, options).find("stop") == 0);
  options = {};
  options.top_logprobs = 3;
  CHECK(start_error(*session, options).find("top_logprobs") == 0);
  options.logprobs = true;
  options.top_logprobs = 21;
  CHECK(start_error(*session, options).find("top_logprobs") == 0);
  options = {};
  options.sampler.top_p = 2;
  CHECK(start_error(*session, options).find("top_p") == 0);
  options = {};
  options.sampler.logit_bias = {{engine->info().vocab_size, 1.0f}};
  CHECK(start_error(*session, options).find("logit_bias") == 0);
}

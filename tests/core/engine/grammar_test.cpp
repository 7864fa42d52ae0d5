// Tests answers that are held to a grammar: what comes out, where they end, and that reasoning, batches and guesses change nothing of it.
#include "core/engine/answer_grammar.h"
#include "core/engine/generator.h"
#include "nlohmann/json.hpp"
#include "tests/core/engine/tiny.h"

using namespace tessera;
using namespace tessera::testing;

namespace {

using Json = nlohmann::ordered_json;

GenerateOptions held_to(const Result<AnswerGrammar>& grammar) {
  REQUIRE_MESSAGE(grammar.ok(), (grammar ? "" : grammar.error().message));
  GenerateOptions options;
  options.grammar = grammar.value();
  options.max_tokens = 200;
  return options;
}

constexpr const char* kSchema = R"({"type": "object", "required": ["name", "age", "tags"], "properties": {
  "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 1, "maximum": 99},
  "tags": {"type": "array", "items": {"enum": ["a", "bc"]}, "maxItems": 3}}})";

}  // namespace

TEST_CASE("answers fit the schema, whatever is drawn, and end with it") {
  for (const char* name : kTinyModels) {
    CAPTURE(name);
    const auto engine = load_tiny(name);
    const auto session = new_session(*engine);
    GenerateOptions options = held_to(grammar_of_schema(Json::parse(kSchema)));
    options.chat = false;
    options.sampler.temperature = 1.5f;
    const std::vector<int32_t> prompt = some_tokens(*engine, 9);
    for (uint64_t seed = 0; seed < 12; ++seed) {
      options.sampler.seed = seed;
      options.prompt_lookup = true;
      const Generation answer = answer_whole(*session, prompt, options);
      REQUIRE_MESSAGE(answer.finish_reason == FinishReason::kStop, answer.text);
      const Json json = Json::parse(answer.text, nullptr, false);
      REQUIRE_MESSAGE(json.is_object(), answer.text);
      CHECK(json.size() == 3);
      CHECK(json["age"] >= 1);
      CHECK(json["age"] <= 99);
      CHECK(json["tags"].size() <= 3);
      options.prompt_lookup = false;
      CHECK(answer_whole(*session, prompt, options).tokens == answer.tokens);
    }
  }
}

TEST_CASE("an answer ends where the grammar does, without a further token, and may end where it may") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  const std::vector<int32_t> prompt = chat_prompt(*engine);
  GenerateOptions options = held_to(grammar_of_gbnf("root ::= \"Hello\""));
  options.sampler.temperature = 0;
  options.prompt_lookup = false;
  const Generation whole = answer_whole(*session, prompt, options);
  CHECK(whole.text == "Hello");
  CHECK(whole.finish_reason == FinishReason::kStop);
  CHECK(whole.decoded_tokens == static_cast<int>(whole.tokens.size()) - 1);
  CHECK(engine->detokenize(whole.tokens).value() == "Hello");
  options = held_to(grammar_of_gbnf("root ::= [A-Za-z!. ]+"));
  options.sampler.temperature = 0;
  CHECK(answer_whole(*session, prompt, options).text == "Hello! I am a tiny model.");  // as without: it ends by its own token
  options = held_to(grammar_of_gbnf("root ::= [A-Za-z! ]+"));
  options.sampler.temperature = 0;
  options.max_tokens = 12;
  const Generation other = answer_whole(*session, prompt, options);
  CHECK(other.text.starts_with("Hello! I am a tiny model"));
  CHECK(other.text.find('.') == std::string::npos);
}

TEST_CASE("reasoning is free, and what comes behind it fits") {
  const auto engine = load_tiny("tiny-thinker");
  const auto session = new_session(*engine);
  GenerateOptions options = held_to(grammar_of_gbnf("root ::= \"Hello, \" [a-z]+ \"?\""));
  options.sampler.temperature = 0;
  options.split_reasoning = true;
  const Generation opened = answer_whole(*session, chat_prompt(*engine), options);
  CHECK(opened.reasoning == "Someone greets me; a greeting is the right answer.");
  CHECK(opened.text.starts_with("Hello, "));
  options.stop = {">>>"};  // which holds back the end of a tag
  const Generation stopped = answer_whole(*session, chat_prompt(*engine), options);
  CHECK(stopped.reasoning == opened.reasoning);
  CHECK(stopped.text == opened.text);
  options.stop.clear();
  options.template_override = "{{ messages[0].content }}<think>";
  const Generation begun = answer_whole(*session, chat_prompt(*engine, options.template_override), options);
  CHECK(begun.reasoning == opened.reasoning);
  CHECK(begun.text.starts_with("Hello, "));
  options.template_override.clear();
  options.split_reasoning = false;
  CHECK(answer_whole(*session, chat_prompt(*engine), options).text.starts_with("Hello, "));
}

TEST_CASE("a grammar that cannot be kept to is an error, not another text") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  GenerateOptions options = held_to(grammar_of_gbnf("root ::= \"a\""));
  for (int32_t id = 0; id < engine->info().vocab_size; ++id) {
    if (engine->token_bytes(id) == "a") options.sampler.logit_bias.emplace_back(id, -100.0f);
  }
  REQUIRE_FALSE(options.sampler.logit_bias.empty());
  auto generator = Generator::start(*session, chat_prompt(*engine), options);
  REQUIRE(generator.ok());
  Result<GenerateStep> step = (*generator)->step();
  while (step && step->kind != GenerateStep::Kind::kDone && step->kind != GenerateStep::Kind::kToken) step = (*generator)->step();
  REQUIRE_FALSE(step.ok());
  CHECK(step.error().message == "logit_bias forbids every token that the grammar allows here");
  CHECK(grammar_of_gbnf("root ::= root").error().code == ErrorCode::kInvalidArgument);
  CHECK(grammar_of_schema(Json{{"not", true}}).error().code == ErrorCode::kUnsupported);
}

// Tests prompt lookup: what is guessed, when guesses are given up and taken up again, and that no answer changes.
#include "core/engine/prompt_lookup.h"

#include "tests/core/engine/tiny.h"

using namespace tessera;
using namespace tessera::testing;

namespace {

using Tokens = std::vector<int32_t>;

Tokens guess(const PromptLookup& lookup) { return {lookup.guess().begin(), lookup.guess().end()}; }

void go_on(PromptLookup& lookup, const Tokens& tokens) {
  for (const int32_t token : tokens) lookup.accept(token);
}

struct Answered {
  Generation generation;
  std::vector<float> logprobs;
  Tokens timeline;
};

Answered answer(Session& session, const Tokens& prompt, const GenerateOptions& options) {
  session.truncate(0);
  Answered result;
  result.generation = answer_whole(session, prompt, options, [&](const GenerateStep& step) {
    if (step.kind == GenerateStep::Kind::kToken) result.logprobs.push_back(step.logprob);
  });
  result.timeline.assign(session.tokens().begin(), session.tokens().end());
  return result;
}

/// The same with guesses and without, which must not differ; returns how many guesses were right.
int check_same(Session& session, const Tokens& prompt, GenerateOptions options) {
  options.logprobs = true;
  options.prompt_lookup = false;
  const Answered plain = answer(session, prompt, options);
  CHECK(plain.generation.guessed_tokens == 0);
  options.prompt_lookup = true;
  const Answered guessed = answer(session, prompt, options);
  CHECK(guessed.generation.tokens == plain.generation.tokens);
  CHECK(guessed.generation.text == plain.generation.text);
  CHECK(guessed.generation.finish_reason == plain.generation.finish_reason);
  CHECK(guessed.logprobs == plain.logprobs);
  // A stop text may end with a token that was computed already.
  Tokens most = plain.timeline;
  if (guessed.timeline.size() > most.size()) most.push_back(guessed.generation.tokens.back());
  CHECK(guessed.timeline == most);
  if (options.stop.empty()) CHECK(guessed.timeline == plain.timeline);
  CHECK(guessed.generation.decoded_tokens + guessed.generation.prompt_tokens == static_cast<int>(guessed.timeline.size()));
  CHECK(guessed.generation.right_guesses <= guessed.generation.guessed_tokens);
  return guessed.generation.right_guesses;
}

}  // namespace

TEST_CASE("a guess is what followed the last three tokens where they stood last") {
  PromptLookup lookup(Tokens{1, 2, 3, 4, 5, 6, 9, 1, 2, 3, 7, 8, 9, 10}, 100);
  CHECK(guess(lookup).empty());
  go_on(lookup, {1, 2});
  CHECK(guess(lookup).empty());
  lookup.accept(3);
  CHECK(guess(lookup) == Tokens{7, 8, 9});
  lookup.accept(4);
  CHECK(guess(lookup) == Tokens{5, 6, 9});
  lookup.accept(0);
  CHECK(guess(lookup).empty());
}

TEST_CASE("what repeats itself is guessed to go on") {
  PromptLookup same(Tokens{1}, 100);
  go_on(same, {5, 5, 5});
  CHECK(guess(same).empty());
  same.accept(5);
  CHECK(guess(same) == Tokens{5, 5, 5});
  PromptLookup turns(Tokens{1}, 100);
  go_on(turns, {6, 7, 6, 7, 6});
  CHECK(guess(turns) == Tokens{7, 6, 7});
}

TEST_CASE("guesses that are wrong are given up, and taken up again once they would have been right") {
  Tokens prompt;
  for (int i = 0; i < 40; ++i) prompt.insert(prompt.end(), {100 + i, 200 + i, 300 + i, 400, 401, 402});
  PromptLookup lookup(prompt, 1000);
  int made = 0;
  const auto quote = [&](int i, const Tokens& then) {
    go_on(lookup, {0, 100 + i, 200 + i, 300 + i});
    const bool guesses = !guess(lookup).empty();
    go_on(lookup, then);
    return guesses;
  };
  for (int i = 0; i < 10; ++i) made += quote(i, {500 + i}) ? 1 : 0;
  CHECK(made == 1);
  for (int i = 10; i < 20; ++i) made += quote(i, {400, 401, 402}) ? 1 : 0;
  CHECK(made > 4);
  CHECK(quote(20, {400, 401, 402}));
}

TEST_CASE("the better guesses are, the more they may cost") {
  PromptLookup lookup(Tokens{1, 2, 3, 4, 5, 6, 1, 2, 3}, 100);
  CHECK(guess(lookup) == Tokens{4, 5, 6});
  lookup.took(1, false);
  for (int i = 0; i < 20; ++i) lookup.took(3.5, true);
  CHECK(guess(lookup).empty());
  // Twelve tokens that were right: 3 of 3 would now be worth even that.
  for (int i = 0; i < 12; ++i) go_on(lookup, {4, 5, 6, 1, 2, 3});
  CHECK(guess(lookup) == Tokens{4, 5, 6});
  // A moment in which the machine was busy is not what guesses cost.
  lookup.took(1000, true);
  CHECK(guess(lookup) == Tokens{4, 5, 6});
}

TEST_CASE("guesses that cost too much are tried again after a while") {
  PromptLookup lookup(Tokens{1, 2, 3, 4, 5, 6, 1, 2, 3}, 100);
  lookup.took(1, false);
  for (int i = 0; i < 20; ++i) lookup.took(3.5, true);
  CHECK(guess(lookup).empty());
  for (int i = 0; i < 200; ++i) lookup.took(1, false);
  CHECK(guess(lookup) == Tokens{4, 5, 6});
}

TEST_CASE("every place of a long prompt is found") {
  constexpr int kTokens = 20000;
  Tokens prompt(kTokens);
  for (int i = 0; i < kTokens; ++i) prompt[i] = i * 7919 % 30011;
  int found = 0;
  for (int at = 0; at < kTokens - 6; at += 199) {
    PromptLookup lookup(prompt, kTokens + 100);
    go_on(lookup, {prompt[at], prompt[at + 1], prompt[at + 2]});
    const Tokens next(prompt.begin() + at + 3, prompt.begin() + at + 6);
    found += guess(lookup) == next ? 1 : 0;
  }
  CHECK(found > 70);  // of 101: some share a place
}

TEST_CASE("an answer is the same with guesses and without") {
  int right = 0;
  for (const char* name : kTinyModels) {
    CAPTURE(name);
    const auto engine = load_tiny(name);
    const auto session = new_session(*engine);
    for (int seed = 1; seed <= 6; ++seed) {
      CAPTURE(seed);
      Tokens prompt = some_tokens(*engine, 12, seed);
      prompt.insert(prompt.end(), prompt.begin(), prompt.begin() + 6);
      GenerateOptions options;
      options.chat = false;
      options.ignore_end = true;
      options.max_tokens = 60;
      options.sampler.seed = static_cast<uint64_t>(seed);
      options.sampler.temperature = 0;
      right += check_same(*session, prompt, options);
      options.sampler.temperature = 0.3f * static_cast<float>(seed);
      options.sampler.top_k = 3;
      right += check_same(*session, prompt, options);
      options.sampler.repeat_penalty = 1.3f;
      right += check_same(*session, prompt, options);
    }
  }
  CHECK(right > 20);
}

TEST_CASE("guesses stop where an answer must: at the end of the context, at the most tokens, at a stop text") {
  const auto engine = load_tiny("tiny-llama", {.threads = 1, .context_size = 64});
  const auto session = new_session(*engine);
  const Tokens prompt = some_tokens(*engine, 9);
  GenerateOptions options;
  options.chat = false;
  options.ignore_end = true;
  options.sampler.temperature = 0;
  options.sampler.logit_bias = {{prompt[0], 99.0f}};  // says nothing else
  CHECK(check_same(*session, prompt, options) > 20);
  CHECK(answer(*session, prompt, options).generation.finish_reason == FinishReason::kContext);
  for (options.max_tokens = 0; options.max_tokens < 14; ++options.max_tokens) {
    CAPTURE(options.max_tokens);
    check_same(*session, prompt, options);
  }
  options.max_tokens = 30;
  const std::string said = answer(*session, prompt, options).generation.text;
  options.stop = {said.substr(0, said.size() / 2)};
  check_same(*session, prompt, options);
}

TEST_CASE("an answer that is dropped among its guesses leaves a timeline of what was computed") {
  const auto engine = load_tiny("tiny-llama");
  const auto session = new_session(*engine);
  const Tokens prompt = some_tokens(*engine, 9);
  GenerateOptions options;
  options.chat = false;
  options.sampler.temperature = 0;
  options.sampler.logit_bias = {{prompt[0], 99.0f}};
  Tokens drawn = prompt;
  {
    auto generator = Generator::start(*session, prompt, options);
    REQUIRE(generator.ok());
    while (session->tokens().size() <= drawn.size()) {
      const auto step = (*generator)->step();
      REQUIRE(step.ok());
      if (step.value().kind == GenerateStep::Kind::kToken) drawn.push_back(step.value().token);
    }
  }
  Tokens next(session->tokens().begin(), session->tokens().end());
  next.push_back(prompt[1]);
  CHECK(session->sync(next).value() == static_cast<int>(next.size()) - 1);
  const auto other = new_session(*engine);
  REQUIRE(other->sync(next).ok());
  CHECK(std::ranges::equal(session->logits(), other->logits()));
}

// Tests TokenConstraint: that a mask is what trying each token by itself gives, and where an answer may end.
#include "core/grammar/token_constraint.h"

#include <cmath>

#include "core/base/rng.h"
#include "tests/core/grammar/follow.h"

using namespace tessera;
using namespace tessera::testing;

namespace {

/// The ids that may come, in order.
std::vector<int> allowed(grammar::TokenConstraint& constraint, int count, bool drops_space = false) {
  const auto logits = constraint.allowed(std::vector<float>(static_cast<size_t>(count), 0.5f), drops_space);
  REQUIRE(logits.ok());
  std::vector<int> ids;
  for (size_t id = 0; id < logits.value().size(); ++id) {
    if (!std::isinf(logits.value()[id])) ids.push_back(static_cast<int>(id));
  }
  return ids;
}

grammar::TokenTexts texts_of(const std::vector<std::string>& texts) {
  return {static_cast<int32_t>(texts.size()), [&](int32_t id) { return texts[static_cast<size_t>(id)]; }};
}

}  // namespace

TEST_CASE("tokens are allowed that begin, go on or end what the grammar asks for") {
  const std::vector<std::string> texts = {"", "y", "ye", "yes", "yesterday", "no", "n", "o", " yes", "s", "es"};
  const grammar::TokenTexts sorted = texts_of(texts);
  grammar::TokenConstraint constraint(compiled(grammar::parse_gbnf("root ::= \"yes\" | \"no\"+")), sorted, {0});
  CHECK(allowed(constraint, 11) == std::vector<int>{1, 2, 3, 5, 6});
  CHECK(allowed(constraint, 11, true) == std::vector<int>{1, 2, 3, 5, 6, 8});
  CHECK(constraint.accept(8, " yes", true));
  CHECK(constraint.over());
  CHECK(allowed(constraint, 11) == std::vector<int>{0});
  CHECK(allowed(constraint, 13) == std::vector<int>{0});  // logits beyond the vocabulary's texts
  CHECK_FALSE(constraint.accept(12, "", false));
}

TEST_CASE("an end is allowed where the grammar may end, and nowhere else") {
  const grammar::TokenTexts sorted = texts_of({"", "a", "</s>"});
  grammar::TokenConstraint constraint(compiled(grammar::parse_gbnf("root ::= \"a\" \"a\" \"a\"*")), sorted, {0, 2});
  for (int i = 0; i < 2; ++i) {
    CHECK(allowed(constraint, 3) == std::vector<int>{1});
    CHECK(constraint.accept(1, "a", false));
    CHECK_FALSE(constraint.over());
  }
  CHECK(allowed(constraint, 3) == std::vector<int>{0, 1, 2});
  CHECK(constraint.accept(2, "</s>", false));
  CHECK(allowed(constraint, 3) == std::vector<int>{0, 1, 2});
}

TEST_CASE("where no token goes on, that is said") {
  const grammar::TokenTexts sorted = texts_of({"", "a"});
  grammar::TokenConstraint constraint(compiled(grammar::parse_gbnf("root ::= \"b\"")), sorted, {0});
  const auto logits = constraint.allowed(std::vector<float>(2), false);
  REQUIRE_FALSE(logits.ok());
  CHECK(logits.error().message == "grammar: no token of this model's vocabulary goes on as it asks here");
}

TEST_CASE("a token that would lead to too many places is left out, and what leads nowhere else is said") {
  const grammar::TokenTexts sorted = texts_of({"", "d", std::string(40, '=')});
  const auto automaton = compiled(grammar::parse_gbnf("root ::= \"d\" | \"=\" root \"b\" | \"=\" root \"c\""));
  grammar::TokenConstraint constraint(automaton, sorted, {0});
  CHECK(allowed(constraint, 3) == std::vector<int>{1});
  const grammar::TokenTexts only = texts_of({"", std::string(40, '=')});
  grammar::TokenConstraint stuck(automaton, only, {0});
  const auto logits = stuck.allowed(std::vector<float>(2), false);
  REQUIRE_FALSE(logits.ok());
  CHECK(logits.error().message == "grammar: the answer may be at too many places of it at a time");
}

TEST_CASE("a mask is what trying each token by itself gives, also after states are forgotten") {
  Rng rng(7);
  const std::string letters = "ab{}[]\",:0 1\xc3\xa9";
  std::vector<std::string> texts = {""};
  for (const char c : letters) texts.emplace_back(1, c);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (uint64_t length = 1 + rng.next() % 6; length > 0; --length) text += letters[rng.next() % letters.size()];
    texts.push_back(std::move(text));
  }
  const grammar::TokenTexts sorted = texts_of(texts);
  const auto automaton =
      compiled(schema_rules(R"({"type": "array", "minItems": 150, "items": {"type": ["object", "string", "integer"]}})"));
  grammar::TokenConstraint constraint(automaton, sorted, {0});
  grammar::Matcher matcher(automaton);
  int state = matcher.start();
  for (int step = 0; step < 200; ++step) {
    if (step % 20 == 19) state = matcher.forget_others(state);
    std::vector<int> expected;
    if (matcher.may_end(state)) expected.push_back(0);
    std::vector<int> after(texts.size(), state);
    for (size_t id = 1; id < texts.size(); ++id) {
      for (const char c : texts[id]) {
        if (after[id] != grammar::Matcher::kNone) after[id] = matcher.next(after[id], static_cast<uint8_t>(c));
      }
      if (after[id] != grammar::Matcher::kNone) expected.push_back(static_cast<int>(id));
    }
    REQUIRE(allowed(constraint, static_cast<int>(texts.size())) == expected);
    REQUIRE_FALSE(constraint.over());
    int drawn = 0;
    while (drawn == 0) drawn = expected[rng.next() % expected.size()];
    CHECK(constraint.accept(drawn, texts[static_cast<size_t>(drawn)], false));
    state = after[static_cast<size_t>(drawn)];
  }
}

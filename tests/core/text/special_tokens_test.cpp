// Tests which stretches of raw text become whole tokens.
#include "core/text/special_tokens.h"

#include <string>
#include <vector>

#include "doctest/doctest.h"

using namespace tessera;

namespace {

/// "text|[id]|text" of the fragments.
std::string cut(const SpecialTokens& tokens, std::string_view text, bool parse_special) {
  std::string shown;
  for (const TextFragment& fragment : tokens.split(text, parse_special)) {
    if (!shown.empty()) shown += '|';
    shown += fragment.id >= 0 ? "[" + std::to_string(fragment.id) + "]" : std::string(fragment.text);
  }
  return shown;
}

constexpr SpecialTokens::Rule kControl{.always = false, .eats_spaces = false};
constexpr SpecialTokens::Rule kUserDefined{.always = true, .eats_spaces = false};

SpecialTokens sample() {
  SpecialTokens tokens;
  tokens.add("<|im_start|>", 1, kControl);
  tokens.add("<|im_end|>", 2, kControl);
  tokens.add("\n", 10, kUserDefined);
  tokens.add("\n\n", 11, kUserDefined);
  tokens.add("\n\n\n\n", 13, kUserDefined);
  return tokens;
}

}  // namespace

TEST_CASE("control tokens only on request, user-defined ones always") {
  const SpecialTokens tokens = sample();
  CHECK(cut(tokens, "<|im_start|>user\nhi<|im_end|>", true) == "[1]|user|[10]|hi|[2]");
  CHECK(cut(tokens, "<|im_start|>user\nhi<|im_end|>", false) == "<|im_start|>user|[10]|hi<|im_end|>");
  CHECK(cut(tokens, "", true) == "");
  CHECK(cut(tokens, "<|im_start|", true) == "<|im_start|");
  CHECK(cut(tokens, "<|im_<|im_end|>", true) == "<|im_|[2]");
}

TEST_CASE("the longest token wins, also past lengths that are no token") {
  const SpecialTokens tokens = sample();
  CHECK(cut(tokens, "\n\n\n", false) == "[11]|[10]");
  CHECK(cut(tokens, "\n\n\n\n\n\n\n", false) == "[13]|[11]|[10]");
  SpecialTokens mixed;
  mixed.add("ab", 1, kUserDefined);
  mixed.add("abcd", 2, kControl);
  CHECK(cut(mixed, "abcd", true) == "[2]");
  CHECK(cut(mixed, "abcd", false) == "[1]|cd");
  CHECK(cut(mixed, "abc", true) == "[1]|c");
}

TEST_CASE("a token may eat the white space behind it") {
  SpecialTokens tokens;
  tokens.add("<|end|>", 7, {.always = false, .eats_spaces = true});
  CHECK(cut(tokens, "a<|end|> \n b<|end|>  ", true) == "a|[7]|b|[7]");
  CHECK(cut(tokens, "a<|end|> b", false) == "a<|end|> b");
}

TEST_CASE("an empty token never matches; of equal ones the last counts") {
  SpecialTokens tokens;
  tokens.add("", 1, kUserDefined);
  tokens.add("x", 2, kUserDefined);
  tokens.add("x", 3, kUserDefined);
  CHECK(cut(tokens, "axb", false) == "a|[3]|b");
}

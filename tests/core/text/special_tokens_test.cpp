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

TEST_CASE("where it is barred no control token begins, and no role marker") {
  SpecialTokens tokens;
  tokens.add("<|end|>", 1, kControl);
  tokens.add("<user>", 2, kUserDefined);
  tokens.add("<b>", 3, kUserDefined);
  tokens.add("\n\n", 4, kUserDefined);
  tokens.add("END", 5, {.always = true, .ends_turn = true});
  CHECK(tokens.first_characters() == "<E");
  const auto ids = [&](std::string_view text, std::vector<size_t> barred) {
    std::string shown;
    for (const TextFragment& fragment : tokens.split(text, true, barred)) shown += fragment.id >= 0 ? std::to_string(fragment.id) : ".";
    return shown;
  };
  CHECK(ids("<|end|>x<|end|>", {}) == "1.1");
  CHECK(ids("<|end|>x<|end|>", {0}) == ".1");
  CHECK(ids("<|end|>x<|end|>", {0, 8}) == ".");
  CHECK(ids("<user>x<user>", {7}) == "2.");   // a marker elsewhere
  CHECK(ids("<b>x<user>", {0, 4}) == "3.2");  // no markers: nobody but the writer uses them
  CHECK(ids("\n\nx\n\n", {0}) == "4.4");
  CHECK(ids("END", {}) == "5");
  CHECK(ids("END", {0}) == ".");
  CHECK(ids("<|end|>", {3}) == "1");  // begins outside: the template's "<|" + role + "|>"
}

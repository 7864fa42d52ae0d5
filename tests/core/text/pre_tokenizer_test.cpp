// Tests the hand-written word splitters against what the regular expressions they stand for give. The expectations were
// made with Python's `regex` module from the published expressions.
#include "core/text/pre_tokenizer.h"

#include <string>
#include <vector>

#include "core/base/rng.h"
#include "core/base/utf8.h"
#include "core/text/character_classes.h"
#include "doctest/doctest.h"

using namespace tessera;
using Words = std::vector<std::string>;

namespace {

Words split(std::string_view name, std::string_view text) {
  const PreTokenizerRules* rules = find_pre_tokenizer(name);
  REQUIRE(rules != nullptr);
  Words words;
  PreTokenizer(*rules).split(text, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

constexpr std::string_view kNames[] = {"gpt-2",      "smollm", "llama-bpe", "dbrx",         "qwen2",          "qwen35",
                                       "seed-coder", "tekken", "gpt-4o",    "deepseek-llm", "deepseek-coder", "deepseek-v3",
                                       "falcon",     "bloom",  "viking",    "default"};

}  // namespace

TEST_CASE("words of gpt-2") {
  CHECK(split("gpt-2", "Hello, world's end  \n x") == Words{"Hello", ",", " world", "'s", " end", "  \n", " x"});
  CHECK(split("gpt-2", "DON'T don't 're'll") == Words{"DON", "'", "T", " don", "'t", " '", "re", "'ll"});
  CHECK(split("gpt-2",
              "  a\t\tb \xe3\x80\x80"
              "c") == Words{" ", " a", "\t", "\t", "b", " ", "\xe3\x80\x80", "c"});
  CHECK(split("gpt-2", "x1234 56\xc2\xb2") == Words{"x", "1234", " 56\xc2\xb2"});
  CHECK(split("gpt-2", "!!! ??\n\n") == Words{"!!!", " ??", "\n\n"});
  CHECK(split("gpt-2", "   ") == Words{"   "});
}

TEST_CASE("words of smollm") {
  CHECK(split("smollm", "a1  23 b") == Words{"a", "1", "  ", "2", "3", " b"});
  CHECK(split("smollm", "1  2") == Words{"1", "  ", "2"});
  CHECK(split("smollm", "no 4th\xe2\x91\xa0!") == Words{"no", " ", "4", "th", "\xe2\x91\xa0", "!"});
}

TEST_CASE("words of llama-bpe") {
  CHECK(split("llama-bpe", "DON'T we'LL 'tis") == Words{"DON", "'T", " we", "'LL", " '", "tis"});
  CHECK(split("llama-bpe", "12345678 1") == Words{"123", "456", "78", " ", "1"});
  CHECK(split("llama-bpe", "a\n\n  b \n c") == Words{"a", "\n\n", " ", " b", " \n", " c"});
  CHECK(split("llama-bpe", "!?\r\n\r\nx  (y)") == Words{"!?\r\n\r\n", "x", " ", " (", "y", ")"});
  CHECK(split("llama-bpe", "\tword \xe3\x80\x80word\xc2\xa0x") == Words{"\tword", " ", "\xe3\x80\x80word", "\xc2\xa0x"});
  CHECK(split("llama-bpe", "end   ") == Words{"end", "   "});
}

TEST_CASE("words of qwen2") {
  CHECK(split("qwen2", "2024 was'S") == Words{"2", "0", "2", "4", " was", "'S"});
  CHECK(split("qwen2", "if (x):\n    return") == Words{"if", " (", "x", "):\n", "   ", " return"});
  CHECK(split("qwen2", "a  \n") == Words{"a", "  \n"});
}

TEST_CASE("words of the default") {
  CHECK(split("default", "Hello, world's a+b==c ~|x| $5") ==
        Words{"Hello", ",", " world", "'", "s", " a", "+", "b", "==", "c", " ", "~|", "x", "|", " ", "$", "5"});
  CHECK(split("default", "a `code` b") == Words{"a", " `", "code", "`", " b"});
  CHECK(split("default", "12345 67 x  y\n\tz") == Words{"123", "45", " ", "67", " x", " ", " y", "\n", "\t", "z"});
  CHECK(split("default", "(`a`+1)^2 \xe2\x80\xa6") == Words{"(", "`", "a", "`", "+", "1", ")^", "2", " ", "\xe2\x80\xa6"});
}

TEST_CASE("words of deepseek-llm") {
  CHECK(split("deepseek-llm", "Hi there,  you\n\nok 12x") == Words{"Hi", " there", ",", " ", " you", "\n", "\n", "ok", " ", "12", "x"});
  CHECK(split("deepseek-llm",
              "\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xb8\x96\xe7\x95\x8c abc\xef\xbc\x8c"
              "d  ") == Words{"\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xb8\x96\xe7\x95\x8c", " abc", "\xef\xbc\x8c", "d", "  "});
  CHECK(split("deepseek-llm", "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d a") == Words{"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", " a"});
}

TEST_CASE("words are the text, byte for byte, even when it is not UTF-8") {
  Rng rng(3);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (uint32_t left = rng.next() % 40; left > 0; --left) {
      const std::string_view usual = " \t\r\n'sla1.";
      text += rng.next() % 3 == 0 ? static_cast<char>(static_cast<uint8_t>(rng.next())) : usual[rng.next() % usual.size()];
    }
    for (const std::string_view name : kNames) {
      std::string joined;
      for (const std::string& word : split(name, text)) {
        CHECK_FALSE(word.empty());
        joined += word;
      }
      CHECK(joined == text);
    }
  }
}

TEST_CASE("character classes at the edges of the tables") {
  const CharacterClasses classes;
  CHECK(classes.of('a') == kLower);
  CHECK(classes.of('A') == kUpper);
  CHECK(classes.of('0') == kNumber);
  CHECK(classes.of('$') == kSign);
  CHECK(classes.of('!') == kPunctuation);
  CHECK(classes.of(0x1c) == kOther);  // Python calls it a space, Unicode does not
  CHECK(classes.of(0x85) == kSpace);
  CHECK(classes.of(0xa0) == kSpace);
  CHECK(classes.of(0xaa) == kCaseless);
  CHECK(classes.of(0xb2) == kNumber);
  CHECK(classes.of(0x1c5) == kUpper);  // a title-case letter
  CHECK(classes.of(0x301) == kMark);
  CHECK(classes.of(0x2028) == kSpace);
  CHECK(classes.of(0x2160) == kNumber);
  CHECK(classes.of(0x3000) == kSpace);
  CHECK(classes.of(0x4e00) == kCaseless);
  CHECK(classes.of(0x1f642) == kSign);
  CHECK(classes.of(0x323af) == kCaseless);  // the last letter of Unicode 15.1
  CHECK(classes.of(0x323b0) == kOther);
  CHECK(classes.of(0xe01ef) == kMark);
  CHECK(classes.of(0x10ffff) == kOther);
  CHECK(classes.of(0xffffffff) == kOther);
}

TEST_CASE("an unknown pre-tokeniser is not found") {
  for (const char* name : {"", " ", "gpt", "gpt-22", "gpt-2 phi-2", "kimi-k2"}) CHECK(find_pre_tokenizer(name) == nullptr);
  CHECK(find_pre_tokenizer("llama4") == find_pre_tokenizer("gpt-4o"));
  CHECK(known_pre_tokenizers().find("granite-docling") != std::string::npos);
}

TEST_CASE("no family takes quadratic time over a line without end") {
  // Were one of them quadratic, this would take minutes.
  for (const std::string_view part : {"a",
                                      "A",
                                      "aA",
                                      " ",
                                      "\n",
                                      "\n ",
                                      " \n\n",
                                      "1",
                                      "12a",
                                      ".",
                                      ". ",
                                      "'",
                                      "'s",
                                      "/\n",
                                      "\xe4\xbd\xa0",
                                      "\xe4\xbd\xa0"
                                      "A",
                                      "\xcc\x81",
                                      "A\xcc\x81",
                                      "\xc3\xa9!",
                                      "\xff",
                                      "\x01",
                                      "<a>"}) {
    std::string text;
    while (text.size() < 100'000) text += part;
    for (const std::string_view name : kNames) {
      size_t bytes = 0;
      PreTokenizer(*find_pre_tokenizer(name)).split(text, [&](std::string_view word) { bytes += word.size(); });
      CHECK(bytes == text.size());
    }
  }
}

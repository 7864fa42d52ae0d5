// Tests Unigram vocabularies, character maps and ranked SentencePiece merges on vocabularies small enough to work the ids out by hand.
#include <string>
#include <vector>

#include "core/base/utf8.h"
#include "core/text/character_map.h"
#include "core/text/tokenizer.h"
#include "tests/core/text/vocab_fixture.h"

using namespace tessera;
using namespace tessera::test;
using Ids = std::vector<int32_t>;

namespace {

const std::string kMark = "\xe2\x96\x81";

struct Piece {
  std::string text;
  double score;
  int64_t kind = 1;
};

/// <unk> 0 and </s> 1 (control), then the pieces from 2 on.
VocabFile t5_file(const std::vector<Piece>& pieces) {
  std::vector<std::string> tokens = {"<unk>", "</s>"};
  std::vector<double> scores = {0, 0};
  std::vector<int64_t> kinds = {2, 3};
  for (const Piece& piece : pieces) {
    tokens.push_back(piece.text);
    scores.push_back(piece.score);
    kinds.push_back(piece.kind);
  }
  return VocabFile()
      .text("tokenizer.ggml.model", "t5")
      .texts("tokenizer.ggml.tokens", tokens)
      .ints("tokenizer.ggml.token_type", kinds)
      .floats("tokenizer.ggml.scores", scores)
      .id("tokenizer.ggml.eos_token_id", 1)
      .id("tokenizer.ggml.unknown_token_id", 0);
}

std::unique_ptr<Tokenizer> open(const VocabFile& file) {
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::from_gguf(file.open());
  REQUIRE_MESSAGE(tokenizer.ok(), (tokenizer ? std::string() : tokenizer.error().message));
  return std::move(*tokenizer);
}

std::vector<int64_t> numbers(const std::vector<uint32_t>& units, const std::string& texts) {
  std::vector<int64_t> bytes;
  const auto add = [&](uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(word >> shift & 0xff);
  };
  add(static_cast<uint32_t>(4 * units.size()));
  for (const uint32_t unit : units) add(unit);
  for (const char c : texts) bytes.push_back(static_cast<uint8_t>(c));
  return bytes;
}

/// A double array that maps "A" to "bb" and "AC" to "": unit 0 is the root with its children at 0 ^ byte.
std::vector<int64_t> small_map() {
  std::vector<uint32_t> units(512, 0x80000000u);
  const auto node = [](uint32_t label, uint32_t self, uint32_t children, bool value) {
    return (self ^ children) << 10 | (value ? 1u << 8 : 0u) | label;
  };
  units[0] = 0;
  units['A'] = node('A', 'A', 256, true);
  units[256] = 0x80000000u | 0;  // value of "A": the text at 0
  units[256 ^ 'C'] = node('C', 256 ^ 'C', 300, true);
  units[300] = 0x80000000u | 3;  // value of "AC": the text at 3
  return numbers(units, std::string("bb\0\0", 4));
}

}  // namespace

TEST_CASE("the most probable pieces win, not the longest") {
  const auto tokenizer = open(t5_file({{"ab", -5}, {"bc", -1}, {"a", -2}, {"c", -2}, {"b", -9}, {kMark, -1}}));
  CHECK(tokenizer->encode("abc", {}) == Ids{7, 4, 3});  // a bc: -3 against ab c: -7
  CHECK(tokenizer->encode("ab", {}) == Ids{7, 2});
  CHECK(tokenizer->decode(Ids{7, 4, 3}, false) == "abc");
  CHECK(tokenizer->encode("", {}).empty());
}

TEST_CASE("a stretch of unknown characters is one unknown token") {
  const auto tokenizer = open(t5_file({{"a", -1}, {kMark, -1}}).flag("tokenizer.ggml.add_space_prefix", false));
  CHECK(tokenizer->encode("axyz\xe4\xbd\xa0 xa", {}) == Ids{2, 0, 3, 0, 2});
  CHECK(tokenizer->encode("\xff\xfe", {}) == Ids{0});
  CHECK_FALSE(tokenizer->adds_space_prefix());
  // With bytes in the vocabulary they are spelled.
  std::vector<Piece> pieces = {{"a", -1}};
  for (int byte = 0; byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    pieces.push_back(
        {std::string("<0x") + kDigits[static_cast<size_t>(byte / 16)] + kDigits[static_cast<size_t>(byte % 16)] + ">", -20, 6});
  }
  CHECK(open(t5_file(pieces).flag("tokenizer.ggml.add_space_prefix", false))->encode("a\xc3\xa9", {}) == Ids{2, 3 + 0xc3, 3 + 0xa9});
}

TEST_CASE("user-defined tokens come first, unused ones never") {
  const auto tokenizer =
      open(t5_file({{"a", -1}, {"b", -1}, {"ab", -9, 4}, {"aa", 5, 5}, {kMark, -1}}).flag("tokenizer.ggml.add_space_prefix", false));
  CHECK(tokenizer->encode("aab", {}) == Ids{2, 4});
  CHECK(tokenizer->encode("aa</s>", {.parse_special = true}) == Ids{2, 2, 1});
}

TEST_CASE("spaces are removed where the model asks") {
  const std::vector<Piece> pieces = {{kMark + "a", -1}, {"a", -2}, {kMark, -3}};
  const auto strict = open(t5_file(pieces).flag("tokenizer.ggml.remove_extra_whitespaces", true));
  CHECK(strict->encode("  a   a  ", {}) == Ids{2, 2});
  CHECK(strict->encode("   ", {}).empty());
  CHECK(open(t5_file(pieces))->encode("a  a", {}) == Ids{2, 4, 2});
}

TEST_CASE("the character map replaces the longest sequence") {
  const VocabFile file = t5_file({{"b", -1}, {"d", -1}, {"A", -1}}).flag("tokenizer.ggml.add_space_prefix", false);
  VocabFile mapped = file;
  const auto tokenizer = open(mapped.ints("tokenizer.ggml.precompiled_charsmap", small_map()));
  CHECK(tokenizer->encode("dAdACd", {}) == Ids{3, 2, 2, 3, 3});
  CHECK(tokenizer->encode("A\xff", {}) == Ids{2, 2, 0});
  CHECK(open(file)->encode("dA", {}) == Ids{3, 4});
}

TEST_CASE("a damaged character map is refused or does nothing, and never reads beyond its end") {
  const VocabFile good = t5_file({{"b", -1}});
  const auto key = "tokenizer.ggml.precompiled_charsmap";
  for (const std::vector<int64_t>& bytes :
       {std::vector<int64_t>{1, 2, 3}, {0, 0, 0, 0}, {5, 0, 0, 0, 0}, {255, 255, 255, 255, 0, 0, 0, 0}}) {
    VocabFile file = good;
    Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::from_gguf(file.ints(key, bytes).open());
    REQUIRE_FALSE(tokenizer.ok());
    CHECK(tokenizer.error().code == ErrorCode::kBadFile);
    CHECK(tokenizer.error().message.find(key) != std::string::npos);
  }
  const std::vector<int64_t> map = small_map();
  for (size_t i = 0; i < map.size(); i += 3) {
    for (const int64_t value : {int64_t{0}, int64_t{255}, int64_t{map[i] ^ 1}}) {
      std::vector<int64_t> bytes = map;
      bytes[i] = value;
      VocabFile file = good;
      Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::from_gguf(file.ints(key, bytes).open());
      if (tokenizer) CHECK((*tokenizer)->encode("dAdACdAC", {}).size() <= 64);
    }
  }
}

TEST_CASE("gemma4 merges pairs by rank, has no space prefix and begins with BOS") {
  // Scores would join "bc" first; the ranks join "ab".
  VocabFile file = sentencepiece_file({"bc", "ab", "a", "b", "c", kMark, kMark + "a"});
  file.text("tokenizer.ggml.model", "gemma4").texts("tokenizer.ggml.merges", {"a b", "b c", kMark + " a"});
  const auto tokenizer = open(file);
  CHECK(tokenizer->encode("abc", {}) == Ids{261, 264});
  CHECK(tokenizer->encode(" ac", {}) == Ids{266, 264});
  CHECK(tokenizer->encode("\xc3\xa9", {}) == Ids{4 + 0xc3, 4 + 0xa9});
  CHECK(tokenizer->vocab().add_bos());
  Result<std::unique_ptr<Tokenizer>> without = Tokenizer::from_gguf(file.without("tokenizer.ggml.merges").open());
  REQUIRE_FALSE(without.ok());
  CHECK(without.error().message.find("tokenizer.ggml.merges") != std::string::npos);
}

TEST_CASE("a long line without spaces takes no quadratic time in Unigram") {
  const auto tokenizer = open(t5_file({{"a", -3}, {"aa", -4}, {"aaaa", -5}, {"aaaaaaaa", -6}, {kMark, -1}}));
  CHECK(tokenizer->encode(std::string(400'000, 'a'), {}).size() == 50'001);
}

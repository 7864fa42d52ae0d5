// Tests encode and decode on vocabularies small enough to work the ids out by hand.
#include "core/text/tokenizer.h"

#include <string>
#include <vector>

#include "core/base/rng.h"
#include "core/base/utf8.h"
#include "tests/core/source_path.h"
#include "tests/core/text/files.h"
#include "tests/core/text/vocab_fixture.h"

using namespace tessera;
using namespace tessera::test;
using Ids = std::vector<int32_t>;

namespace {

std::unique_ptr<Tokenizer> open(const VocabFile& file) {
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::from_gguf(file.open());
  REQUIRE(tokenizer.ok());
  return std::move(*tokenizer);
}

const std::string kMark = "\xe2\x96\x81";
constexpr int32_t kByte0 = 4;  // of sentencepiece_file
constexpr int32_t kPieces = 260;

}  // namespace

TEST_CASE("byte-level merges follow their rank, not their place") {
  // ids: a 2, b 3, c 4, Ġ 28; merges make bc 29, ab 30, abc 31, Ġa 32
  const auto tokenizer = open(byte_pair_file({"b c", "a b", "a bc", "\xc4\xa0 a"}));
  CHECK(tokenizer->encode("abc", {}) == Ids{31});
  CHECK(tokenizer->encode("abab", {}) == Ids{30, 30});
  CHECK(tokenizer->encode("a abc", {}) == Ids{2, 28, 31});
  CHECK(tokenizer->encode("a ab", {}) == Ids{2, 28, 30});
  CHECK(tokenizer->encode("a ac", {}) == Ids{2, 32, 4});
  CHECK(tokenizer->decode(Ids{2, 28, 31}, false) == "a abc");
}

TEST_CASE("a merge may pass through a symbol that is no token") {
  VocabFile file = byte_pair_file({"a b", "ab c"});
  std::vector<std::string> tokens = {"<|endoftext|>", "a", "b", "c", "abc"};
  file.texts("tokenizer.ggml.tokens", tokens).ints("tokenizer.ggml.token_type", {3, 1, 1, 1, 1});
  const auto tokenizer = open(file);
  CHECK(tokenizer->encode("abc", {}) == Ids{4});
  CHECK(tokenizer->encode("ab", {}) == Ids{1, 2});
}

TEST_CASE("llama-bpe takes a word that is a token before it merges") {
  // "abc" is a token (31) that the merges cannot reach: "bc" goes first and "a bc" is no merge.
  const std::vector<std::string> merges = {"b c", "a b", "ab c"};
  CHECK(open(byte_pair_file(merges, "llama-bpe"))->encode("abc", {}) == Ids{31});
  CHECK(open(byte_pair_file(merges, "qwen2"))->encode("abc", {}) == Ids{2, 29});
}

TEST_CASE("bytes without a token are dropped") {
  const auto tokenizer = open(byte_pair_file({"a b"}));
  CHECK(tokenizer->encode("a1b", {}) == Ids{2, 3});
  CHECK(tokenizer->encode("\xff", {}).empty());
}

TEST_CASE("special tokens and BOS in the text") {
  const auto tokenizer = open(byte_pair_file({"a b"}).id("tokenizer.ggml.bos_token_id", 0));
  CHECK(tokenizer->encode("ab<|im_end|>b", {.parse_special = true}) == Ids{29, 1, 3});
  CHECK(tokenizer->encode("", {.add_bos = true}) == Ids{0});
  CHECK(tokenizer->encode("", {}).empty());
  const Ids plain = tokenizer->encode("<|im_end|>", {});
  CHECK(plain == Ids{10, 14, 6, 15, 5});  // i m e n d; the other characters have no token here
  CHECK(tokenizer->decode(Ids{29, 1, 3}, false) == "abb");
  CHECK(tokenizer->decode(Ids{29, 1, 3}, true) == "ab<|im_end|>b");
}

TEST_CASE("user-defined tokens are raw text") {
  // A piece outside the byte alphabet's reading: U+00F8 as a character, not as byte F8.
  VocabFile file = byte_pair_file({});
  file.texts("tokenizer.ggml.tokens", {"<|endoftext|>", "a", "\xc3\xb8"}).ints("tokenizer.ggml.token_type", {3, 1, 4});
  const auto tokenizer = open(file);
  CHECK(tokenizer->encode("a\xc3\xb8", {}) == Ids{1, 2});
  CHECK(tokenizer->encode("\xf8", {}).empty());
  CHECK(tokenizer->decode(Ids{1, 2}, false) == "a\xc3\xb8");
}

TEST_CASE("SentencePiece merges by score and puts a space in front") {
  const auto tokenizer = open(sentencepiece_file({"ab", "bc", kMark + "ab", kMark, "a", "b", "c"}));
  CHECK(tokenizer->encode("abc", {}) == Ids{kPieces + 2, kPieces + 6});
  CHECK(tokenizer->encode("bc", {}) == Ids{kPieces + 3, kPieces + 1});
  CHECK(tokenizer->decode(tokenizer->encode("abc", {}), false) == "abc");
  CHECK(tokenizer->decode(tokenizer->encode(" abc", {}), false) == " abc");
  // After a special token the prefix comes again, and goes again.
  const Ids ids = tokenizer->encode("ab<|end|>ab", {.parse_special = true, .add_bos = true});
  CHECK(ids == Ids{1, kPieces + 2, 3, kPieces + 2});
  CHECK(tokenizer->decode(ids, false) == "abab");
  CHECK(tokenizer->decode(ids, true) == "<s>ab<|end|>ab");

  const auto bare = open(sentencepiece_file({"ab", kMark + "ab"}).flag("tokenizer.ggml.add_space_prefix", false));
  CHECK(bare->encode("ab", {}) == Ids{kPieces});
  CHECK(bare->decode(Ids{kPieces + 1}, false) == " ab");
}

TEST_CASE("text never turns into control or byte tokens by merging") {
  const auto tokenizer = open(sentencepiece_file({"<", "s", ">", "<s", "0", "x", "A", "<0", "<0x", "<0x0", "<0x0A", kMark}));
  const std::string text = "<s><0x0A>";
  const Ids ids = tokenizer->encode(text, {});
  for (const int32_t id : ids) CHECK(id >= kPieces);
  CHECK(tokenizer->decode(ids, false) == text);
}

TEST_CASE("SentencePiece falls back to bytes, or to the unknown token") {
  const auto tokenizer = open(sentencepiece_file({"a", kMark}).flag("tokenizer.ggml.add_space_prefix", false));
  CHECK(tokenizer->encode("\xc3\xa9", {}) == Ids{kByte0 + 0xc3, kByte0 + 0xa9});
  CHECK(tokenizer->encode("\xff", {}) == Ids{kByte0 + 0xff});
  // The mark itself, written in the text, does not become a space.
  CHECK(tokenizer->encode("a" + kMark, {}) == Ids{kPieces, kByte0 + 0xe2, kByte0 + 0x96, kByte0 + 0x81});
  CHECK(tokenizer->decode(tokenizer->encode(kMark + " " + kMark, {}), false) == kMark + " " + kMark);

  const auto no_bytes = open(sentencepiece_file({"a", kMark}, false).flag("tokenizer.ggml.add_space_prefix", false));
  CHECK(no_bytes->encode("a\xc3\xa9", {}) == Ids{4, 0});
}

TEST_CASE("cutting at pairs that no piece holds changes nothing") {
  // ">▁</" crosses a space, as one piece of Gemma does; "b▁" ends in one.
  const auto tokenizer = open(sentencepiece_file({kMark + "<", ">" + kMark + "<", "b" + kMark, kMark, "a", "b", "<", ">"})
                                  .flag("tokenizer.ggml.add_space_prefix", false));
  CHECK(tokenizer->encode("a> <a", {}) == Ids{kPieces + 4, kPieces + 1, kPieces + 4});
  CHECK(tokenizer->encode("b a", {}) == Ids{kPieces + 2, kPieces + 4});
  CHECK(tokenizer->encode("a a", {}) == Ids{kPieces + 4, kPieces + 3, kPieces + 4});
}

TEST_CASE("Phi-3's tokens swallow the spaces behind them") {
  VocabFile file = sentencepiece_file({"a", kMark, kMark + "a"}).text("general.architecture", "phi3");
  const auto tokenizer = open(file);
  CHECK(tokenizer->encode("<|end|>\n a", {.parse_special = true}) == Ids{3, kPieces + 2});
  CHECK(tokenizer->encode("<s> a", {.parse_special = true}) == Ids{1, kPieces + 1, kPieces + 2});
}

TEST_CASE("ids outside the vocabulary are nothing") {
  const auto tokenizer = open(byte_pair_file({"a b"}));
  CHECK(tokenizer->token_bytes(-1, true).empty());
  CHECK(tokenizer->token_bytes(30, true).empty());
  CHECK(tokenizer->decode(Ids{-5, 29, 1000000}, true) == "ab");
}

TEST_CASE("bytes that are not UTF-8 survive the ids and show as U+FFFD") {
  Rng rng(5);
  for (const char* name : {"tiny-llama.gguf", "tiny-gemma3.gguf"}) {
    const auto tokenizer = load_tokenizer(source_path(std::string("tests/data/") + name));
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (uint32_t left = rng.next() % 30; left > 0; --left) text += static_cast<char>(static_cast<uint8_t>(rng.next()));
      std::string bytes;
      const Ids ids = tokenizer->encode(text, {.parse_special = true});
      for (const int32_t id : ids) bytes += tokenizer->token_bytes(id, true);
      CHECK(bytes == text);
      CHECK(is_valid_utf8(tokenizer->decode(ids, true)));
    }
  }
}

TEST_CASE("a long word takes no quadratic time") {
  // A million letters in one word: minutes if merging were quadratic, under a second as it is.
  const auto tokenizer = open(byte_pair_file({"a a", "aa aa", "aaaa aaaa", "a b"}));
  const std::string text = std::string(1'000'000, 'a') + "b";
  const Ids ids = tokenizer->encode(text, {});
  CHECK(ids.size() == 125'001);
}

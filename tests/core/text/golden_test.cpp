// Token ids and words of 2,048 texts in 34 scripts against the `tokenizers` package, family by family, on vocabularies built from
// tests/golden/tokenizers.json (scripts/make_tokenizer_golden.py).
#include <algorithm>

#include "core/base/rng.h"
#include "core/base/utf8.h"
#include "core/text/pre_tokenizer.h"
#include "tests/core/source_path.h"
#include "tests/core/text/files.h"
#include "tests/core/text/vocab_fixture.h"

using namespace tessera;
using namespace tessera::test;

namespace {

/// FNV-1a over 32-bit little-endian numbers, as the script has it.
class Hash {
 public:
  void add(size_t number) {
    for (int shift = 0; shift < 32; shift += 8) value_ = (value_ ^ (number >> shift & 0xff)) * 0x01000193u;
  }
  uint32_t low_bits() const { return value_ & 0xffffff; }

 private:
  uint32_t value_ = 0x811c9dc5;
};

std::string from_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<uint32_t>(kDigits.find(c));
    if ((count += 6) < 8) continue;
    count -= 8;
    bytes += static_cast<char>(static_cast<uint8_t>(bits >> count));
  }
  return bytes;
}

/// The hash of the text with that number in a family's list.
uint32_t expected(const std::string& hashes, size_t number) {
  const std::string bytes = from_base64(std::string_view(hashes).substr(4 * number, 4));
  uint32_t value = 0;
  for (size_t i = 3; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

std::unique_ptr<Tokenizer> open(const VocabFile& file) {
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::from_gguf(file.open());
  REQUIRE_MESSAGE(tokenizer.ok(), (tokenizer ? std::string() : tokenizer.error().message));
  return std::move(*tokenizer);
}

/// The 256 characters of the byte alphabet in code point order, then the results of the merges in order, each once.
VocabFile byte_level_file(const nlohmann::json& golden, const std::string& pre) {
  std::vector<std::string> tokens, merges;
  for (uint32_t c = '!'; c < 324; ++c) {
    if (c <= '~' || (c > 160 && c != 173)) append_utf8(tokens.emplace_back(), c);
  }
  REQUIRE(tokens.size() == 256);
  for (const std::string merge : golden["merges"]) {
    merges.push_back(merge);
    const size_t space = merge.find(' ');
    const std::string result = merge.substr(0, space) + merge.substr(space + 1);
    if (std::find(tokens.begin(), tokens.end(), result) == tokens.end()) tokens.push_back(result);
  }
  return VocabFile()
      .text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", pre)
      .texts("tokenizer.ggml.tokens", tokens)
      .texts("tokenizer.ggml.merges", merges);
}

/// <unk>, the byte tokens, then the pieces, the earlier the better.
VocabFile sentencepiece_golden_file(const nlohmann::json& golden, const std::string& model) {
  std::vector<std::string> tokens = {"<unk>"}, merges;
  std::vector<int64_t> kinds = {2};
  for (int byte = 0; byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    tokens.push_back(std::string("<0x") + kDigits[static_cast<size_t>(byte / 16)] + kDigits[static_cast<size_t>(byte % 16)] + ">");
    kinds.push_back(6);
  }
  const std::vector<std::string> pieces = golden["pieces"];
  for (const std::string& piece : pieces) {
    tokens.push_back(piece);
    kinds.push_back(1);
    for (size_t i = 1; i < piece.size(); ++i) {
      const std::string left = piece.substr(0, i), right = piece.substr(i);
      const auto known = [&](const std::string& part) { return std::find(pieces.begin(), pieces.end(), part) != pieces.end(); };
      if (known(left) && known(right)) merges.push_back(left + " " + right);
    }
  }
  std::vector<double> scores;
  for (size_t i = 0; i < tokens.size(); ++i) scores.push_back(-static_cast<double>(i));
  return VocabFile()
      .text("tokenizer.ggml.model", model)
      .texts("tokenizer.ggml.tokens", tokens)
      .ints("tokenizer.ggml.token_type", kinds)
      .floats("tokenizer.ggml.scores", scores)
      .texts("tokenizer.ggml.merges", merges)
      .id("tokenizer.ggml.unknown_token_id", 0);
}

VocabFile unigram_file(const nlohmann::json& golden) {
  std::vector<std::string> tokens;
  std::vector<int64_t> kinds, charsmap;
  std::vector<double> scores;
  for (const nlohmann::json& piece : golden["unigram"]) {
    tokens.push_back(piece[0]);
    scores.push_back(piece[1]);
    kinds.push_back(tokens.size() == 1 ? 2 : 1);
  }
  for (const char byte : from_base64(golden["charsmap"].get<std::string>())) charsmap.push_back(static_cast<uint8_t>(byte));
  return VocabFile()
      .text("tokenizer.ggml.model", "t5")
      .texts("tokenizer.ggml.tokens", tokens)
      .ints("tokenizer.ggml.token_type", kinds)
      .floats("tokenizer.ggml.scores", scores)
      .ints("tokenizer.ggml.precompiled_charsmap", charsmap)
      .flag("tokenizer.ggml.remove_extra_whitespaces", true)
      .id("tokenizer.ggml.unknown_token_id", 0);
}

VocabFile family_file(const nlohmann::json& golden, const std::string& family) {
  if (family == "t5") return unigram_file(golden);
  return family == "llama" || family == "gemma4" ? sentencepiece_golden_file(golden, family) : byte_level_file(golden, family);
}

uint32_t hash_of(const std::string& family, const Tokenizer& tokenizer, const std::string& text) {
  Hash hash;
  if (const PreTokenizerRules* rules = find_pre_tokenizer(family)) {
    PreTokenizer(*rules).split(text, [&](std::string_view word) { hash.add(word.size()); });
  }
  for (const int32_t id : tokenizer.encode(text, {})) hash.add(static_cast<size_t>(id));
  return hash.low_bits();
}

}  // namespace

TEST_CASE("words and ids of every family equal those of the tokenizers package") {
  const nlohmann::json golden = read_json(source_path("tests/golden/tokenizers.json"));
  const std::vector<std::string> texts = golden["texts"];
  REQUIRE(texts.size() == 2048);
  REQUIRE(golden["hashes"].size() == 17);
  for (const auto& [family, hashes] : golden["hashes"].items()) {
    CAPTURE(family);
    const std::unique_ptr<Tokenizer> tokenizer = open(family_file(golden, family));
    const std::string& listed = hashes.get_ref<const std::string&>();
    REQUIRE(listed.size() == 4 * texts.size());
    size_t equal = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      const bool same = hash_of(family, *tokenizer, texts[i]) == expected(listed, i);
      equal += same ? 1 : 0;
      if (!same && i - equal < 3)
        MESSAGE(family << " differs at \"" << texts[i] << "\": " << nlohmann::json(tokenizer->encode(texts[i], {})).dump());
    }
    CHECK(equal == texts.size());
  }
}

TEST_CASE("every family takes bytes that are not UTF-8, and gives them back where it can") {
  const nlohmann::json golden = read_json(source_path("tests/golden/tokenizers.json"));
  const std::vector<std::string> texts = golden["texts"];
  for (const auto& [family, hashes] : golden["hashes"].items()) {
    CAPTURE(family);
    const std::unique_ptr<Tokenizer> tokenizer = open(family_file(golden, family));
    Rng rng(11);
    for (int round = 0; round < 200; ++round) {
      std::string text = texts[rng.next() % texts.size()];
      for (uint32_t flips = 1 + rng.next() % 4; flips > 0; --flips) {
        text[rng.next() % text.size()] = static_cast<char>(static_cast<uint8_t>(rng.next()));
      }
      const std::vector<int32_t> ids = tokenizer->encode(text, {.parse_special = true});
      CHECK(is_valid_utf8(tokenizer->decode(ids, true)));
      if (family == "t5") continue;  // its map changes text, and it has no bytes
      std::string bytes;
      for (const int32_t id : ids) bytes += tokenizer->token_bytes(id, true);
      if (tokenizer->adds_space_prefix()) bytes.erase(0, 1);
      CHECK(bytes == text);
    }
  }
}

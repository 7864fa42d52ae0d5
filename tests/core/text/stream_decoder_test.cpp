// Tests that a stream of tokens becomes whole characters only, whatever bytes the tokens hold.
#include "core/text/stream_decoder.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "core/base/utf8.h"
#include "tests/core/text/vocab_fixture.h"

using namespace tessera;
using namespace tessera::test;

namespace {

constexpr int32_t kByte0 = 4;  // of sentencepiece_file
const std::string kMark = "\xe2\x96\x81";

std::unique_ptr<Tokenizer> open(const VocabFile& file) {
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::from_gguf(file.open());
  REQUIRE(tokenizer.ok());
  return std::move(*tokenizer);
}

std::vector<int32_t> byte_ids(std::string_view bytes) {
  std::vector<int32_t> ids;
  for (const char byte : bytes) ids.push_back(kByte0 + static_cast<uint8_t>(byte));
  return ids;
}

/// Pushes all ids; every piece must be valid UTF-8 by itself. Shows the pieces as "a|b|c".
std::string stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool at_start = false) {
  StreamDecoder decoder(tokenizer, at_start);
  std::string shown;
  const auto show = [&](const std::string& piece) {
    CHECK(is_valid_utf8(piece));
    if (!piece.empty()) shown += (shown.empty() ? "" : "|") + piece;
  };
  for (const int32_t id : ids) show(decoder.push(id));
  show(decoder.finish());
  return shown;
}

std::string random_text(Rng& rng) {
  std::string text;
  for (uint32_t left = rng.next() % 20; left > 0; --left) {
    constexpr uint32_t kLimits[] = {0x80, 0x800, 0x10000, 0x110000};
    const uint32_t code_point = rng.next() % kLimits[rng.next() % 4];
    if (code_point < 0xd800 || code_point >= 0xe000) append_utf8(text, code_point);
  }
  return text;
}

}  // namespace

TEST_CASE("a character comes out with its last byte") {
  const auto tokenizer = open(sentencepiece_file({"a"}));
  CHECK(stream(*tokenizer, byte_ids("a\xc3\xa9z")) == "a|\xc3\xa9|z");
  CHECK(stream(*tokenizer, byte_ids("\xf0\x9f\x99\x82!")) == "\xf0\x9f\x99\x82|!");
}

TEST_CASE("bytes that cannot become a character come out as U+FFFD") {
  const auto tokenizer = open(sentencepiece_file({"a"}));
  const std::string bad = "\xef\xbf\xbd";
  CHECK(stream(*tokenizer, byte_ids("\xff")) == bad);
  CHECK(stream(*tokenizer, byte_ids("\xc3")) == bad);          // the text ends inside a character
  CHECK(stream(*tokenizer, byte_ids("\xf0\x9f\x99")) == bad);  // one, not three
  CHECK(stream(*tokenizer, byte_ids("\xc3g")) == bad + "g");   // both certain at the second byte
  CHECK(stream(*tokenizer, byte_ids("\xe2\x96\xc3\xa9")) == bad + "|\xc3\xa9");
  CHECK(stream(*tokenizer, byte_ids("\xed\xa0\x80")) == bad + bad + "|" + bad);  // a surrogate
}

TEST_CASE("any split of any text gives valid prefixes that join to the text") {
  Rng rng(17);
  for (int round = 0; round < 60; ++round) {
    // A vocabulary of random chunks: byte-level pieces may hold any bytes, halves of characters included.
    std::string text;
    for (int i = 0; i < 5; ++i) text += random_text(rng);
    std::vector<std::string> chunks;
    for (size_t begin = 0; begin < text.size(); begin += chunks.back().size()) chunks.push_back(text.substr(begin, 1 + rng.next() % 7));
    std::vector<std::string> tokens;
    for (const std::string& chunk : chunks) {
      std::string spelled;  // GPT-2's byte alphabet
      for (const char c : chunk) {
        const auto byte = static_cast<uint8_t>(c);
        const uint32_t hidden = byte <= 32 ? 256u + byte : byte <= 160 ? 289u + byte - 127u : 323u;
        const bool prints = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        append_utf8(spelled, prints ? byte : hidden);
      }
      tokens.push_back(spelled);
    }
    if (tokens.empty()) continue;
    VocabFile file = byte_pair_file({}).texts("tokenizer.ggml.tokens", tokens).without("tokenizer.ggml.token_type");
    const auto tokenizer = open(file);
    StreamDecoder decoder(*tokenizer, true);
    std::string joined;
    for (int32_t id = 0; id < tokenizer->vocab().size(); ++id) {
      CHECK(tokenizer->token_bytes(id, false) == chunks[static_cast<size_t>(id)]);
      const std::string piece = decoder.push(id);
      CHECK(is_valid_utf8(piece));
      joined += piece;
      CHECK(joined == text.substr(0, joined.size()));
    }
    CHECK(decoder.finish().empty());
    CHECK(joined == text);
  }
}

TEST_CASE("random bytes stream to what decode makes of the whole") {
  const auto tokenizer = open(sentencepiece_file({"a"}));
  Rng rng(23);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = random_text(rng);
    for (char& byte : bytes) {
      if (rng.next() % 6 == 0) byte = static_cast<char>(static_cast<uint8_t>(rng.next()));
    }
    std::string joined = stream(*tokenizer, byte_ids(bytes), true);
    if (bytes.find('|') != std::string::npos) continue;
    std::erase(joined, '|');
    CHECK(joined == tokenizer->decode(byte_ids(bytes), false));
    if (is_valid_utf8(bytes) && bytes.substr(0, 1) != " ") CHECK(joined == bytes);
  }
}

TEST_CASE("the space that encode() adds is dropped at the start and after special tokens") {
  const auto tokenizer = open(sentencepiece_file({kMark + "a", kMark, "b"}));
  constexpr int32_t kSpaceA = 260, kSpace = 261, kB = 262, kEnd = 3;
  CHECK(stream(*tokenizer, {kSpaceA, kSpaceA}, true) == "a| a");
  CHECK(stream(*tokenizer, {kSpaceA, kSpaceA}, false) == " a| a");
  CHECK(stream(*tokenizer, {kSpace, kSpace, kB}, true) == " |b");
  CHECK(stream(*tokenizer, {kB, kSpaceA}, true) == "b| a");
  CHECK(stream(*tokenizer, {kB, kEnd, kSpaceA}, true) == "b|a");
}

// Tests reading the token table: roles, ends of generation, and one clear error for every damaged key.
#include "core/text/vocab.h"

#include <string>

#include "core/text/tokenizer.h"
#include "tests/core/text/vocab_fixture.h"

using namespace tessera;
using namespace tessera::test;

namespace {

Vocab read(const VocabFile& file) {
  Result<Vocab> vocab = Vocab::from_gguf(file.open());
  REQUIRE(vocab.ok());
  return std::move(*vocab);
}

/// The error of opening a tokenizer on the file; its message must name `key`.
ErrorCode failure(const VocabFile& file, std::string_view key) {
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::from_gguf(file.open());
  REQUIRE_FALSE(tokenizer.ok());
  CAPTURE(tokenizer.error().message);
  CHECK(tokenizer.error().message.find(key) != std::string::npos);
  return tokenizer.error().code;
}

}  // namespace

TEST_CASE("pieces, kinds, scores and roles") {
  const Vocab vocab = read(sentencepiece_file({"a", "b", "ab"}));
  CHECK(vocab.size() == 263);
  CHECK(vocab.find("ab") == 262);
  CHECK(vocab.piece(262) == "ab");
  CHECK(vocab.score(262) == -2.0f);
  CHECK_FALSE(vocab.find("abc").has_value());
  CHECK(vocab.find("<s>") == 1);
  CHECK_FALSE(vocab.find_text("<s>").has_value());
  CHECK_FALSE(vocab.find_text("<0x0A>").has_value());
  CHECK(vocab.kind(4) == TokenKind::kByte);
  CHECK(vocab.bos() == 1);
  CHECK(vocab.eos() == 2);
  CHECK(vocab.unknown() == 0);
  CHECK_FALSE(vocab.contains(-1));
  CHECK_FALSE(vocab.contains(263));
}

TEST_CASE("BOS goes in front where the file or the family says so") {
  CHECK(read(sentencepiece_file({"a"})).add_bos());
  CHECK_FALSE(read(sentencepiece_file({"a"}).flag("tokenizer.ggml.add_bos_token", false)).add_bos());
  CHECK_FALSE(read(byte_pair_file({}).id("tokenizer.ggml.bos_token_id", 0)).add_bos());
  CHECK(read(byte_pair_file({}, "llama-bpe").id("tokenizer.ggml.bos_token_id", 0)).add_bos());
  CHECK_FALSE(read(byte_pair_file({}, "llama-bpe")).add_bos());  // there is no such token
}

TEST_CASE("roles that are -1 and kinds that are 0 say nothing") {
  const Vocab vocab = read(sentencepiece_file({"a"}, false)
                               .id("tokenizer.ggml.eos_token_id", 0xffffffff)
                               .id("tokenizer.ggml.eot_token_id", 0xffffffff)
                               .ints("tokenizer.ggml.token_type", {2, 3, 3, 3, 0}));
  CHECK_FALSE(vocab.eos().has_value());
  CHECK(vocab.is_end_of_generation(3));
  CHECK(vocab.kind(4) == TokenKind::kNormal);
}

TEST_CASE("every end of turn ends the generation") {
  const Vocab vocab = read(byte_pair_file({"a b"}).id("tokenizer.ggml.eot_token_id", 5));
  CHECK(vocab.is_end_of_generation(0));  // eos
  CHECK(vocab.is_end_of_generation(1));  // "<|im_end|>", which no key names
  CHECK(vocab.is_end_of_generation(5));
  CHECK_FALSE(vocab.is_end_of_generation(2));
  CHECK_FALSE(vocab.is_end_of_generation(-1));

  VocabFile html = sentencepiece_file({"</s>", "<|im_end|>", "<end_of_turn>"}, false).without("tokenizer.ggml.eos_token_id");
  const Vocab tags = read(html.ints("tokenizer.ggml.token_type", {2, 3, 3, 3, 4, 4, 1}));
  CHECK_FALSE(tags.is_end_of_generation(4));  // a user-defined "</s>" is an HTML tag
  CHECK(tags.is_end_of_generation(5));
  CHECK_FALSE(tags.is_end_of_generation(6));
  CHECK(tags.is_end_of_generation(3));
}

TEST_CASE("<|end|> ends a message and not the answer where answers are several messages") {
  const std::vector<std::string> markers = {"<|start|>", "<|channel|>", "<|message|>", "<|call|>", "<|return|>"};
  VocabFile file = sentencepiece_file(markers, false).ints("tokenizer.ggml.token_type", {2, 3, 3, 3, 3, 3, 3, 3, 3});
  const Vocab harmony = read(file);
  for (const int32_t id : {3, 4, 5, 6}) {
    CHECK(harmony.frames_message(id));
    CHECK_FALSE(harmony.is_end_of_generation(id));
  }
  for (const int32_t id : {7, 8}) {
    CHECK_FALSE(harmony.frames_message(id));
    CHECK(harmony.is_end_of_generation(id));
  }
  const Vocab other = read(file.texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<|end|>", "<|start|>", "a", "b", "c", "d"}));
  CHECK_FALSE(other.frames_message(3));
  CHECK_FALSE(other.frames_message(4));
  CHECK(other.is_end_of_generation(3));
}

TEST_CASE("a damaged vocabulary gives one error that names the key") {
  const VocabFile good = sentencepiece_file({"a"}, false);
  const auto with = [&](auto&& change) {
    VocabFile file = good;
    change(file);
    return file;
  };
  const auto tokens = "tokenizer.ggml.tokens";
  const auto kinds = "tokenizer.ggml.token_type";
  const auto scores = "tokenizer.ggml.scores";
  const auto eos = "tokenizer.ggml.eos_token_id";
  CHECK(failure(with([&](VocabFile& f) { f.without(tokens); }), tokens) == ErrorCode::kNotFound);
  CHECK(failure(with([&](VocabFile& f) { f.texts(tokens, {}); }), tokens) == ErrorCode::kBadFile);
  CHECK(failure(with([&](VocabFile& f) { f.ints(tokens, {1}); }), tokens) == ErrorCode::kBadFile);
  CHECK(failure(with([&](VocabFile& f) { f.ints(kinds, {1, 1}); }), kinds) == ErrorCode::kBadFile);
  CHECK(failure(with([&](VocabFile& f) { f.ints(kinds, {1, 1, 1, 1, 7}); }), "token_type[4]") == ErrorCode::kBadFile);
  CHECK(failure(with([&](VocabFile& f) { f.ints(kinds, {1, 1, -1, 1, 1}); }), "token_type[2]") == ErrorCode::kBadFile);
  CHECK(failure(with([&](VocabFile& f) { f.floats(scores, {1}); }), scores) == ErrorCode::kBadFile);
  CHECK(failure(with([&](VocabFile& f) { f.id(eos, 5); }), eos) == ErrorCode::kBadFile);
  CHECK(failure(with([&](VocabFile& f) { f.id(eos, 0xfffffffe); }), eos) == ErrorCode::kBadFile);
  CHECK(failure(with([&](VocabFile& f) { f.text(eos, "2"); }), eos) == ErrorCode::kBadFile);
  CHECK(failure(with([&](VocabFile& f) { f.without("tokenizer.ggml.model"); }), "tokenizer.ggml.model") == ErrorCode::kNotFound);
  CHECK(failure(with([&](VocabFile& f) { f.text("tokenizer.ggml.model", "bert"); }), "\"bert\"") == ErrorCode::kUnsupported);
  CHECK(failure(with([&](VocabFile& f) { f.text("tokenizer.ggml.add_space_prefix", "yes"); }), "add_space_prefix") == ErrorCode::kBadFile);
}

TEST_CASE("a token to look for in texts is no longer than 1000 bytes") {
  const auto with = [](size_t bytes, int64_t kind) {
    return sentencepiece_file({"a"}, false)
        .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<|end|>", std::string(bytes, 'a')})
        .ints("tokenizer.ggml.token_type", {2, 3, 3, 3, kind});
  };
  for (const int64_t kind : {2, 3, 4}) {
    CHECK(failure(with(1001, kind), "tokenizer.ggml.tokens[4] is a control or user-defined token of 1001 bytes") == ErrorCode::kBadFile);
    CHECK(read(with(1000, kind)).piece(4).size() == 1000);
  }
  CHECK(read(with(1001, 1)).piece(4).size() == 1001);
}

TEST_CASE("merges made to collide in the table are refused") {
  std::vector<std::string> tokens, merges;
  for (int id = 0; id < 1000; ++id) tokens.push_back("t" + std::to_string(id));
  for (uint64_t left = 0; left < 1000; ++left) {
    for (uint64_t right = 0; right < 1000 && merges.size() < 6000; ++right) {
      const uint64_t slot = ((left << 32 | right) * 0x9e3779b97f4a7c15ull) >> 32 & 8191;  // the table's hash
      if (slot < 64) merges.push_back(tokens[left] + " " + tokens[right]);
    }
  }
  REQUIRE(merges.size() == 6000);
  const VocabFile file = byte_pair_file({}).texts("tokenizer.ggml.tokens", tokens).without("tokenizer.ggml.token_type");
  CHECK(failure(VocabFile(file).texts("tokenizer.ggml.merges", merges), "more than 4000 pairs that collide") == ErrorCode::kBadFile);
  merges.resize(3000);
  CHECK(Tokenizer::from_gguf(VocabFile(file).texts("tokenizer.ggml.merges", merges).open()).ok());
}

TEST_CASE("a damaged byte-level vocabulary gives one error that names the key") {
  CHECK(failure(byte_pair_file({}, "kimi-k2"), "\"kimi-k2\"") == ErrorCode::kUnsupported);
  const VocabFile old = byte_pair_file({}).without("tokenizer.ggml.pre");
  CHECK(failure(old, "tokenizer.ggml.pre") == ErrorCode::kNotFound);
  CHECK(Tokenizer::from_gguf(old.open()).error().hint.find("files converted before May 2024 lack it") != std::string::npos);
  CHECK(failure(byte_pair_file({}).without("tokenizer.ggml.merges"), "tokenizer.ggml.merges") == ErrorCode::kNotFound);
  for (const char* merge : {"", "ab", "a ", " a"}) {
    CHECK(failure(byte_pair_file({}).texts("tokenizer.ggml.merges", {"a b", merge}), "merges[1]") == ErrorCode::kBadFile);
  }
}

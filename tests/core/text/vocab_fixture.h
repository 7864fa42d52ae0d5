// Owns small vocabularies built in memory: GGUF files with metadata and no tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/gguf/gguf_file.h"
#include "core/gguf/writer.h"
#include "doctest/doctest.h"

namespace tessera::test {

/// Metadata of a vocabulary-only GGUF, key by key. A key set twice keeps its last value.
class VocabFile {
 public:
  VocabFile& set(const std::string& key, MetadataValue value) {
    without(key);
    entries_.emplace_back(key, std::move(value));
    return *this;
  }
  VocabFile& text(const std::string& key, const std::string& value) { return set(key, value); }
  VocabFile& id(const std::string& key, uint64_t value) { return set(key, value); }
  VocabFile& flag(const std::string& key, bool value) { return set(key, value); }
  VocabFile& texts(const std::string& key, const std::vector<std::string>& values) { return set(key, values); }
  VocabFile& ints(const std::string& key, const std::vector<int64_t>& values) { return set(key, values); }
  VocabFile& floats(const std::string& key, const std::vector<double>& values) { return set(key, values); }
  VocabFile& without(const std::string& key) {
    std::erase_if(entries_, [&](const auto& entry) { return entry.first == key; });
    return *this;
  }

  GgufFile open() const {
    GgufWriter writer;
    for (const auto& [key, value] : entries_) writer.set(key, value);
    Result<std::vector<std::byte>> bytes = writer.to_bytes();
    REQUIRE(bytes.ok());
    Result<GgufFile> file = GgufFile::open(std::make_shared<MemorySource>(std::move(*bytes)));
    REQUIRE_MESSAGE(file.ok(), (file ? std::string() : file.error().message));
    return std::move(*file);
  }

 private:
  std::vector<std::pair<std::string, MetadataValue>> entries_;
};

/// A SentencePiece vocabulary: <unk> 0, <s> 1, </s> 2, <|end|> 3 (control), the 256 byte tokens from 4 on (unless `bytes` is
/// false), then the pieces with scores 0, -1, -2, ….
inline VocabFile sentencepiece_file(const std::vector<std::string>& pieces, bool bytes = true) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>", "<|end|>"};
  std::vector<int64_t> kinds = {2, 3, 3, 3};
  std::vector<double> scores(4, 0.0);
  for (int byte = 0; bytes && byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    tokens.push_back(std::string("<0x") + kDigits[static_cast<size_t>(byte / 16)] + kDigits[static_cast<size_t>(byte % 16)] + ">");
    kinds.push_back(6);
    scores.push_back(0.0);
  }
  for (const std::string& piece : pieces) {
    scores.push_back(-static_cast<double>(&piece - pieces.data()));
    tokens.push_back(piece);
    kinds.push_back(1);
  }
  return VocabFile()
      .text("general.architecture", "llama")
      .text("tokenizer.ggml.model", "llama")
      .texts("tokenizer.ggml.tokens", tokens)
      .ints("tokenizer.ggml.token_type", kinds)
      .floats("tokenizer.ggml.scores", scores)
      .id("tokenizer.ggml.bos_token_id", 1)
      .id("tokenizer.ggml.eos_token_id", 2)
      .id("tokenizer.ggml.unknown_token_id", 0);
}

/// A byte-level vocabulary over the letters a…z: <|endoftext|> 0 and <|im_end|> 1 (control), a…z 2…27, Ġ (the space) 28,
/// then the results of the merges.
inline VocabFile byte_pair_file(const std::vector<std::string>& merges, const std::string& pre = "gpt-2") {
  std::vector<std::string> tokens = {"<|endoftext|>", "<|im_end|>"};
  for (char letter = 'a'; letter <= 'z'; ++letter) tokens.emplace_back(1, letter);
  tokens.push_back("\xc4\xa0");
  std::vector<int64_t> kinds(tokens.size(), 1);
  kinds[0] = kinds[1] = 3;
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ', 1);
    tokens.push_back(merge.substr(0, space) + merge.substr(space + 1));
    kinds.push_back(1);
  }
  return VocabFile()
      .text("general.architecture", "llama")
      .text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", pre)
      .texts("tokenizer.ggml.tokens", tokens)
      .ints("tokenizer.ggml.token_type", kinds)
      .texts("tokenizer.ggml.merges", merges)
      .id("tokenizer.ggml.eos_token_id", 0);
}

}  // namespace tessera::test

// Owns TOKENS ↔ TEXT: one interface over byte-level BPE and SentencePiece vocabularies read from GGUF metadata.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"
#include "core/text/merge_table.h"
#include "core/text/special_tokens.h"
#include "core/text/vocab.h"

namespace tessera {

/// How encode() treats its input.
struct EncodeOptions {
  bool parse_special = false;  ///< control tokens written in the text ("<|im_end|>") become their ids; user-defined ones always do
  bool add_bos = false;        ///< put the vocabulary's begin-of-sequence token in front
  /// Sorted byte offsets of characters that people wrote, where no control token begins (SpecialTokens::split).
  std::span<const size_t> barred = {};
};

/// Immutable after construction; encode and decode are safe from several threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Reads `tokenizer.ggml.*`. kNotFound / kBadFile name the key; kUnsupported names the unknown model or pre-tokeniser.
  static Result<std::unique_ptr<Tokenizer>> from_gguf(const GgufFile& file);

  /// What from_gguf will take in memory, from the header alone: the tables of tokens and merges, which are nearly all of it.
  static uint64_t bytes(const GgufFile& file) { return Vocab::bytes(file) + MergeTable::bytes(file); }

  virtual std::vector<int32_t> encode(std::string_view text, EncodeOptions options) const = 0;

  /// The bytes that one token stands for; control tokens give "" unless `show_special`. Ids outside the vocabulary give "".
  virtual std::string token_bytes(int32_t id, bool show_special) const = 0;

  /// Text of a sequence; decode(encode(s)) == s for valid UTF-8. A space that encode() put in front is taken off again.
  /// Always valid UTF-8: bytes that are not come out as U+FFFD.
  std::string decode(std::span<const int32_t> ids, bool show_special) const;

  /// True when encode() puts a space in front of a text and of each stretch of text after a special token
  /// (SentencePiece add_space_prefix); decoders take it off again.
  virtual bool adds_space_prefix() const = 0;

  const Vocab& vocab() const { return vocab_; }
  const SpecialTokens& special_tokens() const { return special_tokens_; }

 protected:
  explicit Tokenizer(Vocab vocab) : vocab_(std::move(vocab)) {}
  Vocab vocab_;
  SpecialTokens special_tokens_;
};

}  // namespace tessera

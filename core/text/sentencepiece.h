// Owns SentencePiece BPE (`tokenizer.ggml.model` = "llama": Llama 2, Phi-3, Gemma): characters merged by the score of the
// piece they make, with bytes for what the vocabulary cannot spell.
// Source: Kudo & Richardson 2018; GGUF stores spaces inside pieces as U+2581.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/merge_queue.h"
#include "core/text/special_tokens.h"
#include "core/text/tokenizer.h"

namespace tessera {

class WordCache;

class SentencePieceTokenizer final : public Tokenizer {
 public:
  /// Reads `tokenizer.ggml.add_space_prefix` (default true) and `general.architecture`.
  static Result<std::unique_ptr<Tokenizer>> make(const GgufFile& file, Vocab vocab);

  /// A literal U+2581 in the text is spelled with byte tokens, so that it does not come back as a space.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options) const override;
  std::string token_bytes(int32_t id, bool show_special) const override;
  bool adds_space_prefix() const override { return add_space_prefix_; }

 private:
  SentencePieceTokenizer(Vocab vocab, bool add_space_prefix, bool eats_spaces);
  void note_neighbours(std::string_view piece);
  bool may_join(uint32_t left, uint32_t right) const;
  size_t word_end(std::string_view text, size_t begin) const;
  void encode_text(std::string_view text, bool prefix, WordCache& cache, MergeQueue& queue, std::vector<int32_t>& out) const;
  void encode_word(std::string_view word, MergeQueue& queue, std::vector<int32_t>& out) const;
  void append_bytes(std::string_view bytes, std::vector<int32_t>& out) const;

  bool add_space_prefix_;
  bool has_all_bytes_ = true;
  std::array<int32_t, 256> byte_ids_;  ///< byte → its token <0xNN>, -1 = none
  /// A Bloom filter of the character pairs inside pieces. No merge can cross a pair that no piece holds, so text is cut
  /// there: words stay short and repeat.
  std::vector<uint64_t> neighbours_;
  SpecialTokens special_tokens_;
};

}  // namespace tessera

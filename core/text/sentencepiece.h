// Owns SentencePiece vocabularies, with bytes for what they cannot spell. `tokenizer.ggml.model` says how pieces are found:
// "llama" (Llama 2, Phi-3, Gemma): characters merged by the score of the piece they make; "gemma4": merged by a ranked list;
// "t5": the most probable pieces (Unigram).
// Source: Kudo & Richardson 2018; GGUF stores spaces inside pieces as U+2581.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/character_map.h"
#include "core/text/merge_queue.h"
#include "core/text/merge_table.h"
#include "core/text/tokenizer.h"
#include "core/text/unigram.h"

namespace tessera {

class WordCache;

class SentencePieceTokenizer final : public Tokenizer {
 public:
  /// Reads `tokenizer.ggml.add_space_prefix` (absent: true, but for gemma4), `remove_extra_whitespaces`, `merges` (gemma4),
  /// `precompiled_charsmap`, and `general.architecture`.
  static Result<std::unique_ptr<Tokenizer>> make(const GgufFile& file, Vocab vocab);

  /// A literal U+2581 in the text is spelled with byte tokens, so that it does not come back as a space.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options) const override;
  std::string token_bytes(int32_t id, bool show_special) const override;
  bool adds_space_prefix() const override { return settings_.add_space_prefix; }

 private:
  struct Settings {
    bool add_space_prefix = true;
    bool removes_spaces = false;  ///< spaces at the ends of a text vanish, several in a row are one
    bool eats_spaces = false;     ///< Phi-3's special tokens
    bool unigram = false;
    std::optional<MergeTable> merges;
    CharacterMap characters;
  };
  SentencePieceTokenizer(Vocab vocab, Settings settings);
  void note_neighbours(std::string_view piece);
  bool may_join(uint32_t left, uint32_t right) const;
  size_t word_end(std::string_view text, size_t begin) const;
  std::string normalized(std::string_view text) const;
  void encode_text(std::string_view text, bool prefix, WordCache& cache, MergeQueue& queue, std::vector<int32_t>& out) const;
  void encode_word(std::string_view word, MergeQueue& queue, std::vector<int32_t>& out) const;
  void merge(std::string_view word, MergeQueue& queue, std::vector<int32_t>& out) const;
  void append_bytes(std::string_view bytes, std::vector<int32_t>& out) const;

  Settings settings_;
  std::optional<Unigram> unigram_;
  bool has_all_bytes_ = true;
  std::array<int32_t, 256> byte_ids_;  ///< byte → its token <0xNN>, -1 = none
  /// A Bloom filter of the character pairs inside pieces. No merge can cross a pair that no piece holds, so text is cut
  /// there: words stay short and repeat.
  std::vector<uint64_t> neighbours_;
};

}  // namespace tessera

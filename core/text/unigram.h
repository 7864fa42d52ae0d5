// Owns SentencePiece Unigram (`tokenizer.ggml.model` = "t5"): of all ways to spell a word in pieces the most probable one.
// Source: Kudo 2018, "Subword Regularization"; the penalty of unknown characters is SentencePiece's.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/text/vocab.h"

namespace tessera {

/// A stretch of a word; id -1 = a character that no piece spells.
struct UnigramPiece {
  uint32_t begin = 0;
  uint32_t length = 0;
  int32_t id = -1;
};

/// What the search needs to know about a vocabulary. Immutable.
class Unigram {
 public:
  explicit Unigram(const Vocab& vocab);
  /// The most probable pieces of `word`, in order (Viterbi). O(length of the word × length of the longest piece). Pieces of more
  /// than 128 bytes are never used (SentencePiece makes none of more than 64).
  std::vector<UnigramPiece> split(const Vocab& vocab, std::string_view word) const;

 private:
  size_t longest_ = 0;  ///< bytes of a piece
  float unknown_score_ = 0;
};

}  // namespace tessera

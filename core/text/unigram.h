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
  uint32_t begin;
  uint32_t length;
  int32_t id;
};

/// The pieces of a vocabulary in dictionary order. Immutable; `vocab` must outlive it.
class Unigram {
 public:
  explicit Unigram(const Vocab& vocab);
  /// The most probable pieces of `word`, in order (Viterbi). O(length of the word × length of the longest piece in it).
  std::vector<UnigramPiece> split(const Vocab& vocab, std::string_view word) const;

 private:
  std::vector<int32_t> sorted_;  ///< ids of the pieces that text may become
  double unknown_score_ = 0;
};

}  // namespace tessera

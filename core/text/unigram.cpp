// Owns the search for the most probable pieces.
#include "core/text/unigram.h"

#include <algorithm>
#include <limits>

#include "core/base/utf8.h"

namespace tessera {

Unigram::Unigram(const Vocab& vocab) {
  double lowest = 0;
  for (int32_t id = 0; id < vocab.size(); ++id) {
    if (vocab.kind(id) == TokenKind::kNormal) lowest = std::min(lowest, static_cast<double>(vocab.score(id)));
    if (vocab.find_text(vocab.piece(id)) == id && vocab.kind(id) != TokenKind::kUnused) sorted_.push_back(id);
  }
  std::sort(sorted_.begin(), sorted_.end(), [&](int32_t a, int32_t b) { return vocab.piece(a) < vocab.piece(b); });
  constexpr double kUnknownPenalty = 10;
  unknown_score_ = lowest - kUnknownPenalty;
}

std::vector<UnigramPiece> Unigram::split(const Vocab& vocab, std::string_view word) const {
  struct Best {
    double score = -std::numeric_limits<double>::infinity();
    UnigramPiece piece = {};  ///< the last one on the best way to here
  };
  std::vector<Best> best(word.size() + 1);  // by the end of the way
  best[0].score = 0;
  const auto offer = [&](size_t begin, size_t length, int32_t id, double score) {
    Best& end = best[begin + length];
    if (best[begin].score + score <= end.score) return;
    end = {best[begin].score + score, {static_cast<uint32_t>(begin), static_cast<uint32_t>(length), id}};
  };
  for (size_t begin = 0; begin < word.size();) {
    const size_t character = decode_utf8(word.substr(begin)).length;
    bool alone = false;  // some piece is just this character
    auto first = sorted_.begin(), last = sorted_.end();
    for (size_t length = 1; begin + length <= word.size(); ++length) {
      // The pieces that begin with word[begin…begin + length): a narrower and narrower range.
      const char byte = word[begin + length - 1];
      const auto has_less = [&](int32_t id, char wanted) {
        const std::string& piece = vocab.piece(id);
        return piece.size() < length || static_cast<uint8_t>(piece[length - 1]) < static_cast<uint8_t>(wanted);
      };
      const auto has_more = [&](char wanted, int32_t id) {
        const std::string& piece = vocab.piece(id);
        return piece.size() >= length && static_cast<uint8_t>(piece[length - 1]) > static_cast<uint8_t>(wanted);
      };
      first = std::lower_bound(first, last, byte, has_less);
      last = std::upper_bound(first, last, byte, has_more);
      if (first == last) break;
      if (vocab.piece(*first).size() != length) continue;
      offer(begin, length, *first, vocab.score(*first));
      alone |= length == character;
    }
    if (!alone) offer(begin, character, -1, unknown_score_);
    begin += character;
  }
  std::vector<UnigramPiece> pieces;
  for (size_t end = word.size(); end > 0; end = pieces.back().begin) pieces.push_back(best[end].piece);
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

}  // namespace tessera

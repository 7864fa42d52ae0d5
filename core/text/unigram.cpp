// Owns the search for the most probable pieces.
#include "core/text/unigram.h"

#include <algorithm>

#include "core/base/utf8.h"

namespace tessera {

Unigram::Unigram(const Vocab& vocab) {
  constexpr size_t kLongest = 128;
  constexpr float kUnknownPenalty = 10;
  for (int32_t id = 0; id < vocab.size(); ++id) {
    if (vocab.kind(id) != TokenKind::kNormal) continue;
    unknown_score_ = std::min(unknown_score_, vocab.score(id));
    longest_ = std::max(longest_, std::min(vocab.piece(id).size(), kLongest));
  }
  unknown_score_ -= kUnknownPenalty;
}

std::vector<UnigramPiece> Unigram::split(const Vocab& vocab, std::string_view word) const {
  struct Best {
    double score = 0;
    UnigramPiece piece;  ///< the last one on the best way to here; length 0 = no way yet
  };
  std::vector<Best> best(word.size() + 1);  // by the end of the way
  for (size_t begin = 0; begin < word.size();) {
    const size_t character = decode_utf8(word.substr(begin)).length;
    const size_t longest = std::min(std::max(longest_, character), word.size() - begin);
    // From the longest on, so that the way through one unknown character is looked at when it is known that no piece spells it.
    for (size_t length = longest; length >= character; --length) {
      const std::optional<int32_t> id = vocab.find_text(word.substr(begin, length));
      const bool usable = id && vocab.kind(*id) == TokenKind::kNormal;
      if (!usable && length > character) continue;
      const double score = best[begin].score + (usable ? vocab.score(*id) : unknown_score_);
      Best& end = best[begin + length];
      if (end.piece.length > 0 && score <= end.score) continue;
      end = {score, {static_cast<uint32_t>(begin), static_cast<uint32_t>(length), usable ? *id : -1}};
    }
    begin += character;
  }
  std::vector<UnigramPiece> pieces;
  for (size_t end = word.size(); end > 0; end = pieces.back().begin) pieces.push_back(best[end].piece);
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

}  // namespace tessera

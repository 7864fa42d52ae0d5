// Owns the single steps of pre-tokenisers: hand-written equivalents of the regular expressions that tokenizer.json files
// carry, each driven by a row of settings, so that families share code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/text/character_classes.h"

namespace tessera {

/// Where a stage found its next word: bytes [begin, end) of the text it was given; begin == text.size() when there is none.
struct WordSpan {
  size_t begin;
  size_t end;
};

/// Code points first…last.
struct CodeRange {
  uint32_t first;
  uint32_t last;
};

/// Text being cut, and what its characters are. Invalid UTF-8 counts as U+FFFD, a sign.
struct Characters {
  std::string_view text;
  const CharacterClasses* classes;
};

enum class Contractions : uint8_t { kNone, kBefore, kBehind };  ///< 's|'t|'re|… in any case: words of their own, or ends of words

/// One stage of a pre-tokeniser: a way to find words and its settings. A stage cuts its input into matches and the text between them.
struct Stage {
  /// The first match at or behind `from` (< text.size()). The text ends where the stage's input ends, so that a look-ahead
  /// sees nothing behind it. Never returns an empty match unless there is none.
  using Find = WordSpan (*)(const Characters& characters, size_t from, const Stage& stage);
  Find find;
  ClassSet word = 0;                       ///< classes of a word's characters; 0: those in `ranges`, else only those that are not
  ClassSet lead = 0;                       ///< classes of the one character that may stand before a word; never a line break
  ClassSet symbols = 0;                    ///< classes of a run of symbols, before which a space may stand
  uint32_t limit = ~0u;                    ///< most characters of a run, or most digits of a number
  std::span<const CodeRange> ranges = {};  ///< in order
  Contractions contractions = Contractions::kNone;
  bool cased = false;        ///< a capital ends a word unless only capitals came before it
  bool ascii_signs = false;  ///< find_word: [!-~] but for letters and digits goes with ASCII letters behind it; find_run: they count, too
  std::string_view tail = "\r\n";  ///< what else a run of symbols ends in
};

/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
WordSpan find_gpt2_word(const Characters& characters, size_t from, const Stage& stage);

/// contraction|LEAD?WORD+|\p{N}{1,LIMIT}| ?SYMBOLS+[TAIL]*|\s*[\r\n]+|\s+(?!\S)|\s+, where a cased WORD+ is U*L+|U+L* of
/// U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and L = [\p{Ll}\p{Lm}\p{Lo}\p{M}].
WordSpan find_word(const Characters& characters, size_t from, const Stage& stage);

/// [WORD]{1,LIMIT}
WordSpan find_run(const Characters& characters, size_t from, const Stage& stage);

/// \s?[WORD]+ (a LEAD that is less than all spaces: just the ASCII space)
WordSpan find_spaced_run(const Characters& characters, size_t from, const Stage& stage);

/// [0-9][0-9][0-9]
WordSpan find_digit_triple(const Characters& characters, size_t from, const Stage& stage);

/// \s+$
WordSpan find_trailing_space(const Characters& characters, size_t from, const Stage& stage);

}  // namespace tessera

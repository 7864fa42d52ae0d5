// Owns the cutting of text into words before byte-level BPE: hand-written equivalents of the regular expressions that
// tokenizer.json files carry, chosen by the GGUF key `tokenizer.ggml.pre`.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace tessera {

/// Where a stage found its next word: bytes [begin, end) of the text it was given; begin == text.size() when there is none.
struct WordSpan {
  size_t begin;
  size_t end;
};

/// The first match of one regular expression in text[from…]. The text ends where the stage's input ends, so that a
/// look-ahead sees nothing behind it. Never returns an empty match.
using WordFinder = WordSpan (*)(std::string_view text, size_t from);

/// One row of the table of known pre-tokenisers. Stages run one inside the other: each cuts the pieces of the one before
/// it into matches and the text between them.
struct PreTokenizer {
  std::string_view name;
  std::span<const WordFinder> stages;
  bool ignore_merges;  ///< a word that is a token as a whole is not merged step by step (Llama 3)
  bool adds_bos;       ///< raw prompts begin with BOS unless the file says otherwise

  /// Calls `word` for each word in order; together the words are the text, byte for byte. Invalid UTF-8 counts as symbols.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;
};

/// The pre-tokeniser of that name, or nullptr.
const PreTokenizer* find_pre_tokenizer(std::string_view name);

/// "gpt-2, smollm, …" for error messages.
std::string known_pre_tokenizers();

}  // namespace tessera

// Owns the cutting of text into words before byte-level BPE, chosen by the GGUF key `tokenizer.ggml.pre`.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/text/character_classes.h"

namespace tessera {

struct Stage;

/// One row of the table of known pre-tokenisers. Stages run one inside the other: each cuts the pieces of the one before
/// it into matches and the text between them.
struct PreTokenizerRules {
  std::string_view names;  ///< values of the key, a space between them
  std::span<const Stage> stages;
  bool ignore_merges = false;  ///< a word that is a token as a whole is not merged step by step (Llama 3)
  bool adds_bos = false;       ///< raw prompts begin with BOS unless the file says otherwise
};

/// The row that has that name, or nullptr.
const PreTokenizerRules* find_pre_tokenizer(std::string_view name);

/// "gpt-2 phi-2 …" for error messages.
std::string known_pre_tokenizers();

/// A row at work. Immutable.
class PreTokenizer {
 public:
  explicit PreTokenizer(const PreTokenizerRules& rules) : rules_(rules) {}
  const PreTokenizerRules& rules() const { return rules_; }

  /// Calls `word` for each word in order; together the words are the text, byte for byte. Invalid UTF-8 counts as signs.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  const PreTokenizerRules& rules_;
  CharacterClasses classes_;
};

}  // namespace tessera

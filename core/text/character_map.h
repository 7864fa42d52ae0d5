// Owns the normalisation that a SentencePiece model brings along (`tokenizer.ggml.precompiled_charsmap`): a trie of character
// sequences and what each becomes. Byte-level BPE can ask for NFC instead (core/base/normal_form.h).
// Source: SentencePiece's normalizer.cc (the blob), darts-clone's darts.h (the trie's units).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"

namespace tessera {

/// Immutable. Without a map in the file it changes nothing.
class CharacterMap {
 public:
  /// kBadFile when the map contradicts itself.
  static Result<CharacterMap> read(const GgufFile& file);

  bool empty() const { return units_.empty(); }
  /// The longest sequence of the map at each place is replaced; bytes that are not UTF-8 become U+FFFD.
  std::string apply(std::string_view text) const;

 private:
  /// Length of the longest match at the beginning of `text`, 0 = none, and where its replacement begins in texts_.
  size_t match(std::string_view text, size_t& replacement) const;

  std::vector<uint32_t> units_;  ///< double-array trie
  std::string texts_;            ///< replacements, each ended by NUL
};

}  // namespace tessera

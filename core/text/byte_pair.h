// Owns byte-level BPE (`tokenizer.ggml.model` = "gpt2"): words of bytes, merged in the order of a ranked list.
// Source: Sennrich et al. 2016 (merges); GPT-2's encoder.py (bytes as printable characters).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/merge_queue.h"
#include "core/text/merge_table.h"
#include "core/text/pre_tokenizer.h"
#include "core/text/tokenizer.h"

namespace tessera {

class BytePairTokenizer final : public Tokenizer {
 public:
  /// Reads `tokenizer.ggml.pre`, `tokenizer.ggml.merges` and `tokenizer.ggml.normalizer.nfc` (absent: false); kUnsupported names an
  /// unknown pre-tokeniser.
  static Result<std::unique_ptr<Tokenizer>> make(const GgufFile& file, Vocab vocab);

  /// A byte without a token (some vocabularies leave out rare control characters) is dropped, as the references do.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options) const override;
  std::string token_bytes(int32_t id, bool show_special) const override;
  bool adds_space_prefix() const override { return false; }

 private:
  BytePairTokenizer(Vocab vocab, const PreTokenizerRules& pre, MergeTable merges, bool normalizes);
  void encode_word(std::string_view word, MergeQueue& queue, std::vector<int32_t>& out) const;

  PreTokenizer pre_;
  MergeTable merges_;
  bool normalizes_;                    ///< text to NFC before it is cut into words
  std::array<int32_t, 256> byte_ids_;  ///< byte → token, -1 = the vocabulary has none
};

}  // namespace tessera

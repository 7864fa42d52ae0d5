// Owns the token table of a model: pieces, kinds, scores and the ids with a role.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"

namespace tessera {

/// GGUF `tokenizer.ggml.token_type`.
enum class TokenKind : uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

/// The token table. Immutable after from_gguf.
class Vocab {
 public:
  /// Reads the `tokenizer.ggml.*` arrays and role ids. kNotFound / kBadFile name the key, what it held and what was expected.
  static Result<Vocab> from_gguf(const GgufFile& file);
  /// What it will take in memory; 0 for a file without a vocabulary.
  static uint64_t bytes(const GgufFile& file);

  int32_t size() const { return static_cast<int32_t>(pieces_.size()); }
  bool contains(int32_t id) const { return id >= 0 && id < size(); }
  const std::string& piece(int32_t id) const { return pieces_[id]; }  ///< as stored in the file
  TokenKind kind(int32_t id) const { return kinds_[id]; }
  float score(int32_t id) const { return scores_.empty() ? 0.0f : scores_[id]; }
  /// The token with that piece; of several the last.
  std::optional<int32_t> find(std::string_view piece) const;
  /// The same, but only tokens that ordinary text may become: never control, unknown or byte tokens.
  std::optional<int32_t> find_text(std::string_view piece) const;
  bool is_special(int32_t id) const;  ///< control or unknown: shown to people only on request

  std::optional<int32_t> bos() const { return bos_; }
  std::optional<int32_t> eos() const { return eos_; }
  std::optional<int32_t> unknown() const { return unknown_; }
  bool add_bos() const { return add_bos_; }  ///< raw prompts begin with bos(); none ends with eos(): it is to be continued

  /// True for every token after which an answer is over: eos, eot, eom and the known end markers of chat families
  /// ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", …) where they are control or
  /// user-defined tokens; "</s>" and the like, which may be ordinary text (an HTML tag), only where they are control tokens.
  bool is_end_of_generation(int32_t id) const;
  /// All such tokens, sorted.
  const std::vector<int32_t>& end_ids() const { return end_ids_; }

  /// True for the control tokens that an answer of several messages has inside it: <|start|>, <|channel|>, <|message|> and <|end|> where
  /// <|return|> ends the answer (OpenAI's harmony format).
  bool frames_message(int32_t id) const;

 private:
  static size_t slots(size_t pieces);
  size_t slot_of(std::string_view piece) const;
  void index_pieces();
  Result<void> read_kinds(const GgufFile& file);
  Result<void> read_roles(const GgufFile& file);

  std::vector<std::string> pieces_;
  std::vector<TokenKind> kinds_;
  std::vector<float> scores_;
  std::vector<int32_t> slots_;  ///< open-addressed hash of the pieces → id, -1 = free; a power of two long, at most half full
  std::vector<int32_t> end_ids_;
  std::vector<int32_t> frame_ids_;  ///< frames_message(); empty in other vocabularies
  std::optional<int32_t> bos_, eos_, unknown_;
  bool add_bos_ = false;
};

}  // namespace tessera

// The core's public face, part five: TextModel, the textual half of a model (tokenizer and chat template), readable without its weights.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera {

namespace grammar {
class TokenTexts;  // core/grammar
}

class ChatTemplate;  // core/text
class GgufFile;      // core/gguf
class Tokenizer;     // core/text

/// What ends the model's turn of a chat besides its end-of-generation tokens: whatever opens the next role's turn.
struct TurnEnds {
  std::vector<int32_t> tokens;     ///< control tokens, sorted: <|im_start|>, <start_of_turn>, …
  std::vector<std::string> texts;  ///< markers that are plain text in this vocabulary: "[INST]", "### Instruction:"
};

/// Tokenizer and chat template of one GGUF, which may hold no tensors at all. Immutable; safe to use from several threads.
class TextModel {
 public:
  ~TextModel();

  /// Errors of GgufFile::open_split and Tokenizer::from_gguf.
  static Result<std::unique_ptr<TextModel>> open(std::vector<std::shared_ptr<const ByteSource>> parts);
  static Result<std::unique_ptr<TextModel>> from_gguf(const GgufFile& file);

  /// Text → ids. `bos` puts the begin token in front where the vocabulary has one.
  std::vector<int32_t> tokenize(std::string_view text, bool parse_special, bool bos) const;
  /// Ids → text; kInvalidArgument for an id outside the vocabulary. `show_special` writes control tokens, too.
  Result<std::string> detokenize(std::span<const int32_t> ids, bool show_special) const;

  /// The chat template's text with `context` as variables; bos_token and eos_token are filled in where they are missing.
  /// `template_override` as in Engine::chat_prompt, `now` as in ChatTemplate::render. kInvalidArgument when context.messages is
  /// not an array of objects with a role; kUnsupported when the file has no template and none is given; kTemplate.
  Result<std::string> render(const nlohmann::ordered_json& context, std::string_view template_override = "",
                             std::string_view now = "") const;

  /// As Engine::chat_prompt and Engine::raw_prompt.
  Result<std::vector<int32_t>> chat_prompt(const nlohmann::ordered_json& context, std::string_view template_override) const;
  std::vector<int32_t> raw_prompt(std::string_view text) const;
  /// The token that raw prompts begin with, where the model asks for one.
  std::optional<int32_t> prompt_bos() const;

  /// Ends of the model's turn under the file's template, or under `template_override`: what a rendered conversation has
  /// between an answer and the next question, and the turn openers of well-known chat formats.
  TurnEnds turn_ends(std::string_view template_override = "") const;

  /// Makes this Jinja source the model's own template. kTemplate with line and column when it is none; then nothing changes.
  Result<void> set_chat_template(std::string source);

  /// What each token adds to an answer, for grammars; made when first asked for (2 to 10 MB).
  const grammar::TokenTexts& token_texts() const;

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  bool has_chat_template() const { return !template_source_.empty(); }
  /// Why the file's template cannot be used, with line and column; "" when it parses or there is none.
  const std::string& template_error() const { return template_error_; }

 private:
  TextModel();
  Result<std::string> render(const nlohmann::ordered_json& context, std::string_view template_override, std::string_view now,
                             const std::function<std::string(const std::string&)>* written) const;
  std::string role_piece(std::optional<int32_t> id) const;
  TurnEnds find_turn_ends(std::string_view template_override) const;
  /// What the template writes between an answer and the next question; "" when it cannot render such a conversation.
  std::string between_turns(std::string_view template_override) const;

  std::unique_ptr<Tokenizer> tokenizer_;
  std::string template_source_;  ///< "" = the file has none
  std::string template_error_;
  std::unique_ptr<ChatTemplate> template_;  ///< null when there is none or it does not parse
  TurnEnds turn_ends_;                      ///< of the file's own template
  mutable std::once_flag texts_made_;
  mutable std::unique_ptr<const grammar::TokenTexts> texts_;
};

/// Renders any template with exactly the variables of `context`; no model needed. kTemplate.
Result<std::string> render_template(std::string_view source, const nlohmann::ordered_json& context, std::string_view now = "");

/// The Jinja source of a built-in template by name; kNotFound lists the names.
Result<std::string> named_chat_template(std::string_view name);

/// The Jinja source that `given` stands for: the name of a built-in template, or a source itself (it has "{{" or "{%" in it). `field`
/// begins the message: kInvalidArgument for an unknown name (the hint lists them), kTemplate with line and column.
Result<std::string> chat_template_source(std::string_view given, std::string_view field);

}  // namespace tessera

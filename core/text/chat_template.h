// Owns messages → prompt: a model's Jinja chat template with the variables that transformers gives it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera {

namespace jinja {
class Template;
}
using TextChange = std::function<std::string(const std::string& text)>;

/// A parsed chat template. Immutable; render is safe from several threads.
class ChatTemplate {
 public:
  ChatTemplate();
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// kTemplate with line and column when the source is not a valid template.
  static Result<ChatTemplate> parse(std::string_view source);

  /// Renders with `context` as the variables: messages, tools, add_generation_prompt, bos_token, eos_token and any other.
  /// `now` is the local time "2026-11-22T12:00:00" that strftime_now sees; "" = the system clock.
  /// kTemplate when the template raises or fails; the message has line and column.
  /// `written`, if not null, makes another text of each text in messages, tools and documents before the template sees it.
  Result<std::string> render(const nlohmann::ordered_json& context, std::string_view now = "", const TextChange* written = nullptr) const;

 private:
  std::unique_ptr<jinja::Template> template_;
};

/// Source of a built-in template: "chatml", "llama2", "llama3", "gemma", "mistral", "phi3", "alpaca", "zephyr"; kNotFound lists the names.
Result<std::string> builtin_chat_template(std::string_view name);

}  // namespace tessera

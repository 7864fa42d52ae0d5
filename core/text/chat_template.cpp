// Owns the chat template of a model: a thin wrapper that keeps the interpreter out of the public header.
#include "core/text/chat_template.h"

#include "core/text/jinja/template.h"

namespace tessera {

ChatTemplate::ChatTemplate() = default;
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  Result<jinja::Template> parsed = jinja::Template::parse(source);
  if (!parsed) return parsed.error();
  ChatTemplate chat_template;
  chat_template.template_ = std::make_unique<jinja::Template>(std::move(*parsed));
  return chat_template;
}

Result<std::string> ChatTemplate::render(const nlohmann::ordered_json& context, std::string_view now, const TextChange* written) const {
  if (!template_) return Error{ErrorCode::kTemplate, "chat template: none was parsed", "parse a template first"};
  return template_->render(context, now, written);
}

}  // namespace tessera

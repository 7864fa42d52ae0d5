// Implements TextModel: prompts from messages, and what ends a turn.
#include "core/engine/text_model.h"

#include <algorithm>
#include <array>

#include "core/base/heap_sort.h"
#include "core/gguf/gguf_file.h"
#include "core/grammar/token_texts.h"
#include "core/text/chat_template.h"
#include "core/text/jinja/strftime.h"
#include "core/text/message_guard.h"
#include "core/text/tokenizer.h"
#include "nlohmann/json.hpp"

namespace tessera {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kTemplateKey = "tokenizer.chat_template";
constexpr std::string_view kBlank = " \t\r\n";

// Control tokens that open a turn in the chat formats of the known model families.
constexpr std::array<std::string_view, 9> kTurnOpeners = {"<|im_start|>", "<start_of_turn>",   "<|start_header_id|>",
                                                          "[INST]",       "<|user|>",          "<|assistant|>",
                                                          "<|system|>",   "<|start_of_role|>", "<|header_start|>"};

/// "<|user|>\n" → "<|user|>", "\n\n### Instruction:\n" → "### Instruction:"; "" when the text does not begin with markup.
std::string leading_marker(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) {
    return "";
  }
  text.remove_prefix(begin);
  size_t end = 0;
  if (text.front() == '<') {
    end = text.find('>') + 1;
  } else if (text.front() == '[') {
    end = text.find(']') + 1;
  } else if (text.starts_with("###")) {
    end = std::min(text.find('\n'), text.size());
  }
  return end < 3 ? "" : std::string(text.substr(0, end));
}

Result<void> check_messages(const Json& context) {
  const auto messages = context.is_object() ? context.find("messages") : context.end();
  if (!context.is_object() || messages == context.end() || !messages->is_array()) {
    return Error{ErrorCode::kInvalidArgument, "messages: expected an array of {role, content}", "give at least one message"};
  }
  if (messages->empty()) {
    return Error{ErrorCode::kInvalidArgument, "messages is empty", "give at least one message"};
  }
  for (size_t i = 0; i < messages->size(); ++i) {
    const Json& message = (*messages)[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      return Error{ErrorCode::kInvalidArgument, "messages[" + std::to_string(i) + "]: expected an object with a string role",
                   "roles are usually system, user, assistant and tool"};
    }
  }
  return {};
}

}  // namespace

TextModel::TextModel() = default;
TextModel::~TextModel() = default;

Result<std::unique_ptr<TextModel>> TextModel::open(std::vector<std::shared_ptr<const ByteSource>> parts) {
  Result<GgufFile> file = GgufFile::open_split(std::move(parts));
  if (!file) {
    return file.error();
  }
  return from_gguf(*file);
}

Result<std::unique_ptr<TextModel>> TextModel::from_gguf(const GgufFile& file) {
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::from_gguf(file);
  if (!tokenizer) {
    return tokenizer.error();
  }
  std::unique_ptr<TextModel> text(new TextModel);
  text->tokenizer_ = std::move(*tokenizer);
  if (file.find(kTemplateKey) != nullptr) {
    Result<std::string> source = file.get_string(kTemplateKey);
    if (!source) {
      return source.error();
    }
    // A template that does not parse makes chat fail, not loading: render() parses again and reports why.
    text->template_source_ = *source;
    if (const Result<void> usable = text->set_chat_template(std::move(*source)); !usable) {
      text->template_error_ = usable.error().message;
    }
  }
  if (text->template_ == nullptr) {
    text->turn_ends_ = text->find_turn_ends("");
  }
  return text;
}

Result<void> TextModel::set_chat_template(std::string source) {
  Result<ChatTemplate> parsed = ChatTemplate::parse(source);
  if (!parsed) {
    return parsed.error();
  }
  template_source_ = std::move(source);
  template_error_.clear();
  template_ = std::make_unique<ChatTemplate>(std::move(*parsed));
  turn_ends_ = find_turn_ends("");
  return {};
}

const grammar::TokenTexts& TextModel::token_texts() const {
  std::call_once(texts_made_, [this] {
    const Vocab& vocab = tokenizer_->vocab();
    texts_ = std::make_unique<const grammar::TokenTexts>(vocab.size(), [&](int32_t id) {
      const bool hidden = vocab.is_special(id) || vocab.kind(id) == TokenKind::kUnused || vocab.is_end_of_generation(id);
      return hidden ? std::string() : tokenizer_->token_bytes(id, false);
    });
  });
  return *texts_;
}

std::vector<int32_t> TextModel::tokenize(std::string_view text, bool parse_special, bool bos) const {
  return tokenizer_->encode(text, {.parse_special = parse_special, .add_bos = bos});
}

Result<std::string> TextModel::detokenize(std::span<const int32_t> ids, bool show_special) const {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!tokenizer_->vocab().contains(ids[i])) {
      return Error{ErrorCode::kInvalidArgument,
                   "token " + std::to_string(i) + " is " + std::to_string(ids[i]) + ", expected an id from 0 to " +
                       std::to_string(tokenizer_->vocab().size() - 1),
                   "use ids that this model's tokenizer made"};
    }
  }
  return tokenizer_->decode(ids, show_special);
}

std::string TextModel::role_piece(std::optional<int32_t> id) const {
  return id && tokenizer_->vocab().contains(*id) ? tokenizer_->vocab().piece(*id) : std::string();
}

Result<std::string> TextModel::render(const Json& context, std::string_view template_override, std::string_view now) const {
  return render(context, template_override, now, nullptr);
}

Result<std::string> TextModel::render(const Json& context, std::string_view template_override, std::string_view now,
                                      const TextChange* written) const {
  if (Result<void> checked = check_messages(context); !checked) {
    return checked.error();
  }
  if (template_override.empty() && template_source_.empty()) {
    return Error{ErrorCode::kUnsupported, "the model file has no chat template (tokenizer.chat_template is absent)",
                 "it may be a base model: use a raw prompt, or give a chat template, " + named_chat_template("").error().hint};
  }
  Json variables = context;
  if (!variables.contains("bos_token")) {
    variables["bos_token"] = role_piece(tokenizer_->vocab().bos());
  }
  if (!variables.contains("eos_token")) {
    variables["eos_token"] = role_piece(tokenizer_->vocab().eos());
  }
  if (template_override.empty() && template_ != nullptr) {
    return template_->render(variables, now, written);
  }
  Result<ChatTemplate> parsed = ChatTemplate::parse(template_override.empty() ? std::string_view(template_source_) : template_override);
  if (!parsed) {
    return parsed.error();
  }
  return parsed->render(variables, now, written);
}

Result<std::vector<int32_t>> TextModel::chat_prompt(const Json& context, std::string_view template_override) const {
  Json variables = context;
  if (variables.is_object() && !variables.contains("add_generation_prompt")) {
    variables["add_generation_prompt"] = true;
  }
  // Text of a message never becomes a control token. Both renderings see the same time.
  const std::string now = jinja::local_time_now();
  Result<GuardedPrompt> prompt = guarded_prompt(
      tokenizer_->special_tokens(), [&](const TextChange& written) { return render(variables, template_override, now, &written); });
  if (!prompt) {
    return prompt.error();
  }
  const Vocab& vocab = tokenizer_->vocab();
  const std::string bos = role_piece(vocab.bos());
  const bool barred = !prompt->barred.empty() && prompt->barred.front() == 0;
  const bool has_bos = !bos.empty() && !barred && prompt->text.starts_with(bos);
  return tokenizer_->encode(prompt->text, {.parse_special = true, .add_bos = vocab.add_bos() && !has_bos, .barred = prompt->barred});
}

std::vector<int32_t> TextModel::raw_prompt(std::string_view text) const {
  const Vocab& vocab = tokenizer_->vocab();
  const std::string bos = role_piece(vocab.bos());
  const bool has_bos = !bos.empty() && text.starts_with(bos);
  return tokenizer_->encode(text, {.parse_special = true, .add_bos = vocab.add_bos() && !has_bos});
}

std::optional<int32_t> TextModel::prompt_bos() const { return tokenizer_->vocab().add_bos() ? tokenizer_->vocab().bos() : std::nullopt; }

TurnEnds TextModel::turn_ends(std::string_view template_override) const {
  return template_override.empty() ? turn_ends_ : find_turn_ends(template_override);
}

TurnEnds TextModel::find_turn_ends(std::string_view template_override) const {
  const Vocab& vocab = tokenizer_->vocab();
  TurnEnds ends;
  for (const std::string_view opener : kTurnOpeners) {
    const std::optional<int32_t> id = vocab.find(opener);
    if (id && (vocab.kind(*id) == TokenKind::kControl || vocab.kind(*id) == TokenKind::kUserDefined)) {
      ends.tokens.push_back(*id);
    }
  }
  std::vector<int32_t> plain;  // a run of tokens that are ordinary text
  const auto end_run = [this, &plain, &ends] {
    const std::string marker = leading_marker(tokenizer_->decode(plain, true));
    if (!marker.empty()) {
      ends.texts.push_back(marker);
    }
    plain.clear();
  };
  for (const int32_t id : tokenize(between_turns(template_override), true, false)) {
    if (vocab.kind(id) == TokenKind::kControl) {
      end_run();
      if (!vocab.frames_message(id)) ends.tokens.push_back(id);
    } else {
      plain.push_back(id);
    }
  }
  end_run();
  heap_sort(ends.tokens.begin(), ends.tokens.end());
  ends.tokens.erase(std::unique(ends.tokens.begin(), ends.tokens.end()), ends.tokens.end());
  return ends;
}

std::string TextModel::between_turns(std::string_view template_override) const {
  constexpr std::string_view kAnswer = "tessera-answer", kQuestion = "tessera-question";
  Json context;
  context["add_generation_prompt"] = false;
  Json& messages = context["messages"];
  for (const std::string_view content : {std::string_view("tessera-first"), kAnswer, kQuestion}) {
    Json message;
    message["role"] = content == kAnswer ? "assistant" : "user";
    message["content"] = content;
    messages.push_back(std::move(message));
  }
  const Result<std::string> rendered = render(context, template_override);
  if (!rendered) {
    return "";
  }
  const std::string& text = rendered.value();
  const size_t answer = text.find(kAnswer);
  const size_t question = answer == std::string::npos ? answer : text.find(kQuestion, answer);
  if (question == std::string::npos) {
    return "";
  }
  const size_t begin = answer + kAnswer.size();
  return text.substr(begin, question - begin);
}

Result<std::string> render_template(std::string_view source, const Json& context, std::string_view now) {
  Result<ChatTemplate> parsed = ChatTemplate::parse(source);
  if (!parsed) {
    return parsed.error();
  }
  return parsed->render(context, now);
}

Result<std::string> named_chat_template(std::string_view name) { return builtin_chat_template(name); }

Result<std::string> chat_template_source(std::string_view given, std::string_view field) {
  std::string where(field);
  if (given.find("{{") == std::string_view::npos && given.find("{%") == std::string_view::npos) {
    Result<std::string> known = builtin_chat_template(given);
    if (known) {
      return known;
    }
    return Error{ErrorCode::kInvalidArgument, where + ": " + known.error().message, known.error().hint + ", or a Jinja template"};
  }
  const Result<ChatTemplate> parsed = ChatTemplate::parse(given);
  if (!parsed) {
    return Error{parsed.error().code, where + ": " + parsed.error().message, parsed.error().hint};
  }
  return std::string(given);
}

}  // namespace tessera

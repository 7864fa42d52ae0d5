// Owns marking what people wrote, and reading the marks back.
#include "core/text/message_guard.h"

#include "core/base/utf8.h"
#include "nlohmann/json.hpp"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

/// The variables that hold what people wrote.
constexpr const char* kWritten[] = {"messages", "tools", "documents"};

/// A character that begins control tokens, and one that stands for it.
struct Mark {
  std::string original;
  std::string stand_in;
};

/// The number of the mark whose `side` text begins with; marks.size() = none.
size_t mark_at(std::string_view text, const std::vector<Mark>& marks, std::string Mark::* side) {
  size_t i = 0;
  while (i < marks.size() && !text.starts_with(marks[i].*side)) ++i;
  return i;
}

/// JSON text with stand-ins for the marked characters inside its strings: for all, or only where one of `tokens` begins.
std::string marked_json(std::string_view json, const std::vector<Mark>& marks, const SpecialTokens* tokens) {
  std::string marked;
  bool inside = false;
  const auto append = [&](std::string_view text, bool begins_token) {
    for (size_t position = 0; position < text.size();) {
      const std::string_view rest = text.substr(position);
      const size_t mark = inside && (begins_token || tokens == nullptr) ? mark_at(rest, marks, &Mark::original) : marks.size();
      const size_t length = mark < marks.size() ? marks[mark].original.size() : rest[0] == '\\' ? 2 : 1;
      if (rest[0] == '"') inside = !inside;
      marked += mark < marks.size() ? std::string_view(marks[mark].stand_in) : rest.substr(0, length);
      position += length;
      begins_token = false;
    }
  };
  if (tokens == nullptr) {
    append(json, false);
  } else {
    size_t done = 0;  // between fragments there may be spaces that a token eats
    for (const TextFragment& fragment : tokens->split(json, true)) {
      const auto begin = static_cast<size_t>(fragment.text.data() - json.data());
      append(json.substr(done, begin - done), false);
      append(fragment.text, fragment.id >= 0);
      done = begin + fragment.text.size();
    }
    append(json.substr(done), false);
  }
  return marked;
}

GuardedPrompt unmarked(std::string_view text, const std::vector<Mark>& marks) {
  GuardedPrompt prompt;
  for (size_t position = 0; position < text.size();) {
    const size_t mark = mark_at(text.substr(position), marks, &Mark::stand_in);
    if (mark == marks.size()) {
      prompt.text += text[position++];
      continue;
    }
    prompt.barred.push_back(prompt.text.size());
    prompt.text += marks[mark].original;
    position += marks[mark].stand_in.size();
  }
  return prompt;
}

/// A mark for each character of `firsts` with a stand-in that occurs in none of the two texts. Braille patterns first, because
/// to templates they are what brackets are: printable, no letters, no spaces; then plane 16, which a Python repr would escape.
Result<std::vector<Mark>> make_marks(std::string_view firsts, std::string_view text, std::string_view json) {
  std::vector<Mark> marks;
  for (uint32_t c = 0x2801; !firsts.empty(); c = c == 0x28ff ? 0x100000 : c + 1) {
    if (c > 0x100fff) {
      return Error{ErrorCode::kInvalidArgument, "messages use all Braille patterns and all of U+100000 to U+100FFF",
                   "leave some of them out"};
    }
    std::string stand_in;
    append_utf8(stand_in, c);
    if (text.find(stand_in) != std::string_view::npos || json.find(stand_in) != std::string_view::npos) continue;
    const size_t length = decode_utf8(firsts).length;
    // No control token begins with a quote or a backslash; in JSON they are something else.
    if (firsts[0] != '"' && firsts[0] != '\\') marks.push_back({std::string(firsts.substr(0, length)), stand_in});
    firsts.remove_prefix(length);
  }
  return marks;
}

}  // namespace

Result<GuardedPrompt> guarded_prompt(const Json& context, const SpecialTokens& tokens, const RenderMessages& render) {
  Result<std::string> plain = render(context);
  if (!plain) return plain.error();
  Json written = Json::object();
  for (const char* name : kWritten) {
    if (context.contains(name)) written[name] = context[name];
  }
  const std::string json = written.dump(-1, ' ', false, Json::error_handler_t::replace);
  Result<std::vector<Mark>> marks = make_marks(tokens.first_characters(), *plain, json);
  if (!marks) return marks.error();
  for (const SpecialTokens* where : {static_cast<const SpecialTokens*>(nullptr), &tokens}) {
    const std::string marked = marked_json(json, *marks, where);
    if (marked == json) break;
    Json variables = context;
    variables.update(Json::parse(marked, nullptr, false));
    Result<std::string> text = render(variables);
    if (!text && where != nullptr) return text.error();
    if (!text) continue;
    GuardedPrompt prompt = unmarked(*text, *marks);
    if (where != nullptr || prompt.text == *plain) return prompt;
  }
  return GuardedPrompt{std::move(*plain), {}};
}

}  // namespace tessera

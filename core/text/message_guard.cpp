// Owns marking what people wrote, and reading the marks back.
#include "core/text/message_guard.h"

#include <map>
#include <optional>

#include "core/base/utf8.h"
#include "core/text/reasoning.h"

namespace tessera {
namespace {

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

/// `text` with stand-ins for the marked characters: for all, or only where one of `tokens` begins.
std::string marked(std::string_view text, const std::vector<Mark>& marks, const SpecialTokens* tokens) {
  std::vector<TextFragment> fragments;
  if (tokens != nullptr) fragments = tokens->split(text, true);
  std::string result;
  size_t next = 0;  // fragment
  for (size_t position = 0; position < text.size();) {
    while (next < fragments.size() && (fragments[next].id < 0 || fragments[next].text.data() < text.data() + position)) ++next;
    const bool wanted = tokens == nullptr || (next < fragments.size() && fragments[next].text.data() == text.data() + position);
    const size_t mark = wanted ? mark_at(text.substr(position), marks, &Mark::original) : marks.size();
    result += mark < marks.size() ? std::string_view(marks[mark].stand_in) : text.substr(position, 1);
    position += mark < marks.size() ? marks[mark].original.size() : 1;
  }
  return result;
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

/// A mark for each character of `firsts` with a stand-in that occurs neither in the prompt nor in what people wrote. Braille patterns
/// first, because to templates they are what brackets are: printable, no letters, no spaces; then plane 16, which a Python repr would
/// escape.
Result<std::vector<Mark>> make_marks(std::string_view firsts, std::string_view prompt, std::string_view written) {
  std::vector<Mark> marks;
  for (uint32_t c = 0x2801; !firsts.empty(); c = c == 0x28ff ? 0x100000 : c + 1) {
    if (c > 0x100fff) {
      return Error{ErrorCode::kInvalidArgument, "messages use all Braille patterns and all of U+100000 to U+100FFF",
                   "leave some of them out"};
    }
    std::string stand_in;
    append_utf8(stand_in, c);
    if (prompt.find(stand_in) != std::string_view::npos || written.find(stand_in) != std::string_view::npos) continue;
    const size_t length = decode_utf8(firsts).length;
    marks.push_back({std::string(firsts.substr(0, length)), stand_in});
    firsts.remove_prefix(length);
  }
  return marks;
}

/// How often each token occurs that people must not write. Not the tags of reasoning: where a template looks for them in what it is given,
/// it writes them anew, and where they are barred it finds none.
std::map<std::string, int> markers_of(const GuardedPrompt& prompt, const SpecialTokens& tokens) {
  constexpr size_t kFirst[] = {0};
  std::map<std::string, int> counts;
  for (const TextFragment& fragment : tokens.split(prompt.text, true, prompt.barred)) {
    if (fragment.id < 0 || is_reasoning_tag(fragment.text)) continue;
    if (tokens.split(fragment.text, true, kFirst).front().id != fragment.id) ++counts[std::string(fragment.text)];
  }
  return counts;
}

/// `prompt`, unless the template made markers of what people wrote (by taking out what stood between their halves): `safe`, the same with
/// all of that barred, has fewer.
Result<GuardedPrompt> without_new_markers(GuardedPrompt prompt, const std::optional<GuardedPrompt>& safe, const SpecialTokens& tokens) {
  if (!safe) return prompt;
  std::map<std::string, int> expected = markers_of(*safe, tokens);
  for (const auto& [marker, count] : markers_of(prompt, tokens)) {
    if (count > expected[marker]) {
      return Error{ErrorCode::kInvalidArgument, "messages: the chat template makes a control token \"" + marker + "\" of their text",
                   "leave out the text that becomes a control token when the template has taken out a part of it"};
    }
  }
  return prompt;
}

}  // namespace

Result<GuardedPrompt> guarded_prompt(const SpecialTokens& tokens, const RenderMessages& render) {
  std::string written;
  Result<std::string> plain = render([&](const std::string& text) {
    written.append(text).push_back('\n');
    return text;
  });
  if (!plain) return plain.error();
  Result<std::vector<Mark>> marks = make_marks(tokens.first_characters(), *plain, written);
  if (!marks) return marks.error();
  if (marked(written, *marks, nullptr) == written) return GuardedPrompt{std::move(*plain), {}};
  std::optional<GuardedPrompt> safe;
  for (const SpecialTokens* where : {static_cast<const SpecialTokens*>(nullptr), &tokens}) {
    bool changed = false;
    Result<std::string> text = render([&](const std::string& given) {
      std::string result = marked(given, *marks, where);
      changed |= result != given;
      return result;
    });
    if (!changed) break;
    if (!text && where != nullptr) return text.error();
    if (!text) continue;
    GuardedPrompt prompt = unmarked(*text, *marks);
    if (where != nullptr) return without_new_markers(std::move(prompt), safe, tokens);
    if (prompt.text == *plain) return prompt;
    safe = std::move(prompt);
  }
  return without_new_markers({std::move(*plain), {}}, safe, tokens);
}

}  // namespace tessera

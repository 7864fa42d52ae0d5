// Owns marking what people wrote, and reading the marks back.
#include "core/text/message_guard.h"

#include <algorithm>
#include <set>

#include "core/base/utf8.h"
#include "nlohmann/json.hpp"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;
using Change = std::function<std::string(const std::string&)>;

// What stands for a marked character: a sign of no text at hand. Braille patterns first, because to templates they are what
// brackets are: printable, no letters, no spaces. Then plane 16, which a Python repr would escape.
constexpr uint32_t kBrailleFirst = 0x2801;
constexpr uint32_t kBrailleLast = 0x28ff;
constexpr uint32_t kPrivateFirst = 0x100000;
constexpr uint32_t kPrivateLast = 0x10fffd;

bool may_stand_in(uint32_t c) { return (c >= kBrailleFirst && c <= kBrailleLast) || (c >= kPrivateFirst && c <= kPrivateLast); }

/// The variables that hold what people wrote.
constexpr const char* kWritten[] = {"messages", "tools", "documents"};

/// A copy with every text changed, keys included.
Json changed(const Json& value, const Change& change) {
  if (value.is_string()) return change(value.get_ref<const std::string&>());
  Json copy = value.is_object() ? Json::object() : value.is_array() ? Json::array() : value;
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) copy[change(key)] = changed(member, change);
  } else if (value.is_array()) {
    for (const Json& item : value) copy.push_back(changed(item, change));
  }
  return copy;
}

Json with_written(const Json& context, const Change& change) {
  Json copy = context;
  for (const char* name : kWritten) {
    if (context.contains(name)) copy[name] = changed(context[name], change);
  }
  return copy;
}

template <class Visit>
void for_each_character(std::string_view text, const Visit& visit) {
  for (size_t position = 0; position < text.size();) {
    const Utf8Step step = decode_utf8(text.substr(position));
    visit(position, step);
    position += step.length;
  }
}

/// The characters to mark and what stands for each.
struct Marks {
  std::vector<uint32_t> originals;  ///< sorted
  std::vector<uint32_t> stand_ins;

  std::string mark(const std::string& text, const std::function<bool(size_t)>& wanted) const {
    std::string marked;
    for_each_character(text, [&](size_t position, const Utf8Step& step) {
      const auto found = std::lower_bound(originals.begin(), originals.end(), step.code_point);
      if (found == originals.end() || *found != step.code_point || !wanted(position)) {
        marked.append(text, position, step.length);
      } else {
        append_utf8(marked, stand_ins[static_cast<size_t>(found - originals.begin())]);
      }
    });
    return marked;
  }

  GuardedPrompt unmark(std::string_view text) const {
    GuardedPrompt prompt;
    for_each_character(text, [&](size_t position, const Utf8Step& step) {
      const auto found = may_stand_in(step.code_point) ? std::find(stand_ins.begin(), stand_ins.end(), step.code_point) : stand_ins.end();
      if (found == stand_ins.end()) {
        prompt.text.append(text.substr(position, step.length));
      } else {
        prompt.barred.push_back(prompt.text.size());
        append_utf8(prompt.text, originals[static_cast<size_t>(found - stand_ins.begin())]);
      }
    });
    return prompt;
  }
};

}  // namespace

Result<GuardedPrompt> guarded_prompt(const Json& context, const SpecialTokens& tokens, const RenderMessages& render) {
  Result<std::string> plain = render(context);
  if (!plain) return plain.error();
  Marks marks{tokens.first_characters(), {}};
  bool marked = false;
  std::set<uint32_t> used;
  const auto look = [&](const std::string& text) {
    for_each_character(text, [&](size_t, const Utf8Step& step) {
      if (may_stand_in(step.code_point)) used.insert(step.code_point);
      marked |= std::binary_search(marks.originals.begin(), marks.originals.end(), step.code_point);
    });
    return std::string();
  };
  look(*plain);
  marked = false;
  with_written(context, look);
  if (!marked) return GuardedPrompt{std::move(*plain), {}};
  for (uint32_t c = kBrailleFirst; marks.stand_ins.size() < marks.originals.size(); c = c == kBrailleLast ? kPrivateFirst : c + 1) {
    if (c > kPrivateLast) {
      return Error{ErrorCode::kInvalidArgument, "messages use all private characters from U+100000 on", "leave some of them out"};
    }
    if (!used.contains(c)) marks.stand_ins.push_back(c);
  }

  const auto everywhere = [&](const std::string& text) { return marks.mark(text, [](size_t) { return true; }); };
  if (Result<std::string> text = render(with_written(context, everywhere))) {
    GuardedPrompt prompt = marks.unmark(*text);
    if (prompt.text == *plain) return prompt;
  }
  marked = false;
  const auto at_tokens = [&](const std::string& text) {
    std::set<size_t> begins;
    for (const TextFragment& fragment : tokens.split(text, true)) {
      if (fragment.id >= 0) begins.insert(static_cast<size_t>(fragment.text.data() - text.data()));
    }
    marked |= !begins.empty();
    return marks.mark(text, [&](size_t position) { return begins.contains(position); });
  };
  const Json narrow = with_written(context, at_tokens);
  if (!marked) return GuardedPrompt{std::move(*plain), {}};
  Result<std::string> text = render(narrow);
  if (!text) return text.error();
  return marks.unmark(*text);
}

}  // namespace tessera

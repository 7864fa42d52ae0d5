// Owns the search for tags in a stream.
#include "core/text/reasoning.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

struct Tags {
  std::string_view opening;
  std::string_view closing;
};
constexpr Tags kTags[] = {
    {"<think>", "</think>"}, {"<thinking>", "</thinking>"}, {"<seed:think>", "</seed:think>"}, {"[THINK]", "[/THINK]"}};

std::string_view without_blank_end(std::string_view text) { return text.substr(0, text.find_last_not_of(kBlank) + 1); }

void drop_blank_start(std::string& text) { text.erase(0, std::min(text.find_first_not_of(kBlank), text.size())); }

/// Length of the longest end of `text` that `tag` begins with.
size_t begun_tag(std::string_view text, std::string_view tag) {
  size_t length = std::min(text.size(), tag.size() - 1);
  while (!tag.starts_with(text.substr(text.size() - length))) --length;
  return length;
}

}  // namespace

bool is_reasoning_tag(std::string_view text) {
  return std::ranges::any_of(kTags, [&](const Tags& tags) { return text == tags.opening || text == tags.closing; });
}

ReasoningSplitter::ReasoningSplitter(std::string_view prompt) {
  const std::string_view written = without_blank_end(prompt);
  for (const Tags& tags : kTags) {
    if (!written.ends_with(tags.opening)) continue;
    state_ = State::kReasoning;
    closing_ = tags.closing;
    at_start_ = true;
  }
}

/// Decides whether the answer begins with reasoning; false while it is open.
bool ReasoningSplitter::find_opening() {
  const size_t begin = pending_.find_first_not_of(kBlank);
  if (begin == std::string::npos) return false;
  const std::string_view text = std::string_view(pending_).substr(begin);
  for (const Tags& tags : kTags) {
    if (text.starts_with(tags.opening)) {
      pending_.erase(0, begin + tags.opening.size());
      state_ = State::kReasoning;
      closing_ = tags.closing;
      at_start_ = true;
      return true;
    }
    if (tags.opening.starts_with(text)) return false;
  }
  state_ = State::kAnswer;
  return true;
}

/// Moves what is certainly reasoning; true when its end was found.
bool ReasoningSplitter::take_reasoning(ReasoningParts& parts) {
  if (at_start_) drop_blank_start(pending_);
  const std::string_view text = pending_;
  const size_t end = text.find(closing_);
  const size_t certain = end == std::string_view::npos ? text.size() - begun_tag(text, closing_) : end;
  const std::string_view reasoning = without_blank_end(text.substr(0, certain));
  parts.reasoning += reasoning;
  at_start_ = at_start_ && reasoning.empty();
  if (end == std::string_view::npos) {
    pending_.erase(0, reasoning.size());
    return false;
  }
  pending_.erase(0, end + closing_.size());
  state_ = State::kAnswer;
  at_start_ = true;
  return true;
}

ReasoningParts ReasoningSplitter::push(std::string_view text) {
  pending_ += text;
  ReasoningParts parts;
  if (state_ == State::kStart && !find_opening()) return parts;
  if (state_ == State::kReasoning && !take_reasoning(parts)) return parts;
  if (at_start_) drop_blank_start(pending_);
  at_start_ = at_start_ && pending_.empty();
  parts.answer.swap(pending_);
  return parts;
}

ReasoningParts ReasoningSplitter::finish() {
  ReasoningParts parts;
  if (state_ == State::kReasoning) {
    parts.reasoning = without_blank_end(pending_);
  } else {
    parts.answer = pending_;
  }
  pending_.clear();
  return parts;
}

}  // namespace tessera

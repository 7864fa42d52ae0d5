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

// The harmony format.
constexpr std::string_view kAssistant = "<|start|>assistant", kStart = "<|start|>", kChannel = "<|channel|>", kFinal = "<|channel|>final";
constexpr std::string_view kMessage = "<|message|>", kMessageEnd = "<|end|>";

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
  if (written.ends_with(kAssistant)) state_ = State::kHeader;
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

/// Reads what stands before a message's text; false while it is open.
bool ReasoningSplitter::take_header(ReasoningParts& parts) {
  const std::string_view text = pending_;
  const auto may_begin = [text](std::string_view tag) { return text.starts_with(tag) || tag.starts_with(text); };
  const size_t end = text.find(kMessage);
  if (!may_begin(kChannel) && !may_begin(kStart) && !may_begin(kMessage)) {
    state_ = State::kAnswer;  // no message at all
    return true;
  }
  if (end == std::string_view::npos) return false;
  const std::string_view header = text.substr(0, end);
  const bool reasons = header.find(kChannel) != std::string_view::npos && header.find(kFinal) == std::string_view::npos;
  state_ = reasons ? State::kReasoning : State::kAnswer;
  closing_ = kMessageEnd;
  next_ = State::kHeader;
  at_start_ = true;
  if (reasons && has_thought_) parts.reasoning += "\n\n";
  pending_.erase(0, end + kMessage.size());
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
  state_ = next_;
  has_thought_ = has_thought_ || !at_start_;
  at_start_ = true;
  return true;
}

/// One part of what is pending; false when nothing more is certain, or all the rest is the answer.
bool ReasoningSplitter::advance(ReasoningParts& parts) {
  switch (state_) {
    case State::kStart: return find_opening();
    case State::kHeader: return take_header(parts);
    case State::kReasoning: return take_reasoning(parts);
    case State::kAnswer: break;
  }
  return false;
}

ReasoningParts ReasoningSplitter::push(std::string_view text) {
  pending_ += text;
  ReasoningParts parts;
  while (advance(parts)) {
  }
  if (state_ != State::kAnswer) return parts;
  if (at_start_) drop_blank_start(pending_);
  at_start_ = at_start_ && pending_.empty();
  parts.answer.swap(pending_);
  return parts;
}

ReasoningParts ReasoningSplitter::finish() {
  ReasoningParts parts;
  if (state_ == State::kReasoning) {
    parts.reasoning = without_blank_end(pending_);
  } else if (state_ != State::kHeader || !pending_.starts_with("<|")) {
    parts.answer = pending_;
  }
  pending_.clear();
  return parts;
}

}  // namespace tessera

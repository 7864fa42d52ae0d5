// Implements prompt lookup: the last place of every three tokens, and running averages of what guesses bring and cost.
#include "core/engine/prompt_lookup.h"

#include <algorithm>
#include <bit>

namespace tessera {

PromptLookup::PromptLookup(std::span<const int32_t> prompt, int most) : ends_(std::bit_ceil(2 * static_cast<size_t>(std::max(most, 1)))) {
  for (const int32_t token : prompt) add(token);
}

void PromptLookup::accept(int32_t token) {
  judge(token);
  add(token);
  if (guess_ && !judged_) {
    judged_ = guess_;
    right_ = 0;
  }
}

void PromptLookup::add(int32_t token) {
  text_.push_back(token);
  find();
}

/// Looks where the last kLeast tokens stood before, and takes what came then.
void PromptLookup::find() {
  guess_.reset();
  const auto end = static_cast<int>(text_.size());
  if (end < kLeast) return;
  uint64_t hash = 0;
  for (int i = end - kLeast; i < end; ++i) hash = (hash + static_cast<uint32_t>(text_[i])) * 0x9e3779b97f4a7c15u;
  int32_t& place = ends_[(hash >> 32) & (ends_.size() - 1)];
  const int before = place;
  place = end;
  int same = 0;
  while (same < std::min(before, kMost) && text_[before - 1 - same] == text_[end - 1 - same]) ++same;
  if (same < kLeast) return;
  Guess& guess = guess_.emplace();
  guess.level = same == kMost ? 2 : same > kLeast ? 1 : 0;
  for (int i = 0; i < kTokens; ++i) guess.tokens[i] = before + i < end ? text_[before + i] : guess.tokens[before + i - end];
}

/// Compares the guess that is being judged with the token that came.
void PromptLookup::judge(int32_t token) {
  if (!judged_) return;
  const bool right = judged_->tokens[right_] == token;
  if (right) ++right_;
  if (right && right_ < kTokens) return;
  double& usually = usually_right_[judged_->level];
  usually += (right_ - usually) / 4;
  judged_.reset();
}

std::span<const int32_t> PromptLookup::guess() const {
  if (!guess_ || 1 + usually_right_[guess_->level] <= cost_) return {};
  return guess_->tokens;
}

void PromptLookup::took(double milliseconds, bool with_guess) {
  if (!with_guess) {
    alone_ms_ = alone_ms_ == 0 ? milliseconds : alone_ms_ + (milliseconds - alone_ms_) / 8;
    // What cost too much is asked again after a while: other programs, or a first time, may have been the reason.
    if (cost_ > kUsualCost) cost_ += (kUsualCost - cost_) / 64;
  } else if (alone_ms_ > 0) {
    // It cannot cost more than the same tokens one by one, and what another program delayed should not count.
    cost_ += (std::clamp(milliseconds / alone_ms_, 1.0, kTokens + 1.0) - cost_) / 4;
  }
}

}  // namespace tessera

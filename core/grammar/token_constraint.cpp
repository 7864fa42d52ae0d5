#include "core/grammar/token_constraint.h"

#include <algorithm>
#include <limits>

namespace tessera::grammar {
namespace {

// What is kept of masks and states: some 10 MB with the largest vocabularies.
constexpr size_t kMostMasks = 256, kMostStates = 50000, kMostKeptPlaces = 2000000;
// Places that one mask may lead to: what is above takes a second. Objects and lists of schemas take some thousands.
constexpr size_t kMostWork = 5000000;

}  // namespace

TokenConstraint::TokenConstraint(std::shared_ptr<const Automaton> automaton, const TokenTexts& texts, std::vector<int32_t> ends)
    : matcher_(std::move(automaton)), texts_(texts), ends_(std::move(ends)), state_(matcher_.start()) {}

/// Goes through the texts in order: of what a token shares with the one before it the states are known.
TokenConstraint::Mask TokenConstraint::find(bool drops_space) {
  Mask mask((static_cast<size_t>(texts_.count()) + 63) / 64);
  const auto set = [&mask](int32_t id) { mask[static_cast<size_t>(id) / 64] |= uint64_t{1} << (id % 64); };
  std::vector<int> states(texts_.longest() + 1);
  states[0] = state_;
  matcher_.allow(kMostWork);
  size_t alive = 0;  // bytes of the last token that the grammar took
  for (const TokenTexts::Token& token : texts_.tokens()) {
    if (token.shared > alive) continue;  // begins with what it did not take
    const std::string_view text = texts_.text(token);
    for (alive = token.shared; alive < text.size(); ++alive) {
      const auto byte = static_cast<uint8_t>(text[alive]);
      const bool dropped = drops_space && alive == 0 && byte == ' ';
      states[alive + 1] = dropped ? states[0] : matcher_.next(states[alive], byte);
      if (states[alive + 1] == Matcher::kNone) break;
    }
    if (alive == text.size() && !std::binary_search(ends_.begin(), ends_.end(), token.id)) set(token.id);
  }
  if (matcher_.may_end(state_)) {
    for (const int32_t end : ends_) set(end);
  }
  return mask;
}

void TokenConstraint::forget_old() {
  if (matcher_.states() > kMostStates || matcher_.places() > kMostKeptPlaces) {
    state_ = matcher_.forget_others(state_);
  } else if (masks_.size() <= kMostMasks) {
    return;
  }
  masks_.clear();
  mask_places_.clear();
}

const TokenConstraint::Mask& TokenConstraint::mask(bool drops_space) {
  if (drops_space) return spaceless_ = find(true);
  const auto [place, fresh] = mask_places_.emplace(state_, static_cast<int32_t>(masks_.size()));
  if (fresh) masks_.push_back(find(false));
  return masks_[static_cast<size_t>(place->second)];
}

Result<std::span<const float>> TokenConstraint::allowed(std::span<const float> logits, bool drops_space) {
  forget_old();
  const Mask& mask = this->mask(drops_space);
  logits_.assign(logits.size(), -std::numeric_limits<float>::infinity());
  bool any = false;
  for (size_t word = 0; word < mask.size(); ++word) {
    const size_t first = 64 * word, end = std::min(first + 64, logits.size());
    any = any || mask[word] != 0;
    if (mask[word] == ~uint64_t{0} && end == first + 64) {
      std::copy(logits.begin() + static_cast<std::ptrdiff_t>(first), logits.begin() + static_cast<std::ptrdiff_t>(end),
                logits_.begin() + static_cast<std::ptrdiff_t>(first));
      continue;
    }
    for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1) {
      const size_t id = first + static_cast<size_t>(__builtin_ctzll(bits));
      if (id < end) logits_[id] = logits[id];
    }
  }
  if (!any && matcher_.gave_up()) {
    return Error{ErrorCode::kInvalidArgument, "grammar: the answer may be at too many places of it at a time",
                 "write it so that a text fits in fewer ways"};
  }
  if (!any) {
    return Error{ErrorCode::kInvalidArgument, "grammar: no token of this model's vocabulary goes on as it asks here",
                 "allow other characters there"};
  }
  return std::span<const float>(logits_);
}

bool TokenConstraint::accept(int32_t token, std::string_view text, bool drops_space) {
  const Mask& mask = drops_space ? spaceless_ : this->mask(false);
  if (token >= texts_.count() || (mask[static_cast<size_t>(token) / 64] >> (token % 64) & 1) == 0) return false;
  if (std::binary_search(ends_.begin(), ends_.end(), token)) return true;
  if (drops_space && text.starts_with(' ')) text.remove_prefix(1);
  for (const char c : text) state_ = matcher_.next(state_, static_cast<uint8_t>(c));
  return true;
}

}  // namespace tessera::grammar

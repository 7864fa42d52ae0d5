// Owns holding one answer to a grammar: which tokens may come next.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "core/grammar/matcher.h"
#include "core/grammar/token_texts.h"

namespace tessera::grammar {

/// Follows one answer. Not thread-safe.
class TokenConstraint {
 public:
  /// `ends`: tokens that end an answer, sorted; they are allowed where the grammar may end, and nowhere else. `texts` outlives it.
  TokenConstraint(std::shared_ptr<const Automaton> automaton, const TokenTexts& texts, std::vector<int32_t> ends);

  /// `logits` [count of texts] with -infinity for the tokens that may not come next; valid until the next call. `drops_space`: a space at
  /// the beginning of the next token will not be part of the text. kInvalidArgument where no token may come, be it that the
  /// grammar is too ambiguous for all that might (Matcher::gave_up).
  Result<std::span<const float>> allowed(std::span<const float> logits, bool drops_space);

  /// Goes on by a token with its text, with the same `drops_space`; false for one that allowed() did not leave in.
  bool accept(int32_t token, std::string_view text, bool drops_space);

  /// The text is whole and nothing may follow.
  bool over() const { return matcher_.may_end(state_) && !matcher_.may_go_on(state_); }

 private:
  using Mask = std::vector<uint64_t>;  ///< a bit an id
  Mask find(bool drops_space);
  const Mask& mask(bool drops_space);
  void forget_old();

  Matcher matcher_;
  const TokenTexts& texts_;
  std::vector<int32_t> ends_;
  int state_;
  std::vector<Mask> masks_;                            ///< of tokens whose spaces count
  std::unordered_map<uint64_t, int32_t> mask_places_;  ///< in masks_, by state
  Mask spaceless_;                                     ///< where spaces do not count, which is once in an answer
  std::vector<float> logits_;
};

}  // namespace tessera::grammar

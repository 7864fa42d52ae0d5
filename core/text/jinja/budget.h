// Owns the bounds on what one rendering may cost, so that a hostile template ends in an error instead of a hang or a full memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/result.h"
#include "core/text/jinja/message.h"

namespace tessera::jinja {

/// Bounds on one template. The 35 real templates of the tests need at most 10,000 steps, 60 levels of
/// evaluation and 15 of syntax. The stack of the rendering thread must have 512 KB (measured with the hostile templates of the tests).
struct Limits {
  uint64_t steps = 10'000'000;     ///< evaluated nodes, plus one per kBytesPerStep bytes made
  size_t text_bytes = 16u << 20;   ///< of one string; the output is one too
  size_t range_items = 100'000;    ///< of range(), as in Jinja2's sandbox
  size_t source_bytes = 1u << 20;  ///< of the template
  int evaluation_depth = 300;      ///< nested expressions, blocks and macro calls, together
  int value_depth = 100;           ///< nested lists and dicts
  int syntax_depth = 50;           ///< nested brackets or blocks in the source
  static constexpr size_t kBytesPerStep = 16;
};

/// What is left of the limits during one rendering. Exhaustion is sticky: leaf functions may then return anything, because the
/// interpreter checks after each call and turns it into an error.
class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits), steps_left_(limits.steps) {}

  const Limits& limits() const { return limits_; }
  bool exhausted() const { return !reason_.empty(); }
  uint64_t steps_used() const { return limits_.steps - steps_left_; }

  /// False when nothing is left.
  bool charge(uint64_t steps) {
    if (exhausted()) return false;
    if (steps > steps_left_) return exhaust(join_text("the template takes more than ", limits_.steps, " steps"));
    steps_left_ -= steps;
    return true;
  }

  /// Pays for making or reading `bytes`.
  bool charge_bytes(uint64_t bytes) { return charge(1 + bytes / Limits::kBytesPerStep); }

  /// Pays for a text of `count` parts of `each` > 0 bytes; false also when no text may be that long. Their product may be beyond 64 bits.
  bool charge_text(uint64_t count, uint64_t each = 1) {
    if (count > limits_.text_bytes / each) return exhaust(join_text("a text of more than ", limits_.text_bytes, " bytes"));
    return charge_bytes(count * each);
  }

  /// Pays for looking for a text of `needle` bytes in one of `haystack` bytes, which may take their product.
  bool charge_search(uint64_t haystack, uint64_t needle) { return charge(1 + haystack / Limits::kBytesPerStep + haystack * needle / 512); }

  /// Records why nothing is left; always false.
  bool exhaust(std::string reason) {
    if (reason_.empty()) reason_ = std::move(reason);
    return false;
  }

  /// The failure to report when exhausted.
  Error error() const { return {ErrorCode::kTemplate, join_text("limit reached: ", reason_), "the template may be faulty or hostile"}; }

 private:
  Limits limits_;
  uint64_t steps_left_;
  std::string reason_;
};

}  // namespace tessera::jinja

// Owns a grammar as it is written down: rules, each an expression over texts, characters and other rules.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/grammar/code_points.h"

namespace tessera::grammar {

/// A part of a rule: its place in Rules. 0 is the empty text.
using Expression = int32_t;

/// The rules and all their expressions; the first rule is what a text has to be. Who makes expressions keeps them at most kMostDepth
/// deep, so that recursion over them ends.
class Rules {
 public:
  enum class Kind : uint8_t { kText, kOneOf, kSequence, kChoice, kRepeat, kRule };
  static constexpr int kUnbounded = -1;

  struct Part {
    Kind kind = Kind::kSequence;
    std::string text{};                ///< kText: its bytes
    CodePoints characters{};           ///< kOneOf: one of them; none: never matches
    std::vector<Expression> inside{};  ///< kSequence, kChoice: any number; kRepeat: one
    int least = 0;                     ///< kRepeat
    int most = kUnbounded;             ///< kRepeat: at least `least`, or kUnbounded
    int rule = 0;                      ///< kRule: its place
  };
  struct Rule {
    std::string name;
    Expression body = 0;
  };

  Rules() { parts_.push_back({}); }

  Expression text(std::string_view bytes);
  Expression one_of(CodePoints set);
  Expression sequence(std::vector<Expression> inside);
  Expression choice(std::vector<Expression> inside);
  Expression repeat(Expression inside, int least, int most);
  Expression optional(Expression inside) { return repeat(inside, 0, 1); }
  Expression call(int rule);

  /// Adds a rule; gives its place.
  int add(std::string_view name, Expression body = 0);
  void set(int rule, Expression body) { rules_[static_cast<size_t>(rule)].body = body; }

  const Part& part(Expression place) const { return parts_[static_cast<size_t>(place)]; }
  const std::vector<Rule>& rules() const { return rules_; }
  const Rule& rule(int place) const { return rules_[static_cast<size_t>(place)]; }

 private:
  Expression add_part(Part part);

  std::vector<Part> parts_;
  std::vector<Rule> rules_;
};

inline constexpr int kMostDepth = 100;

}  // namespace tessera::grammar

// Owns the rules of JSON's values, which a schema's rules are made of.
// Source: RFC 8259. White space between tokens is at most a blank, or a line break and twenty blanks: without a bound some models write
// nothing else. Digits are bounded likewise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/grammar/rules.h"

namespace tessera::grammar {

/// Expressions of JSON's parts, in `rules`.
class JsonRules {
 public:
  explicit JsonRules(Rules& rules) : rules_(rules) {}

  /// The rules to begin with: root, which is any value until it gets another body, and those that of() names.
  static Rules all();
  /// A call of one of these: value, object and array (of any values), string, character (of a string), number, integer, boolean, null,
  /// space, and comma and colon with the white space around them.
  Expression of(std::string_view name) const;

  /// A character of a string, as it is or as an escape; what has to be an escape is one.
  Expression character(const CodePoints& set);
  /// `inside` in quotes.
  Expression quoted(Expression inside);
  /// Whole numbers from `least` to `most`; a missing one is no bound.
  Expression integers(std::optional<int64_t> least, std::optional<int64_t> most);
  /// A call of a new rule.
  Expression named(std::string_view name, Expression body) { return rules_.call(rules_.add(name, body)); }

 private:
  Expression digit(char first, char last);
  Expression digits_between(const std::string& least, const std::string& most);
  Expression naturals(uint64_t least, std::optional<uint64_t> most);

  Rules& rules_;
};

/// Characters of a string that stand for themselves.
CodePoints plain_characters();

}  // namespace tessera::grammar

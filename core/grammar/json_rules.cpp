#include "core/grammar/json_rules.h"

#include <algorithm>

#include "core/grammar/gbnf.h"

namespace tessera::grammar {

Rules JsonRules::all() {
  constexpr std::string_view kSource = R"(root ::= value
value ::= object | array | string | number | boolean | null
object ::= "{" space (member (comma member)* space)? "}"
member ::= string colon value
array ::= "[" space (value (comma value)* space)? "]"
string ::= "\"" character* "\""
character ::= [^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" ([0-9A-CEFa-cef] hex{3} | [Dd] ([0-7] hex{2} | [89ABab] hex{2} "\\u" [Dd] [C-Fc-f] hex{2})))
hex ::= [0-9A-Fa-f]
number ::= integer ("." [0-9]{1,16})? ([Ee] [+-]? [0-9]{1,3})?
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
boolean ::= "true" | "false"
null ::= "null"
comma ::= space "," space
colon ::= space ":" space
space ::= (" " | "\n" [ \t]{0,20})?
)";
  return parse_gbnf(kSource).value();
}

Expression JsonRules::of(std::string_view name) const {
  const auto& rules = rules_.rules();
  const auto named = std::find_if(rules.begin(), rules.end(), [name](const Rules::Rule& rule) { return rule.name == name; });
  return rules_.call(static_cast<int>(named - rules.begin()));
}

Expression JsonRules::digit(char first, char last) { return rules_.one_of({{static_cast<uint32_t>(first), static_cast<uint32_t>(last)}}); }

Expression JsonRules::quoted(Expression inside) { return rules_.sequence({rules_.text("\""), inside, rules_.text("\"")}); }

CodePoints plain_characters() { return all_but({{0, 0x1f}, {'"', '"'}, {'\\', '\\'}}); }

Expression JsonRules::character(const CodePoints& set) {
  // Which \u a set takes is seldom worth its size; where any character may stand, all do.
  if (all_but(set).empty()) return of("character");
  static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t", kLetters = "\"\\/bfnrt";
  std::vector<Expression> ways = {rules_.one_of(common(set, plain_characters()))};
  for (size_t i = 0; i < kMeanings.size(); ++i) {
    const auto code = static_cast<uint32_t>(kMeanings[i]);
    if (!common(set, {{code, code}}).empty()) ways.push_back(rules_.text(std::string("\\") + kLetters[i]));
  }
  return rules_.choice(std::move(ways));
}

/// Numbers of as many digits from `least` to `most`.
Expression JsonRules::digits_between(const std::string& least, const std::string& most) {
  if (least.empty()) return 0;
  const std::string low = least.substr(1), high = most.substr(1);
  const int rest = static_cast<int>(low.size());
  const std::string zeros(low.size(), '0'), nines(low.size(), '9');
  if (low == zeros && high == nines) return rules_.sequence({digit(least[0], most[0]), rules_.repeat(digit('0', '9'), rest, rest)});
  if (least[0] == most[0]) return rules_.sequence({digit(least[0], least[0]), digits_between(low, high)});
  std::vector<Expression> ways = {rules_.sequence({digit(least[0], least[0]), digits_between(low, nines)}),
                                  rules_.sequence({digit(most[0], most[0]), digits_between(zeros, high)})};
  if (least[0] + 1 < most[0]) {
    ways.push_back(rules_.sequence(
        {digit(static_cast<char>(least[0] + 1), static_cast<char>(most[0] - 1)), rules_.repeat(digit('0', '9'), rest, rest)}));
  }
  return rules_.choice(std::move(ways));
}

/// Numbers without a sign from `least` to `most`.
Expression JsonRules::naturals(uint64_t least, std::optional<uint64_t> most) {
  const std::string low = std::to_string(least);
  const std::string high = most ? std::to_string(*most) : std::string(std::max<size_t>(low.size(), 16), '9');
  std::vector<Expression> ways;
  for (size_t length = low.size(); length <= high.size(); ++length) {
    ways.push_back(digits_between(length == low.size() ? low : "1" + std::string(length - 1, '0'),
                                  length == high.size() ? high : std::string(length, '9')));
  }
  return rules_.choice(std::move(ways));
}

Expression JsonRules::integers(std::optional<int64_t> least, std::optional<int64_t> most) {
  const auto magnitude = [](int64_t value) { return value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value); };
  std::vector<Expression> ways;
  if (!least || *least < 0) {
    const uint64_t smallest = most && *most < 0 ? magnitude(*most) : 1;
    const std::optional<uint64_t> largest = least ? std::optional(magnitude(*least)) : std::nullopt;
    ways.push_back(rules_.sequence({rules_.text("-"), naturals(smallest, largest)}));
  }
  if (!most || *most >= 0) {
    const uint64_t smallest = least && *least > 0 ? magnitude(*least) : 0;
    ways.push_back(naturals(smallest, most ? std::optional(magnitude(*most)) : std::nullopt));
  }
  return rules_.choice(std::move(ways));
}

}  // namespace tessera::grammar

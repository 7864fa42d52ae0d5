// Implements the notation by recursive descent, a method for each of its forms.
#include "core/grammar/gbnf.h"

#include <algorithm>
#include <optional>

#include "core/base/utf8.h"
#include "core/grammar/source_cursor.h"

namespace tessera::grammar {
namespace {

constexpr int kMostRepeats = 100000;
constexpr size_t kMostRules = 5000;  // their names are looked for one by one
constexpr int kMostMarks = 3;        // of repetition behind one element

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/// All methods give something empty after fail().
class GbnfParser : SourceCursor {
 public:
  explicit GbnfParser(std::string_view source) : SourceCursor{source} {}

  Result<Rules> parse() {
    take("\xef\xbb\xbf");  // a byte order mark, as Windows editors write it
    place_of("root", 0);
    skip_space(true);
    while (at_ < source_.size() && ok()) {
      parse_rule();
      skip_space(true);
    }
    for (const Use& use : uses_) {
      if (ok() && defined_[static_cast<size_t>(use.rule)] == 0) {
        fail(use.offset, "rule '" + rules_.rule(use.rule).name + "' is used but not defined");
      }
    }
    if (ok() && defined_[0] == 0) fail(source_.size(), "there is no rule 'root', which is what an answer has to be");
    if (!ok()) return std::move(*failure_);
    return std::move(rules_);
  }

 private:
  struct Use {
    int rule;
    size_t offset;
  };

  bool ok() const { return !failure_.has_value(); }

  void fail(size_t offset, const std::string& message) {
    if (!ok()) return;
    const std::string_view before = source_.substr(0, offset);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t column = 1 + offset - (before.rfind('\n') + 1);
    failure_ =
        Error{ErrorCode::kInvalidArgument, "grammar, line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + message,
              "see docs/grammar.md"};
  }
  void expected(const std::string& what) {
    const std::string found = at_ < source_.size() ? "'" + std::string(source_.substr(at_, decode_utf8(source_.substr(at_)).length)) + "'"
                                                   : std::string("the end");
    fail(at_, "found " + found + ", expected " + what);
  }

  /// Blanks and comments; line breaks only where a rule may go on behind them.
  void skip_space(bool line_breaks) {
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == '#') {
        at_ = std::min(source_.find('\n', at_), source_.size());
      } else if (c == ' ' || c == '\t' || (line_breaks && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view name() {
    const size_t start = at_;
    while (at_ < source_.size() && is_name_character(source_[at_])) ++at_;
    if (at_ == start) expected("the name of a rule");
    return source_.substr(start, at_ - start);
  }

  int place_of(std::string_view name, size_t offset) {
    const auto& rules = rules_.rules();
    const auto known = std::find_if(rules.begin(), rules.end(), [name](const Rules::Rule& rule) { return rule.name == name; });
    auto place = static_cast<int>(known - rules.begin());
    if (known == rules.end()) {
      place = rules_.add(name);
      defined_.push_back(0);
      if (defined_.size() > kMostRules) fail(at_, "more than " + std::to_string(kMostRules) + " rules");
    }
    if (offset > 0) uses_.push_back({place, offset});
    return place;
  }

  void parse_rule() {
    const size_t start = at_;
    const auto place = static_cast<size_t>(place_of(name(), 0));
    skip_space(false);
    if (ok() && !take("::=")) return expected("'::='");
    skip_space(true);
    if (ok() && defined_[place] != 0) return fail(start, "rule '" + rules_.rule(static_cast<int>(place)).name + "' is defined twice");
    Expression body = alternatives(0);
    if (at_ < source_.size() && source_[at_] != '\n' && source_[at_] != '\r') return expected("'|' or the end of the rule");
    if (!ok()) return;
    rules_.set(static_cast<int>(place), body);
    defined_[place] = 1;
  }

  /// `depth`: groups around it.
  Expression alternatives(int depth) {
    if (depth > kMostDepth) {
      fail(at_, "more than " + std::to_string(kMostDepth) + " groups in one another");
      return {};
    }
    std::vector<Expression> parts;
    do {
      skip_space(true);
      parts.push_back(elements(depth));
    } while (ok() && take("|"));
    return rules_.choice(std::move(parts));
  }

  Expression elements(int depth) {
    std::vector<Expression> parts;
    while (ok() && at_ < source_.size()) {
      const char c = source_[at_];
      if (c == '|' || c == ')' || c == '\n' || c == '\r') break;
      parts.push_back(repetition(element(depth)));
      skip_space(depth > 0);
    }
    return rules_.sequence(std::move(parts));
  }

  Expression element(int depth) {
    if (take("\"")) return literal();
    if (take("[")) return character_class();
    if (take(".")) return rules_.one_of(all_but({}));
    if (take("(")) {
      skip_space(true);
      Expression group = alternatives(depth + 1);
      if (ok() && !take(")")) expected("')'");
      return group;
    }
    if (next_is("<") || next_is("!")) {
      fail(at_, "tokens in a grammar (<...>) are not supported: write the text that they stand for");
      return {};
    }
    const size_t start = at_;
    if (!is_name_character(source_[at_])) {
      expected("a text in quotes, a class in brackets, '.', a group or the name of a rule");
      return {};
    }
    return rules_.call(place_of(name(), start));
  }

  Expression repetition(Expression part) {
    for (int marks = 0; ok(); ++marks) {
      skip_blanks();
      if (marks == kMostMarks && (next_is("*") || next_is("+") || next_is("?") || next_is("{"))) {
        fail(at_, "more than " + std::to_string(kMostMarks) + " repetitions of one another");
      } else if (take("*")) {
        part = rules_.repeat(part, 0, Rules::kUnbounded);
      } else if (take("+")) {
        part = rules_.repeat(part, 1, Rules::kUnbounded);
      } else if (take("?")) {
        part = rules_.optional(part);
      } else if (take("{")) {
        part = counted(part);
      } else {
        break;
      }
    }
    return part;
  }

  void skip_blanks() {
    while (next_is(" ") || next_is("\t")) ++at_;
  }

  Expression counted(Expression part) {
    const size_t start = at_;
    skip_blanks();
    const int least = number();
    skip_blanks();
    int most = least;
    if (take(",")) {
      skip_blanks();
      most = next_is("}") ? Rules::kUnbounded : number();
      skip_blanks();
    }
    if (ok() && !take("}")) expected("'}'");
    if (ok() && most != Rules::kUnbounded && most < least) fail(start, "the most repetitions are fewer than the least");
    return rules_.repeat(part, least, most);
  }

  int number() {
    const size_t start = at_;
    const int value = take_number(kMostRepeats);
    if (value < 0) expected("a number of repetitions");
    if (value > kMostRepeats) fail(start, "more than " + std::to_string(kMostRepeats) + " repetitions");
    return value;
  }

  Expression literal() {
    std::string bytes;
    while (ok() && !take("\"")) append_utf8(bytes, character("'\"'"));
    return rules_.text(bytes);
  }

  Expression character_class() {
    const bool negated = take("^");
    std::vector<CodePointRange> ranges;
    while (ok() && !take("]")) {
      const size_t start = at_;
      const uint32_t first = character("']'");
      uint32_t last = first;
      if (next_is("-") && !next_is("-]")) {
        ++at_;
        last = character("']'");
      }
      if (ok() && last < first) fail(start, "the range ends before it begins");
      ranges.push_back({first, last});
    }
    CodePoints set = united(std::move(ranges));
    if (negated) set = all_but(set);
    if (set.empty()) fail(at_ - 1, "the class has no character");
    return rules_.one_of(std::move(set));
  }

  /// One character of a text or a class, or an escape; `end` is what closes them.
  uint32_t character(const std::string& end) {
    if (at_ == source_.size() || source_[at_] == '\n') {
      expected(end);
      return 0;
    }
    if (take("\\")) return escape();
    const Utf8Step step = decode_utf8(source_.substr(at_));
    if (step.kind != Utf8Step::Kind::kValid) fail(at_, "this is not UTF-8");
    at_ += step.length;
    return step.code_point;
  }

  uint32_t escape() {
    static constexpr std::pair<char, int> kHex[] = {{'x', 2}, {'u', 4}, {'U', 8}};
    static constexpr std::pair<char, char> kPlain[] = {{'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'\\', '\\'}, {'"', '"'},
                                                       {'[', '['},  {']', ']'},  {'-', '-'},  {'^', '^'}};
    const char c = at_ < source_.size() ? source_[at_] : '\0';
    for (const auto& [letter, digits] : kHex) {
      if (c == letter) {
        ++at_;
        return hex(digits);
      }
    }
    for (const auto& [letter, meaning] : kPlain) {
      if (c == letter) {
        ++at_;
        return static_cast<uint8_t>(meaning);
      }
    }
    expected(R"(one of n r t \ " [ ] - ^ x u U behind '\')");
    return 0;
  }

  uint32_t hex(int digits) {
    const size_t start = at_;
    const std::optional<uint32_t> found = take_hex(digits);
    if (!found) expected(std::to_string(digits) + " hexadecimal digits");
    const uint32_t value = found.value_or(0);
    if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) fail(start, "this is no Unicode character");
    return value;
  }

  Rules rules_;
  std::vector<uint8_t> defined_;  ///< by rule
  std::vector<Use> uses_;
  std::optional<Error> failure_;
};

}  // namespace

Result<Rules> parse_gbnf(std::string_view source) { return GbnfParser(source).parse(); }

}  // namespace tessera::grammar

// Implements patterns by recursive descent over their ECMA-262 syntax.
#include "core/grammar/pattern.h"

#include <algorithm>
#include <optional>
#include <string>

#include "core/base/utf8.h"
#include "core/grammar/json_rules.h"
#include "core/grammar/source_cursor.h"

namespace tessera::grammar {
namespace {

constexpr int kMostRepeats = 10000;

CodePoints lone(uint32_t c) { return {{c, c}}; }

/// The set that \d, \w or \s is; nothing for another letter.
std::optional<CodePoints> named_class(char letter) {
  switch (letter) {
    case 'd': return CodePoints{{'0', '9'}};
    case 'w': return CodePoints{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    case 's':
      return CodePoints{{9, 13},          {32, 32},         {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
                        {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
    case 'D': return all_but(*named_class('d'));
    case 'W': return all_but(*named_class('w'));
    case 'S': return all_but(*named_class('s'));
    default: return std::nullopt;
  }
}

/// All methods give something empty after fail().
class PatternParser : SourceCursor {
 public:
  PatternParser(std::string_view source, Rules& rules) : SourceCursor{source}, rules_(rules), json_(rules) {}

  Result<Expression> parse() {
    const Expression whole = alternatives(0);
    if (!failure_ && at_ < source_.size()) fail(ErrorCode::kInvalidArgument, "found ')' without '('");
    if (failure_) return std::move(*failure_);
    return whole;
  }

 private:
  void fail(ErrorCode code, const std::string& message) {
    if (!failure_) failure_ = Error{code, "pattern, byte " + std::to_string(at_) + ": " + message, ""};
  }

  Expression alternatives(int depth) {
    if (depth > kMostDepth) fail(ErrorCode::kInvalidArgument, "more than " + std::to_string(kMostDepth) + " groups in one another");
    std::vector<Expression> parts;
    do {
      parts.push_back(alternative(depth));
    } while (!failure_ && take("|"));
    return rules_.choice(std::move(parts));
  }

  /// Outside of groups what no anchor holds may have anything in front of it and behind it.
  Expression alternative(int depth) {
    const Expression anything = rules_.repeat(json_.character(all_but({})), 0, Rules::kUnbounded);
    std::vector<Expression> parts;
    if (!take("^") && depth == 0) parts.push_back(anything);
    bool anchored = false;
    while (!failure_ && at_ < source_.size() && !next_is("|") && !next_is(")")) {
      if (take("$")) {
        anchored = true;
        if (at_ < source_.size() && !next_is("|") && !next_is(")")) fail(ErrorCode::kUnsupported, "'$' stands before the end");
        if (depth > 0) fail(ErrorCode::kUnsupported, "'$' stands in a group");
        break;
      }
      parts.push_back(repetition(atom(depth)));
    }
    if (!anchored && depth == 0) parts.push_back(anything);
    return rules_.sequence(std::move(parts));
  }

  Expression atom(int depth) {
    if (take("(")) {
      if (next_is("?") && !take("?:")) fail(ErrorCode::kUnsupported, "only (...) and (?:...) are supported");
      if (next_is("^")) fail(ErrorCode::kUnsupported, "'^' stands in a group");
      const Expression group = failure_ ? 0 : alternatives(depth + 1);
      if (!failure_ && !take(")")) fail(ErrorCode::kInvalidArgument, "the group has no ')'");
      return group;
    }
    if (take("[")) return json_.character(bracketed());
    if (take(".")) return json_.character(all_but({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}));
    if (next_is("^")) fail(ErrorCode::kUnsupported, "'^' stands behind the beginning");
    for (const std::string_view sign : {"*", "+", "?", "{"}) {
      if (next_is(sign)) fail(ErrorCode::kInvalidArgument, "nothing stands before '" + std::string(sign) + "'");
    }
    return json_.character(character());
  }

  /// The set of one character, or of an escape that stands for several.
  CodePoints character() {
    if (take("\\")) return escape();
    const Utf8Step step = decode_utf8(source_.substr(at_));
    at_ += step.length;
    return lone(step.code_point);
  }

  CodePoints escape() {
    const char c = at_ < source_.size() ? source_[at_] : '\0';
    if (std::optional<CodePoints> set = named_class(c)) {
      ++at_;
      return std::move(*set);
    }
    static constexpr std::pair<char, char> kControls[] = {{'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'f', '\f'}, {'v', '\v'}};
    for (const auto& [letter, meaning] : kControls) {
      if (c == letter) {
        ++at_;
        return lone(static_cast<uint32_t>(meaning));
      }
    }
    if (take("u")) return lone(utf16());
    if (take("x")) return lone(hex(2));
    const bool sign = c > ' ' && c < '\x7f' && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z');
    if (!sign) {
      fail(ErrorCode::kUnsupported, "this escape is not supported");
      return {};
    }
    ++at_;
    return lone(static_cast<uint32_t>(c));
  }

  /// Four digits, or a pair of surrogates.
  uint32_t utf16() {
    const uint32_t first = hex(4);
    if (first < 0xd800 || first > 0xdfff) return first;
    const uint32_t second = first < 0xdc00 && take("\\u") ? hex(4) : 0;
    if (second < 0xdc00 || second > 0xdfff) fail(ErrorCode::kInvalidArgument, "half of a surrogate pair");
    return 0x10000 + ((first & 0x3ff) << 10 | (second & 0x3ff));
  }

  uint32_t hex(int digits) {
    const std::optional<uint32_t> value = take_hex(digits);
    if (!value) fail(ErrorCode::kInvalidArgument, "expected " + std::to_string(digits) + " hexadecimal digits");
    return value.value_or(0);
  }

  CodePoints bracketed() {
    const bool negated = take("^");
    std::vector<CodePointRange> ranges;
    while (!failure_ && !take("]")) {
      if (at_ == source_.size()) {
        fail(ErrorCode::kInvalidArgument, "the class has no ']'");
        break;
      }
      CodePoints set = character();
      const bool alone = set.size() == 1 && set[0].first == set[0].last;
      if (alone && next_is("-") && !next_is("-]")) {
        ++at_;
        const CodePoints last = at_ < source_.size() ? character() : CodePoints{};
        if (last.size() != 1 || last[0].first != last[0].last || last[0].first < set[0].first) {
          fail(ErrorCode::kInvalidArgument, "the range has no end, or one before its beginning");
          break;
        }
        set[0].last = last[0].first;
      }
      ranges.insert(ranges.end(), set.begin(), set.end());
    }
    const CodePoints set = united(std::move(ranges));
    if (set.empty() && !negated) fail(ErrorCode::kInvalidArgument, "the class has no character");
    return negated ? all_but(set) : set;
  }

  Expression repetition(Expression part) {
    int least = 1, most = 1;
    if (take("*")) {
      least = 0, most = Rules::kUnbounded;
    } else if (take("+")) {
      most = Rules::kUnbounded;
    } else if (take("?")) {
      least = 0;
    } else if (take("{")) {
      most = least = number();
      if (take(",")) most = next_is("}") ? Rules::kUnbounded : number();
      if (!failure_ && !take("}")) fail(ErrorCode::kInvalidArgument, "the repetition has no '}'");
      if (most != Rules::kUnbounded && most < least) fail(ErrorCode::kInvalidArgument, "the most repetitions are fewer than the least");
    } else {
      return part;
    }
    take("?");  // lazy: the same strings
    return rules_.repeat(part, least, most);
  }

  int number() {
    const int value = take_number(kMostRepeats);
    if (value < 0 || value > kMostRepeats) {
      fail(ErrorCode::kInvalidArgument, "expected a number of repetitions up to " + std::to_string(kMostRepeats));
    }
    return value;
  }

  Rules& rules_;
  JsonRules json_;
  std::optional<Error> failure_;
};

}  // namespace

Result<Expression> string_pattern(std::string_view pattern, Rules& rules) { return PatternParser(pattern, rules).parse(); }

std::string format_pattern(std::string_view format) {
  const std::string date = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])";
  const std::string clock = "([01][0-9]|2[0-3]):[0-5][0-9]";
  const std::string time = clock + ":[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]" + clock + ")";
  const std::string byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
  const std::string label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
  const std::string count = "[0-9]{1,9}";
  const std::pair<std::string_view, std::string> patterns[] = {
      {"date", date},
      {"time", time},
      {"date-time", date + "T" + time},
      {"duration", "P(" + count + "[WDYM]|(" + count + "D)?T" + count + "[HMS])"},
      {"email", "[A-Za-z0-9._+-]{1,64}@" + label + "(\\." + label + "){1,8}"},
      {"hostname", label + "(\\." + label + "){0,8}"},
      {"ipv4", byte + "(\\." + byte + "){3}"},
      {"ipv6", "[0-9a-fA-F]{1,4}(:[0-9a-fA-F]{1,4}){7}"},
      {"uuid", "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"},
  };
  for (const auto& [name, pattern] : patterns) {
    if (name == format) return "^" + pattern + "$";
  }
  return {};
}

}  // namespace tessera::grammar

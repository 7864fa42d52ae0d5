// Tests the notation: what each of its forms means, and where a mistake is told to be.
#include "core/grammar/gbnf.h"

#include "tests/core/grammar/follow.h"

using namespace tessera;
using namespace tessera::testing;

namespace {

std::string check(std::string_view source, std::string_view text) { return verdict(grammar::parse_gbnf(source), text); }
std::string refused(std::string_view source) { return refusal(grammar::parse_gbnf(source)); }

}  // namespace

TEST_CASE("texts, choices, sequences and groups") {
  CHECK(check(R"(root ::= "yes" | "no")", "yes") == "whole");
  CHECK(check(R"(root ::= "yes" | "no")", "ye") == "begun");
  CHECK(check(R"(root ::= "yes" | "no")", "nope") == "no, after 2");
  CHECK(check(R"(root ::= "a" ("b" | "c" "d") "e")", "acde") == "whole");
  CHECK(check(R"(root ::= "a" ("b" | "c" "d") "e")", "ace") == "no, after 2");
  CHECK(check(R"(root ::= "")", "") == "whole");
  CHECK(check(R"(root ::= "a" | )", "") == "may end");
}

TEST_CASE("classes and any character are of whole characters") {
  CHECK(check("root ::= [a-cx]", "b") == "whole");
  CHECK(check("root ::= [a-cx]", "d") == "no, after 0");
  CHECK(check("root ::= [a-]", "-") == "whole");
  CHECK(check("root ::= [^a-z]", "É") == "whole");
  CHECK(check("root ::= [^a-z]", "e") == "no, after 0");
  CHECK(check("root ::= [à-ÿ]+", "éü") == "may end");
  CHECK(check("root ::= [à-ÿ]+", "\xc3") == "begun");
  CHECK(check("root ::= .", "\n") == "whole");
  CHECK(check("root ::= . .", "😀é") == "whole");
  CHECK(check("root ::= .", "\x80") == "no, after 0");
  CHECK(check("root ::= .", "\xed\xa0\x80") == "no, after 1");      // a surrogate
  CHECK(check("root ::= .", "\xf4\x90\x80\x80") == "no, after 1");  // beyond U+10FFFF
  CHECK(check("root ::= .", "\xc0\x80") == "no, after 0");          // too long a form
}

TEST_CASE("repetitions") {
  CHECK(check(R"(root ::= "a"*)", "") == "may end");
  CHECK(check(R"(root ::= "a"+ "b"?)", "aab") == "whole");
  CHECK(check(R"(root ::= "a"+ "b"?)", "b") == "no, after 0");
  CHECK(check(R"(root ::= "ab"{2})", "abab") == "whole");
  CHECK(check(R"(root ::= "a"{2,3})", "aa") == "may end");
  CHECK(check(R"(root ::= "a"{2,3})", "aaaa") == "no, after 3");
  CHECK(check(R"(root ::= "a"{2,})", "aaaaa") == "may end");
  CHECK(check(R"(root ::= ("a"?)* "b")", "aab") == "whole");  // of what may be nothing
  CHECK(check(R"(root ::= [0-9]{ 1 , 2 })", "12") == "whole");
}

TEST_CASE("escapes") {
  CHECK(check(R"(root ::= "\"\\\n\t\x41\u00e9\U0001f600")", "\"\\\n\tA\xc3\xa9\xf0\x9f\x98\x80") == "whole");
  CHECK(check(R"(root ::= [\]\-\^\x30])", "-") == "whole");
  CHECK(check(R"(root ::= [\]\-\^\x30])", "0") == "whole");
  CHECK(refused(R"(root ::= "\q")") == R"(grammar, line 1, column 12: found 'q', expected one of n r t \ " [ ] - ^ x u U behind '\')");
  CHECK(refused(R"(root ::= "\ud800")") == "grammar, line 1, column 13: this is no Unicode character");
}

TEST_CASE("rules over several lines, in any order, with comments") {
  constexpr std::string_view sums =
      "# sums\n"
      "term ::= [0-9]+ | \"(\" expr \")\"\n"
      "root ::= expr   # the answer\n"
      "expr ::= term (\n"
      "    (\"+\" | \"-\") term\n"
      "  )*\n";
  CHECK(check(sums, "1+(23-4)") == "may end");
  CHECK(check(sums, "1+") == "begun");
  CHECK(check(sums, "((1)") == "begun");
  CHECK(check("root ::= \"a\" |\n  \"b\"\r\n", "b") == "whole");
}

TEST_CASE("lists by recursion stay flat") {
  grammar::Matcher matcher(compiled(grammar::parse_gbnf("root ::= item root | item\nitem ::= [a-z] \",\"")));
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "x,";
  CHECK(verdict(matcher, text) == "may end");
  CHECK(matcher.states() < 10);
}

TEST_CASE("mistakes are told with their place") {
  CHECK(refused("") == "grammar, line 1, column 1: there is no rule 'root', which is what an answer has to be");
  CHECK(refused("root ::= \"a") == "grammar, line 1, column 12: found the end, expected '\"'");
  CHECK(refused("root ::= a\n") == "grammar, line 1, column 10: rule 'a' is used but not defined");
  CHECK(refused("root ::= \"a\"\nroot ::= \"b\"") == "grammar, line 2, column 1: rule 'root' is defined twice");
  CHECK(refused("root := \"a\"") == "grammar, line 1, column 6: found ':', expected '::='");
  CHECK(refused("root ::= (\"a\"") == "grammar, line 1, column 14: found the end, expected ')'");
  CHECK(refused("root ::= \"a\")") == "grammar, line 1, column 13: found ')', expected '|' or the end of the rule");
  CHECK(refused("root ::= [z-a]") == "grammar, line 1, column 11: the range ends before it begins");
  CHECK(refused("root ::= \"a\"{3,2}") == "grammar, line 1, column 14: the most repetitions are fewer than the least");
  CHECK(refused("root ::= \"a\"{200000}") == "grammar, line 1, column 14: more than 100000 repetitions");
  CHECK(refused("root ::= \"a\"****") == "grammar, line 1, column 16: more than 3 repetitions of one another");
  CHECK(refused("root ::= \"\xff\"") == "grammar, line 1, column 11: this is not UTF-8");
  CHECK(refused("root ::= <think>") ==
        "grammar, line 1, column 10: tokens in a grammar (<...>) are not supported: write the text that they stand for");
  CHECK(refused("root ::= []") == "grammar, line 1, column 11: the class has no character");
  CHECK(check("\xef\xbb\xbfroot ::= \"a\"", "a") == "whole");  // a byte order mark
  CHECK(refused("root ::= *") ==
        "grammar, line 1, column 10: found '*', expected a text in quotes, a class in brackets, '.', a group or the name of a rule");
  CHECK(refused("root ::= " + std::string(200, '(')).ends_with("more than 100 groups in one another"));
}

TEST_CASE("what would be followed for ever, or is too large, is refused") {
  CHECK(refused("root ::= root \"a\" | \"b\"") == "grammar: rule 'root' begins with itself");
  CHECK(refused("root ::= a\na ::= \"x\"? b\nb ::= a \"y\"").starts_with("grammar: rule '"));
  CHECK(refused("root ::= \"x\" | a\na ::= \"\" a") == "grammar: rule 'a' begins with itself");
  CHECK(refused("root ::= \"x\" root | \"\"") == "ok");
  CHECK(refused("root ::= a{10000}\na ::= \"b\"{100}") == "ok");
  CHECK(refused("root ::= ((" + std::string(900, '|') + "){1000}){500}") == "grammar: more than 500000 steps");
  CHECK(refused("root ::= (\"b\"{1000}){1000}") == "grammar: more than 500000 steps");
  CHECK(refused("root ::= ((\"\"{100000}){100000}){100000}") == "ok");  // of nothing
}

TEST_CASE("a grammar that a text fits in too many ways at a time is given up") {
  grammar::Matcher nowhere(compiled(grammar::parse_gbnf("root ::= (\"a\"?){15000}")));
  CHECK(verdict(nowhere, "") == "begun");
  CHECK(verdict(nowhere, "a") == "no, after 0");
  nowhere.allow(1000);
  CHECK(nowhere.gave_up());
  grammar::Matcher matcher(compiled(grammar::parse_gbnf("root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"\"")));
  CHECK(verdict(matcher, "aaabcb") == "whole");
  CHECK_FALSE(matcher.gave_up());
  CHECK(verdict(matcher, std::string(40, 'a')).starts_with("no"));
  CHECK(matcher.gave_up());
}

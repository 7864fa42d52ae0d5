// Tests schemas as grammars: what each keyword lets through, and that none is passed over.
#include "core/grammar/json_schema.h"

#include "core/base/rng.h"
#include "tests/core/grammar/follow.h"

using namespace tessera;
using namespace tessera::testing;

namespace {

std::string check(std::string_view schema, std::string_view text) { return verdict(schema_rules(schema), text); }
std::string refused(std::string_view schema) { return refusal(schema_rules(schema)); }

/// Whether a string is one that the keyword allows.
bool fits_string(const char* keyword, std::string_view given, std::string_view value) {
  const nlohmann::ordered_json schema = {{keyword, given}}, text = value;
  return verdict(grammar::schema_rules(schema), text.dump()) == "whole";
}

constexpr std::string_view kPerson = R"({
  "type": "object", "title": "Person",
  "properties": {
    "name": {"type": "string"},
    "age": {"type": "integer", "minimum": 0, "maximum": 130},
    "tags": {"type": "array", "items": {"enum": ["a", "b", 3, null]}, "minItems": 1, "maxItems": 3}
  },
  "required": ["name", "tags"]})";

}  // namespace

TEST_CASE("objects: members in order, required ones, no others") {
  CHECK(check(kPerson, R"({"name": "x", "age": 7, "tags": ["a", 3]})") == "whole");
  CHECK(check(kPerson, R"({"name":"x","tags":[null]})") == "whole");
  CHECK(check(kPerson, R"({"name":"x"})") == "no, after 11");
  CHECK(check(kPerson, R"({"age":7,)") == "no, after 2");
  CHECK(check(kPerson, R"({"name":"x","tags":["a"],"more":1})") == "no, after 24");
  CHECK(check(kPerson, R"({"name":"x","tags":[]})") == "no, after 20");
  CHECK(check(kPerson, R"({"name":"x","tags":["a","a","a","a"]})") == "no, after 31");
  CHECK(check(kPerson, R"({"name":"x","age":131)") == "no, after 20");
  CHECK(check(kPerson, "{\n  \"name\": \"x\",\n  \"tags\": [\"b\"]\n}") == "whole");
  CHECK(check(kPerson, "{" + std::string(2, ' ')) == "no, after 2");
  CHECK(check(R"({"properties": {"a": {}, "b": {}, "c": {}}})", R"({"b":1,"c":[]})") == "whole");
  CHECK(check(R"({"properties": {"a": {}, "b": {}, "c": {}}})", "{}") == "whole");
  CHECK(check(R"({"properties": {"a": {}, "b": {}}})", R"({,"b":1})") == "no, after 1");
  CHECK(check(R"({"properties": {"a": {}}, "required": ["z"]})", R"({"a":1,"z":2})") == "whole");
  CHECK(check(R"({"properties": {"a": {}}, "required": ["z"]})", R"({"a":1})") == "no, after 6");
}

TEST_CASE("objects: other members never have the key of a known one") {
  constexpr std::string_view kOthers = R"({"properties": {"ab": {"type": "null"}, "abc": true, "\n": true},
                                           "additionalProperties": {"type": "integer"}})";
  CHECK(check(kOthers, R"({"ab":null,"x":1,"y":2})") == "whole");
  CHECK(check(kOthers, R"({"x":1})") == "whole");
  CHECK(check(kOthers, R"({"abcd":1,"a":2,"":3})") == "whole");
  CHECK(check(kOthers, R"({"x":1,"ab":2})").starts_with("no"));
  CHECK(check(kOthers, R"({"ab":2})") == "no, after 6");
  CHECK(check(kOthers, R"({"a\u0062":2})").starts_with("no"));  // ab again
  CHECK(check(kOthers, R"({"x":"y"})") == "no, after 5");
  constexpr std::string_view kOdd = R"({"properties": {"a\"b": {}, "é": {"type": "null"}}, "additionalProperties": {"type": "string"}})";
  CHECK(check(kOdd, R"({"a\"b":1,"é":null,"a":"x","Ã":"x"})") == "whole");
  CHECK(check(kOdd, R"({"é":"x"})") == "no, after 6");
  CHECK(check(kOdd, R"({"a\q)") == "no, after 4");
  CHECK(check(kOdd, "{\"\xc3\"").starts_with("no"));
  const std::string longest(3000, 'k');
  CHECK(check(R"({"properties": {")" + longest + R"(": {"type": "null"}}, "additionalProperties": true})", R"({"kk":1})") == "whole");
  CHECK(check(R"({"required": ["a"], "additionalProperties": {"type": "string"}})", R"({"a":1)") == "no, after 5");
  CHECK(refused(R"({"required": ["a"], "additionalProperties": false})") ==
        "json_schema, #: 'required' has to be among the properties: there are no others");
  CHECK(check(R"({"type": "object"})", R"({"a":{"b":[1,true,null,"x",-0.5e+3]}})") == "whole");
  CHECK(check(R"({"type": "object", "additionalProperties": false})", R"({"a)") == "no, after 1");
}

TEST_CASE("arrays") {
  CHECK(check(R"({"type": "array"})", R"([1, [], {}, "x"])") == "whole");
  CHECK(check(R"({"items": {"type": "boolean"}})", "[]") == "whole");
  CHECK(check(R"({"items": {"type": "boolean"}, "minItems": 2})", "[true]") == "no, after 5");
  CHECK(check(R"({"items": {"type": "boolean"}, "maxItems": 0})", "[t") == "no, after 1");
  CHECK(check(R"({"prefixItems": [{"const": 1}, {"type": "string"}]})", R"([1,"a"])") == "whole");
  CHECK(check(R"({"type": "array", "items": [{"const": 1}, {"const": 2}]})", "[1, 2]") == "whole");
  CHECK(check(R"({"prefixItems": [{"const": 1}], "items": false})", "[1,") == "no, after 2");
  CHECK(refused(R"({"prefixItems": [true], "items": [true]})") == "json_schema, #: 'prefixItems beside items' is not supported here");
  CHECK(refused(R"({"prefixItems": [true], "items": "x"})")
            .ends_with("'prefixItems beside items, minItems or maxItems' is not supported here"));
}

TEST_CASE("strings") {
  CHECK(check(R"({"type": "string"})", R"("é😀\"\\\n\u00e9")") == "whole");
  CHECK(check(R"({"type": "string"})", "\"\n") == "no, after 1");
  CHECK(check(R"({"type": "string"})", R"("\x)") == "no, after 2");
  CHECK(check(R"({"maxLength": 1})", R"("\ud83d\uDE00")") == "whole");
  CHECK(check(R"({"type": "string"})", R"("\ud83d")") == "no, after 7");  // half of a pair
  CHECK(check(R"({"type": "string"})", R"("\ude00)") == "no, after 4");
  CHECK(check(R"({"minLength": 2, "maxLength": 3})", R"("éé")") == "whole");
  CHECK(check(R"({"minLength": 2, "maxLength": 3})", R"("é")") == "no, after 3");
  CHECK(check(R"({"minLength": 2, "maxLength": 3})", R"("abcd)") == "no, after 4");
}

TEST_CASE("patterns") {
  const auto fits = [](std::string_view pattern, std::string_view value) { return fits_string("pattern", pattern, value); };
  CHECK(fits("^a[0-9]{2}(b|c)+$", "a12bcb"));
  CHECK_FALSE(fits("^a[0-9]{2}(b|c)+$", "a12"));
  CHECK(fits("^\\d+\\.\\w\\s\\-$", "12.x -"));
  CHECK(fits("^[^\\d\\s]+$", "abc\"\\é"));
  CHECK_FALSE(fits("^[^\\d\\s]+$", "a c"));
  CHECK(fits("^a|b$", "axx"));
  CHECK(fits("^a|b$", "xxb"));
  CHECK_FALSE(fits("^a|b$", "xx"));
  CHECK(fits("ell", "hello"));
  CHECK(fits("^(?:ab?){1,}.\\u00e9\\x41*?$", "aab😀éAA"));
  CHECK_FALSE(fits("^.$", "\n"));
  CHECK(fits("^[a\\n]$", "\n"));
  CHECK(fits("", "anything"));
  CHECK(fits("^\\ud83d\\ude00$", "😀"));
  CHECK(refused(R"x({"pattern": "\\ud83d"})x") == "json_schema, #: pattern, byte 6: half of a surrogate pair");
  CHECK(refused(R"x({"pattern": "a^b"})x") == "json_schema, #: pattern, byte 1: '^' stands behind the beginning");
  CHECK(refused(R"x({"pattern": "[]"})x") == "json_schema, #: pattern, byte 2: the class has no character");
  CHECK(refused(R"x({"pattern": "^(?=a)"})x") == "json_schema, #: pattern, byte 2: only (...) and (?:...) are supported");
  CHECK(refused(R"x({"pattern": "a\\b"})x") == "json_schema, #: pattern, byte 2: this escape is not supported");
  CHECK(refused(R"x({"pattern": "(a"})x") == "json_schema, #: pattern, byte 2: the group has no ')'");
  CHECK(refused(R"x({"pattern": "a)"})x") == "json_schema, #: pattern, byte 1: found ')' without '('");
  CHECK(refused(R"x({"pattern": "*"})x") == "json_schema, #: pattern, byte 0: nothing stands before '*'");
  CHECK(refused(R"x({"pattern": "a$b"})x") == "json_schema, #: pattern, byte 2: '$' stands before the end");
  CHECK(refused(R"x({"pattern": "[b-a]"})x") == "json_schema, #: pattern, byte 4: the range has no end, or one before its beginning");
}

TEST_CASE("formats") {
  const auto fits = [](std::string_view format, std::string_view value) { return fits_string("format", format, value); };
  CHECK(fits("date", "2026-11-28"));
  CHECK_FALSE(fits("date", "2026-13-01"));
  CHECK(fits("time", "23:59:59.5+01:00"));
  CHECK(fits("date-time", "2026-11-28T00:00:00Z"));
  CHECK(fits("duration", "P3DT4H"));
  CHECK(fits("duration", "P2W"));
  CHECK(fits("email", "a.b+c@ex-ample.org"));
  CHECK_FALSE(fits("email", "a@b"));
  CHECK(fits("hostname", "www.example.org"));
  CHECK(fits("ipv4", "192.168.0.255"));
  CHECK_FALSE(fits("ipv4", "192.168.0.256"));
  CHECK(fits("ipv6", "2001:db8:0:0:0:0:0:1"));
  CHECK(fits("uuid", "123e4567-e89b-12d3-a456-426614174000"));
  CHECK(refused(R"({"format": ""})") == "json_schema, #: 'format ' is not supported here");
  CHECK(refused(R"({"format": "uri-template"})") == "json_schema, #: 'format uri-template' is not supported here");
}

TEST_CASE("numbers") {
  for (const char* number : {"0", "-0", "12", "-1.5", "1e5", "3.25E-12"}) CHECK(check(R"({"type": "number"})", number) != "begun");
  CHECK(check(R"({"type": "number"})", "01") == "no, after 1");
  CHECK(check(R"({"type": "number"})", "1.") == "begun");
  CHECK(check(R"({"type": "integer"})", "1.") == "no, after 1");
  CHECK(check(R"({"type": "integer"})", std::string(17, '9')) == "no, after 16");
}

TEST_CASE("bounds of integers, tried on each number") {
  const auto fits = [](std::optional<int> least, std::optional<int> most, int number) {
    nlohmann::ordered_json schema = {{"type", "integer"}};
    if (least) schema["minimum"] = *least;
    if (most) schema["exclusiveMaximum"] = *most + 1;
    grammar::Matcher matcher(compiled(grammar::schema_rules(schema)));
    const std::string found = verdict(matcher, std::to_string(number));
    return found == "whole" || found == "may end";
  };
  for (const auto& [least, most] : {std::pair<std::optional<int>, std::optional<int>>{0, 9},
                                    {-15, 1234},
                                    {7, 7},
                                    {-30, -12},
                                    {98, 1002},
                                    {std::nullopt, -99},
                                    {std::nullopt, 100},
                                    {-101, std::nullopt},
                                    {55, std::nullopt}}) {
    int wrong = 0;
    for (int number = -1300; number <= 1300; number += number > -130 && number < 130 ? 1 : 13) {
      wrong += fits(least, most, number) != ((!least || number >= *least) && (!most || number <= *most));
    }
    CHECK(wrong == 0);
  }
  CHECK(check(R"({"minimum": -9223372036854775808, "maximum": 9007199254740991, "type": "integer"})", "9007199254740992") ==
        "no, after 15");
  CHECK(refused(R"({"type": "integer", "minimum": 3, "maximum": 2})") == "json_schema, #: 'maximum' has to be at least the minimum");
  CHECK(refused(R"({"type": "integer", "minimum": 0.5})") == "json_schema, #: 'minimum' has to be a whole number of at most 2^53");
  CHECK(refused(R"({"type": ["number", "null"], "minimum": 0})") == "json_schema, #: 'minimum' is not supported here");
  CHECK(refused(R"({"type": "number", "minimum": 0})") == "json_schema, #: 'minimum' is not supported here");
}

TEST_CASE("choices: enum, const, anyOf, several types") {
  CHECK(check(R"({"enum": ["a\"b", 1.5, {"x": [null]}]})", R"({"x":[null]})") == "whole");
  CHECK(check(R"({"enum": ["a\"b"]})", R"("a\"b")") == "whole");
  CHECK(check(R"({"const": "é"})", R"("é")") == "whole");
  CHECK(check(R"({"type": "string", "enum": ["a", 1, null]})", "1") == "no, after 0");
  CHECK(check(R"({"type": ["integer", "null"], "enum": ["a", 1.0, null]})", "1.0") == "whole");
  CHECK(refused(R"({"type": "string", "const": 1})") == "json_schema, #: 'const' has to be of the schema's type");
  CHECK(check(R"({"type": "string", "anyOf": [{"maxLength": 1}, {"enum": ["abc", 2]}]})", R"("ab)") == "begun");
  CHECK(check(R"({"type": "string", "anyOf": [{}]})", "1") == "no, after 0");
  CHECK(refused(R"({"type": "string", "anyOf": [{"type": "null"}]})") == "json_schema, #: 'type beside other types' is not supported here");
  CHECK(check(R"({"anyOf": [{"type": "string"}, {"type": "null"}], "default": null})", "null") == "whole");
  CHECK(check(R"({"oneOf": [{"type": "string"}, {"type": "null"}]})", R"("x")") == "whole");
  CHECK(check(R"({"type": ["string", "null"], "maxLength": 1})", R"("ab)") == "no, after 2");
  CHECK(check(R"({"type": ["string", "null"], "maxLength": 1})", "null") == "whole");
  CHECK(check("true", R"([1])") == "whole");
  CHECK(check("{}", R"("x")") == "whole");
}

TEST_CASE("references, also to what they stand in, and allOf") {
  constexpr std::string_view kList = R"({"$ref": "#/$defs/no~1de", "$defs": {"no/de": {"type": "object",
    "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/no~1de"}, {"type": "null"}]}}, "required": ["v", "next"]}}})";
  CHECK(check(kList, R"({"v":1,"next":{"v":2,"next":null}})") == "whole");
  CHECK(check(kList, R"({"v":1,"next":3})") == "no, after 14");
  CHECK(check(R"({"properties": {"kids": {"items": {"$ref": "#"}}}})", R"({"kids":[{"kids":[]},{}]})") == "whole");
  CHECK(check(R"({"allOf": [{"$ref": "#/definitions/a"}, {"properties": {"y": {"type": "null"}}, "required": ["y"]}],
                  "definitions": {"a": {"properties": {"x": {"type": "null"}}, "required": ["x"]}}})",
              R"({"x":null,"y":null})") == "whole");
  CHECK(check(R"({"$ref": "#/$defs/s", "maxLength": 1, "$defs": {"s": {"type": "string"}}})", R"("ab)") == "no, after 2");
  CHECK(refused(R"({"$ref": "#/$defs/x"})") == R"(json_schema, #: $ref "#/$defs/x" is nothing in this schema; others are not read)");
  CHECK(refused(R"({"$ref": "other.json"})").starts_with("json_schema, #: $ref \"other.json\" is nothing"));
  CHECK(refused(R"({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}})") == "grammar: rule '#/$defs/a' begins with itself");
  CHECK(refused(R"({"allOf": [{"minLength": 1}, {"minLength": 2}]})") ==
        "json_schema, #: 'allOf with two values of minLength' is not supported here");
}

TEST_CASE("what is not known, or not right, is told with its place") {
  CHECK(refused(R"({"properties": {"a/b": {"type": "integer", "multipleOf": 2}}})") ==
        "json_schema, #/properties/a~1b: 'multipleOf' is not supported here");
  CHECK(refused(R"({"type": "object", "minLength": 1})") == "json_schema, #: 'minLength' is not supported here");
  CHECK(refused(R"({"type": "text"})") == "json_schema, #: 'type' has to be object, array, string, integer, number, boolean or null");
  CHECK(refused(R"({"enum": []})") == "json_schema, #: 'enum' has to be an array of values");
  CHECK(refused(R"({"items": 3})") == "json_schema, #/items: a schema has to be an object, or true");
  CHECK(refused(R"({"minItems": -1})") == "json_schema, #: 'minItems' has to be a whole number from 0 to 100000");
  CHECK(refused(R"({"required": "a"})") == "json_schema, #: 'required' has to be an array of names");
  CHECK(refused("[]") == "json_schema, #: a schema has to be an object, or true");
  CHECK(refused("false") == "json_schema, #: a schema has to be an object, or true");
  std::string deep = "true", wide = R"({"type": "null"})";
  for (int i = 0; i < 120; ++i) deep = R"({"items": )" + deep + "}";
  CHECK(refused(deep).ends_with("more than 100 schemas in one another"));
  for (int i = 0; i < 1000; ++i) deep = "[" + deep + "]";
  CHECK(refused(R"({"const": )" + deep + "}") == "json_schema, #: nested more than 200 deep");
  // Each is twice the one below it.
  std::string doubling = R"({"$ref": "#/$defs/0", "title": "x", "$defs": {)";
  for (int i = 0; i < 24; ++i) {
    const std::string next = R"({"$ref": "#/$defs/)" + std::to_string(i + 1) + R"(", "x-a": )" + std::to_string(i) + "}";
    doubling += "\"" + std::to_string(i) + R"(": {"anyOf": [)" + next + ", " + next + "]}, ";
  }
  CHECK(refused(doubling + R"("24": {"type": "null"}}})").ends_with("more than 20000 schemas with those that are referred to"));
}

TEST_CASE("whatever is written along a schema's grammar is JSON with what it asks for") {
  const auto automaton = compiled(schema_rules(R"({"type": "object", "properties": {
    "s": {"type": "string"}, "d": {"format": "date"}, "l": {"items": {"$ref": "#"}, "maxItems": 2}, "n": {"type": ["number", "null"]},
    "o": {"additionalProperties": {"type": "boolean"}, "properties": {"k": {}}}}, "required": ["s", "n"]})"));
  grammar::Matcher matcher(automaton);
  Rng rng(11);
  int done = 0;
  for (int turn = 0; turn < 300; ++turn) {
    std::string text;
    int state = matcher.start();
    while (matcher.may_go_on(state) && text.size() < 4000) {
      // At random first; later whatever closes what is open.
      const std::string_view closing = "}]\"0";
      int next = grammar::Matcher::kNone;
      for (size_t i = 0; i < closing.size() && text.size() > 60 && next == grammar::Matcher::kNone && rng.next() % 8 != 0; ++i) {
        next = matcher.next(state, static_cast<uint8_t>(closing[i]));
        if (next != grammar::Matcher::kNone) text += closing[i];
      }
      while (next == grammar::Matcher::kNone) {
        const auto byte = static_cast<uint8_t>(rng.next() % 2 ? rng.next() % 256 : "\"{}[],:0123sdlno"[rng.next() % 16]);
        next = matcher.next(state, byte);
        if (next != grammar::Matcher::kNone) text += static_cast<char>(byte);
      }
      state = next;
    }
    if (!matcher.may_end(state)) continue;
    ++done;
    const auto json = nlohmann::json::parse(text, nullptr, false);
    REQUIRE_MESSAGE(json.is_object(), text);
    CHECK(json["s"].is_string());
    CHECK((json["n"].is_number() || json["n"].is_null()));
    if (json.contains("d")) CHECK(json["d"].get<std::string>().size() == 10);
    if (json.contains("l")) CHECK(json["l"].size() <= 2);
  }
  CHECK(done > 200);
}

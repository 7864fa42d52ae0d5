#include "core/base/utf8.h"

#include <initializer_list>
#include <string>

#include "doctest/doctest.h"

using namespace tessera;
using Kind = Utf8Step::Kind;

TEST_CASE("every scalar value is encoded and decoded, every prefix of it is incomplete") {
  for (uint32_t code_point = 0; code_point <= 0x10ffff; ++code_point) {
    if (code_point >= 0xd800 && code_point < 0xe000) continue;
    std::string text;
    append_utf8(text, code_point);
    const Utf8Step step = decode_utf8(text + "x");
    REQUIRE(step.kind == Kind::kValid);
    REQUIRE(step.code_point == code_point);
    REQUIRE(step.length == text.size());
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const Utf8Step part = decode_utf8(std::string_view(text).substr(0, cut));
      REQUIRE(part.kind == Kind::kIncomplete);
      REQUIRE(part.length == cut);
    }
  }
}

TEST_CASE("what is not UTF-8 is refused, stepping over its maximal subpart") {
  struct Bad {
    const char* bytes;
    int length;
  };
  const Bad cases[] = {{"\x80", 1},         {"\xbf", 1},         {"\xc0\xaf", 1},     {"\xc1\xbf", 1},         {"\xe0\x80\xaf", 1},
                       {"\xe0\x9f\xbf", 1}, {"\xed\xa0\x80", 1}, {"\xed\xbf\xbf", 1}, {"\xf0\x80\x80\x80", 1}, {"\xf4\x90\x80\x80", 1},
                       {"\xf5\x80", 1},     {"\xff", 1},         {"\xc3(", 1},        {"\xe4\xb8(", 2},        {"\xf0\x9f\x98(", 3}};
  for (const Bad& bad : cases) {
    CAPTURE(bad.bytes);
    const Utf8Step step = decode_utf8(bad.bytes);
    CHECK(step.kind == Kind::kInvalid);
    CHECK(step.length == bad.length);
    CHECK(step.code_point == 0xfffd);
  }
}

TEST_CASE("encoding what is not a scalar value gives U+FFFD") {
  for (const uint32_t code_point : {0xd800u, 0xdfffu, 0x110000u, 0xffffffffu}) {
    std::string text;
    append_utf8(text, code_point);
    CHECK(text == "\xef\xbf\xbd");
  }
}

TEST_CASE("prefixes: what is valid, and what can be decided now") {
  CHECK(valid_utf8_prefix("") == 0);
  CHECK(valid_utf8_prefix("h\xc3\xa9!") == 4);
  CHECK(valid_utf8_prefix("h\xc3") == 1);
  CHECK(valid_utf8_prefix("ab\xff"
                          "cd") == 2);
  CHECK(is_valid_utf8("\xf0\x9f\x98\x80"));
  CHECK_FALSE(is_valid_utf8("\xf0\x9f\x98"));
  CHECK(decidable_utf8_prefix("") == 0);
  CHECK(decidable_utf8_prefix("abc") == 3);
  CHECK(decidable_utf8_prefix("a\xf0\x9f\x98") == 1);
  CHECK(decidable_utf8_prefix("a\xf0\x9f\x98\x80") == 5);
  CHECK(decidable_utf8_prefix("a\xe4\xb8") == 1);
  CHECK(decidable_utf8_prefix("\xc3") == 0);
  CHECK(decidable_utf8_prefix("a\x80\x80\x80\x80") == 5);  // never valid: no reason to wait
  CHECK(decidable_utf8_prefix("a\xed\xa0") == 3);          // a surrogate cannot become valid
}

// NFC against the Unicode database: hashes over every character, alone and between marks, as Python's unicodedata2 15.1 normalises them.
#include "core/base/normal_form.h"

#include "core/base/utf8.h"
#include "core/text/tokenizer.h"
#include "tests/core/text/vocab_fixture.h"

using namespace tessera;

namespace {

/// FNV-1a over the NFC of before + c + after for each character c of a range.
uint32_t hash_of_all(uint32_t first, uint32_t last, const std::string& before, const std::string& after) {
  uint32_t hash = 0x811C9DC5;
  for (uint32_t c = first; c <= last; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = before;
    append_utf8(text, c);
    for (const char byte : to_nfc(text + after)) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x01000193u;
  }
  return hash;
}

}  // namespace

TEST_CASE("NFC of every character is that of the Unicode database") {
  CHECK(hash_of_all(0, 0x10FFFF, "", "a") == 0x55dad8ef);
  CHECK(hash_of_all(0, 0x10FFFF, "", "\u0323\u0307") == 0xf9f5ca64);
  CHECK(hash_of_all(0x1100, 0x11FF, "\u1100\u1161", "\u0301") == 0x2ac0e88c);
}

TEST_CASE("NFC orders marks, leaves the rest alone and does not cross what is no UTF-8") {
  CHECK(to_nfc("") == "");
  CHECK(to_nfc("plain text, caf\u00e9") == "plain text, caf\u00e9");
  CHECK(to_nfc("cafe\u0301") == "caf\u00e9");
  CHECK(to_nfc("a\u0315\u0300") == "\u00e0\u0315");
  CHECK(to_nfc("\u212b \u2126") == "\u00c5 \u03a9");
  CHECK(to_nfc("\u0915\u093c") == "\u0915\u093c");  // excluded from composition
  CHECK(to_nfc("\u1112\u1161\u11ab") == "\ud55c");
  CHECK(to_nfc("e\xff\u0301") == "e\xff\u0301");
  CHECK(to_nfc("e\u0301\xc3") == "\u00e9\xc3");
  CHECK(to_nfc(std::string("e\0\u0301", 4)) == std::string("e\0\u0301", 4));
  std::string marks = "a";
  for (int i = 0; i < 100'000; ++i) marks += i % 2 == 0 ? "\u0323" : "\u0301";  // never quadratic
  CHECK(to_nfc(marks).size() == marks.size());                                  // the letter takes one mark in and grows by as much
}

TEST_CASE("byte-level BPE normalises where the file asks for it, and only there") {
  // ids: a 2, b 3; ä is two bytes that have no token here, so what remains of "a" + a combining mark is the letter alone.
  test::VocabFile file = test::byte_pair_file({"a b"});
  const auto encoded = [&](const std::string& text) {
    const auto tokenizer = Tokenizer::from_gguf(file.open());
    REQUIRE(tokenizer.ok());
    return const_cast<Result<std::unique_ptr<Tokenizer>>&>(tokenizer).value()->encode(text, {});
  };
  const std::string decomposed = "a\u0308b";
  CHECK(encoded(decomposed) == std::vector<int32_t>{2, 3});
  file.flag("tokenizer.ggml.normalizer.nfc", true);
  CHECK(encoded(decomposed) == std::vector<int32_t>{3});
  CHECK(encoded("ab") == std::vector<int32_t>{29});
  file.flag("tokenizer.ggml.normalizer.nfc", false);
  CHECK(encoded(decomposed) == std::vector<int32_t>{2, 3});
  file.text("tokenizer.ggml.normalizer.nfc", "yes");
  CHECK(Tokenizer::from_gguf(file.open()).error().code == ErrorCode::kBadFile);
}

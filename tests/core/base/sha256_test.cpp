// SHA-256 against the examples of FIPS 180-4 (NIST's example values).
#include "core/base/sha256.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "doctest/doctest.h"

using namespace tessera;

namespace {

std::string hash_of(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

}  // namespace

TEST_CASE("NIST's examples") {
  CHECK(hash_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(hash_of("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu") ==
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  CHECK(hash_of(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("pieces of any size give the hash of the whole, and hex() can be asked for in between") {
  std::vector<std::byte> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  for (size_t length = 0; length <= 200; ++length) {
    const auto text = std::span<const std::byte>(bytes).first(length);
    const std::string whole = sha256_hex(text);
    for (const size_t step : {1u, 55u, 63u, 64u, 65u}) {
      Sha256 hash;
      for (size_t i = 0; i < length; i += step) {
        hash.update(text.subspan(i, std::min<size_t>(step, length - i)));
        (void)hash.hex();
      }
      REQUIRE(hash.hex() == whole);
    }
  }
}

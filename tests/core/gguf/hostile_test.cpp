// Damaged and hostile files: every truncation, wrong fields one by one, random bit flips. Run under the sanitizers, too.
#include <algorithm>
#include <string>

#include "core/base/rng.h"
#include "doctest/doctest.h"
#include "tests/core/gguf/raw_gguf.h"

using namespace tessera;
using namespace tessera::test;

namespace {

constexpr uint32_t kF32Tensor = 0, kQ4_0Tensor = 2;

/// A sound file of two tensors of 32 bytes, after `change`.
template <class Change>
std::vector<std::byte> changed(Change change) {
  RawGguf raw = RawGguf::header(2, 1);
  raw.key("general.architecture", kString).text("llama").tensor("a", {8}, kF32Tensor, 0).tensor("b", {8}, kF32Tensor, 32);
  raw.pad().zeros(64);
  std::vector<std::byte> bytes = raw.bytes();
  change(bytes);
  return bytes;
}

template <class T>
std::vector<std::byte> with_field(size_t offset, T value) {
  return changed([&](std::vector<std::byte>& bytes) { std::memcpy(bytes.data() + offset, &value, sizeof(value)); });
}

/// The error's code and message must be these.
void check_refused(std::vector<std::byte> bytes, ErrorCode code, const std::string& message) {
  const auto opened = open_bytes(std::move(bytes));
  CAPTURE(message);
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().message.find(message) != std::string::npos);
  INFO(opened.error().message);
  CHECK(opened.error().code == code);
  CHECK_FALSE(opened.error().hint.empty());
}

void check_refused(const RawGguf& raw, ErrorCode code, const std::string& message) { check_refused(raw.bytes(), code, message); }

RawGguf one_key(uint32_t type) {
  RawGguf raw = RawGguf::header(0, 1);
  raw.key("k", type);
  return raw;
}

RawGguf one_tensor(const std::vector<uint64_t>& shape, uint32_t dtype, uint64_t offset = 0) {
  RawGguf raw = RawGguf::header(1, 0);
  raw.tensor("t", shape, dtype, offset);
  return raw.pad().zeros(4096);
}

uint64_t data_end(const GgufFile& file) {
  uint64_t end = 0;
  for (const TensorInfo& tensor : file.tensors()) end = std::max(end, tensor.offset + tensor.bytes);
  return end;
}

uint64_t data_start(const GgufFile& file) {
  uint64_t start = file.file_bytes();
  for (const TensorInfo& tensor : file.tensors()) start = std::min(start, tensor.offset);
  return start;
}

}  // namespace

TEST_CASE("a file cut at any byte of its header or at 400 places of its data is refused") {
  for (const char* name : {"tiny-llama.gguf", "tiny-gemma3.gguf"}) {
    const auto bytes = data_file(name);
    const auto whole = open_bytes(bytes);
    REQUIRE(whole.ok());
    const uint64_t start = data_start(whole.value()), end = data_end(whole.value());
    for (uint64_t cut = 0; cut < end; cut += cut < start ? 1 : (end - start) / 400) {
      const auto opened = open_bytes({bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(cut)});
      REQUIRE_FALSE(opened.ok());
      REQUIRE(opened.error().code == ErrorCode::kBadFile);
      REQUIRE_FALSE(opened.error().message.empty());
    }
    CHECK_FALSE(open_bytes({bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(end) - 1}).ok());
    CHECK(open_bytes({bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(end)}).ok());
  }
}

TEST_CASE("bytes after the last tensor are ignored") {
  auto bytes = data_file("tiny-llama.gguf");
  bytes.resize(bytes.size() + 1000, std::byte{0x5a});
  const auto opened = open_bytes(bytes);
  REQUIRE(opened.ok());
  CHECK(opened.value().tensors().size() == 21);
}

TEST_CASE("fields of the header") {
  REQUIRE(open_bytes(changed([](auto&) {})).ok());
  check_refused(with_field(0, uint32_t{0x46554748}), ErrorCode::kBadFile, "does not begin with the letters GGUF");
  check_refused(with_field(4, uint32_t{1}), ErrorCode::kUnsupported, "GGUF version 1 is not supported");
  check_refused(with_field(4, uint32_t{0x03000000}), ErrorCode::kUnsupported, "big-endian");
  check_refused(with_field(4, uint32_t{4}), ErrorCode::kBadFile, "version is 4, expected 2 or 3");
  check_refused(with_field(4, uint32_t{0}), ErrorCode::kBadFile, "version is 0");
  CHECK(open_bytes(with_field(4, uint32_t{2})).ok());
  check_refused(with_field(8, int64_t{-1}), ErrorCode::kBadFile, "tensor count is 18446744073709551615 (a negative number)");
  check_refused(with_field(8, uint64_t{1} << 40), ErrorCode::kBadFile, "tensor count is 1099511627776, more than");
  check_refused(with_field(16, int64_t{-1}), ErrorCode::kBadFile, "metadata count is 18446744073709551615 (a negative number)");
  check_refused(with_field(16, uint64_t{1} << 40), ErrorCode::kBadFile, "metadata count is 1099511627776");
  check_refused(with_field(24, uint64_t{1} << 60), ErrorCode::kBadFile, "metadata key number 0 needs 1152921504606846976 bytes");
  check_refused(with_field(52, uint32_t{13}), ErrorCode::kBadFile, "general.architecture has the value type 13");
  check_refused(std::vector<std::byte>{}, ErrorCode::kBadFile, "the GGUF magic needs 4 bytes");
}

TEST_CASE("metadata: keys, types, bools, arrays") {
  check_refused(RawGguf::header(0, 1).text("").put<uint32_t>(kU8).zeros(64), ErrorCode::kBadFile, "metadata key number 0 is empty");
  check_refused(RawGguf::header(0, 1).text(std::string(65536, 'k')).put<uint32_t>(kU8).zeros(64), ErrorCode::kBadFile, "at most 65535");
  RawGguf twice = RawGguf::header(0, 2);
  twice.key("k", kU8).put<uint8_t>(1).key("k", kU8).put<uint8_t>(2).zeros(16);
  check_refused(twice, ErrorCode::kBadFile, "metadata key k is there twice");
  check_refused(one_key(kBool).put<uint8_t>(2).zeros(16), ErrorCode::kBadFile, "is a bool of value 2");
  check_refused(one_key(kString).put(int64_t{-1}).zeros(16), ErrorCode::kBadFile, "metadata key k needs 18446744073709551615 bytes");
  check_refused(one_key(kArray).put<uint32_t>(kArray).put<uint64_t>(1).zeros(64), ErrorCode::kUnsupported, "array of arrays");
  check_refused(one_key(kArray).put<uint32_t>(99).put<uint64_t>(1).zeros(64), ErrorCode::kBadFile, "element type 99");
  check_refused(one_key(kArray).put<uint32_t>(kBool).put<uint64_t>(1).put<uint8_t>(7).zeros(9), ErrorCode::kBadFile, "bool of value 7");
  check_refused(one_key(kArray).put<uint32_t>(kU64).put<uint64_t>(1).put(~uint64_t{0}), ErrorCode::kBadFile, "expected less than 2^63");
  for (const uint32_t type : {kU8, kI16, kF32, kString, kF64}) {
    check_refused(one_key(kArray).put(type).put(uint64_t{1} << 61).zeros(100), ErrorCode::kBadFile,
                  "the length of metadata key k is 23058");
  }
  check_refused(one_key(kArray).put<uint32_t>(kF64).put<uint64_t>(9).zeros(71), ErrorCode::kBadFile, "is 9, more than the 71 bytes");
  for (const uint64_t alignment : {uint64_t{0}, uint64_t{3}, uint64_t{48}, uint64_t{1} << 21, uint64_t{1} << 31, uint64_t{1} << 63}) {
    RawGguf raw = RawGguf::header(0, 1);
    raw.key("general.alignment", kU64).put(alignment).zeros(64);
    check_refused(raw, ErrorCode::kBadFile, "general.alignment is " + std::to_string(alignment) + ", expected a power of two");
  }
  RawGguf named = RawGguf::header(0, 1);
  named.key("general.alignment", kString).text("32").zeros(16);
  check_refused(named, ErrorCode::kBadFile, "general.alignment is a string");
}

TEST_CASE("counts that no model has are refused, though the file is long enough for them") {
  constexpr uint64_t kElements = (1 << 24) + 1, kEntries = (1 << 20) + 1;
  check_refused(one_key(kArray).put<uint32_t>(kU8).put(kElements).zeros(kElements), ErrorCode::kBadFile,
                "the length of metadata key k is 16777217, expected at most 16777216");
  check_refused(RawGguf::header(0, kEntries).zeros(kEntries * 14), ErrorCode::kBadFile,
                "metadata count is 1048577, expected at most 1048576");
  check_refused(RawGguf::header(kEntries, 0).zeros(kEntries * 33), ErrorCode::kBadFile,
                "tensor count is 1048577, expected at most 1048576");
}

TEST_CASE("tensors: names, shapes, formats, places") {
  REQUIRE(open_raw(one_tensor({8, 4}, kF32Tensor)).ok());
  check_refused(one_tensor({}, kF32Tensor), ErrorCode::kBadFile, "tensor t has 0 dimensions, expected 1 to 4");
  check_refused(one_tensor({1, 1, 1, 1, 1}, kF32Tensor), ErrorCode::kBadFile, "has 5 dimensions");
  check_refused(one_tensor({8, 0}, kF32Tensor), ErrorCode::kBadFile, "size 0 in dimension 1");
  check_refused(one_tensor({uint64_t{1} << 63}, kF32Tensor), ErrorCode::kBadFile, "too large");
  check_refused(one_tensor({uint64_t{1} << 32, uint64_t{1} << 32}, kF32Tensor), ErrorCode::kBadFile, "too large");
  check_refused(one_tensor({uint64_t{1} << 62}, kF32Tensor), ErrorCode::kBadFile, "tensor t is too large");
  check_refused(one_tensor({48}, kQ4_0Tensor), ErrorCode::kBadFile, "rows of 48 weights, expected a multiple of 32 for Q4_0");
  check_refused(one_tensor({256}, 16), ErrorCode::kUnsupported, "tensor t has the format IQ2_XXS (number 16)");
  check_refused(one_tensor({256}, 12345), ErrorCode::kUnsupported, "tensor t has the format unknown (number 12345)");
  check_refused(one_tensor({8}, kF32Tensor, 8), ErrorCode::kBadFile, "offset 8, expected a multiple of the alignment 32");
  check_refused(one_tensor({8}, kF32Tensor, 4096), ErrorCode::kBadFile, "past the end of the file");
  check_refused(one_tensor({8}, kF32Tensor, ~uint64_t{31}), ErrorCode::kBadFile, "past the end of the file");
  check_refused(one_tensor({1025}, kF32Tensor), ErrorCode::kBadFile, "tensor t has 4100 bytes at offset 0 of the data, past the end");

  RawGguf twice = RawGguf::header(2, 0);
  twice.tensor("t", {8}, kF32Tensor, 0).tensor("t", {8}, kF32Tensor, 32).pad().zeros(64);
  check_refused(twice, ErrorCode::kBadFile, "tensor t is there twice");
  RawGguf overlapping = RawGguf::header(2, 0);
  overlapping.tensor("u", {16}, kF32Tensor, 32).tensor("t", {9}, kF32Tensor, 0).pad().zeros(256);
  check_refused(overlapping, ErrorCode::kBadFile, "tensor u at offset 128 overlaps tensor t, which ends at 132");
  RawGguf nested = RawGguf::header(2, 0);
  nested.tensor("u", {8}, kF32Tensor, 0).tensor("t", {8}, kF32Tensor, 0).pad().zeros(64);
  check_refused(nested, ErrorCode::kBadFile, "overlaps");
  RawGguf nameless = RawGguf::header(1, 0);
  nameless.tensor("", {8}, kF32Tensor, 0).pad().zeros(64);
  check_refused(nameless, ErrorCode::kBadFile, "the name of tensor number 0 is empty");
  RawGguf terminal = RawGguf::header(1, 0);
  terminal.tensor("a\x1b[31m\n", {0}, kF32Tensor, 0).pad().zeros(64);
  check_refused(terminal, ErrorCode::kBadFile, "tensor a?[31m? has");
}

TEST_CASE("random damage in the header is refused or gives a file whose tensors can all be read") {
  const auto sound = data_file("tiny-gemma3.gguf");
  const uint64_t start = data_start(open_bytes(sound).value());
  const auto small = changed([](auto&) {});
  Rng rng(3);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    auto bytes = round % 3 == 0 ? sound : small;
    const uint64_t header = round % 3 == 0 ? start : small.size() - 64;
    for (uint32_t flips = rng.next() % 4 + 1; flips > 0; --flips)
      bytes[rng.next() % header] ^= static_cast<std::byte>(1u << (rng.next() % 8));
    const auto opened = open_bytes(std::move(bytes));
    if (!opened) {
      ++refused;
      continue;
    }
    for (const TensorInfo& tensor : opened.value().tensors()) {
      std::vector<std::byte> data(tensor.bytes);
      REQUIRE(opened.value().read(tensor, 0, data).ok());
    }
  }
  CHECK(refused > 500);
}

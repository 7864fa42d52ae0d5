// The ways bytes come in, and the checked reader over them.
#include "core/base/byte_source.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "core/base/byte_reader.h"
#include "doctest/doctest.h"

using namespace tessera;

namespace {

std::vector<std::byte> counting(size_t count, int first = 0) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(first + static_cast<int>(i));
  return bytes;
}

/// A source without view(), like a browser's file handle, that counts its reads.
class SlowSource final : public ByteSource {
 public:
  explicit SlowSource(uint64_t size) : size_(size) {}
  uint64_t size() const override { return size_; }
  Result<void> read(uint64_t offset, std::span<std::byte> out) const override {
    if (failing) return Error{ErrorCode::kIo, "device gone", ""};
    ++reads;
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>((offset + i) % 251);
    return {};
  }
  mutable int reads = 0;
  bool failing = false;

 private:
  uint64_t size_;
};

/// Reads [offset, offset + length) and compares with the counting pattern.
void check_counting(const ByteSource& source, uint64_t offset, size_t length) {
  std::vector<std::byte> out(length);
  REQUIRE(source.read(offset, out).ok());
  for (size_t i = 0; i < length; ++i) REQUIRE(out[i] == static_cast<std::byte>(offset + i));
}

}  // namespace

TEST_CASE("memory: reads and views inside, errors outside") {
  const MemorySource source(counting(100));
  check_counting(source, 0, 100);
  check_counting(source, 99, 1);
  check_counting(source, 100, 0);
  CHECK(source.view(10, 5).data() == source.view(0, 100).data() + 10);
  std::byte one[1];
  CHECK(source.read(100, one).error().code == ErrorCode::kIo);
  CHECK_FALSE(source.read(~uint64_t{0}, one).ok());
  CHECK(source.view(99, 2).empty());
  CHECK(source.view(~uint64_t{0}, 2).empty());
}

TEST_CASE("concatenation: reads across parts, empty parts included; views inside one part only") {
  std::vector<std::shared_ptr<const ByteSource>> parts;
  int start = 0;
  for (const int length : {10, 0, 1, 30, 0}) {
    parts.push_back(std::make_shared<MemorySource>(counting(length, start)));
    start += length;
  }
  const ConcatSource source(parts);
  REQUIRE(source.size() == 41);
  for (uint64_t offset = 0; offset <= 41; ++offset) {
    for (uint64_t length = 0; length <= 41 - offset; ++length) check_counting(source, offset, length);
  }
  std::byte two[2];
  CHECK(source.read(40, two).error().code == ErrorCode::kIo);
  CHECK(source.view(2, 5).size() == 5);
  CHECK(source.view(9, 2).empty());
  CHECK(source.view(11, 30).size() == 30);
  CHECK(ConcatSource({}).size() == 0);
}

TEST_CASE("mapped files") {
  const std::string path = (std::filesystem::temp_directory_path() / ("tessera-byte-source-" + std::to_string(::getpid()))).string();
  const auto bytes = counting(5000);
  std::FILE* file = std::fopen(path.c_str(), "wb");
  REQUIRE(file != nullptr);
  std::fwrite(bytes.data(), 1, bytes.size(), file);
  std::fclose(file);
  const auto mapped = map_file(path);
  REQUIRE(mapped.ok());
  const ByteSource& source = *mapped.value();
  check_counting(source, 1234, 100);
  CHECK(source.view(0, 5000).size() == 5000);
  CHECK(source.view(0, 5001).empty());
  for (const uint64_t offset : {0, 1, 4999, 6000}) source.release(offset, 5000);  // as far as it is there
  check_counting(source, 1234, 100);
  std::byte two[2];
  for (const uint64_t offset : {uint64_t{4999}, uint64_t{5001}, ~uint64_t{0}})
    CHECK(source.read(offset, two).error().code == ErrorCode::kIo);
  std::filesystem::resize_file(path, 4097);  // by another program, meanwhile
  CHECK(source.read(4096, two).error().code == ErrorCode::kIo);
  CHECK(source.read(4095, two).ok());
  std::remove(path.c_str());
  CHECK(map_file(path).error().code == ErrorCode::kNotFound);
  CHECK(map_file("/").error().code == ErrorCode::kIo);
}

TEST_CASE("reader: little-endian scalars and strings through the buffer, with few reads of the source") {
  const SlowSource source(300000);
  ByteReader reader(source, 1);
  CHECK(reader.scalar<uint32_t>("field").value() == 0x04030201u);
  CHECK(reader.scalar<int8_t>("field").value() == 5);
  CHECK(reader.position() == 6);
  const auto text = reader.string(200000, "text");
  REQUIRE(text.ok());
  for (size_t i = 0; i < text.value().size(); ++i) REQUIRE(static_cast<uint8_t>(text.value()[i]) == (i + 6) % 251);
  CHECK(reader.remaining() == 300000 - 200006);
  CHECK(source.reads <= 5);
}

TEST_CASE("reader: refuses before it allocates, names the field, passes the source's errors on") {
  SlowSource source(10);
  ByteReader reader(source);
  const auto huge = reader.string(~uint64_t{0}, "general.name");
  REQUIRE_FALSE(huge.ok());
  CHECK(huge.error().code == ErrorCode::kBadFile);
  CHECK(huge.error().message.find("general.name") != std::string::npos);
  CHECK(huge.error().message.find("only 10 remain") != std::string::npos);
  CHECK(reader.scalar<uint64_t>("a").ok());
  CHECK(reader.scalar<uint32_t>("b").error().code == ErrorCode::kBadFile);
  source.failing = true;
  ByteReader again(source);
  CHECK(again.scalar<uint8_t>("c").error().code == ErrorCode::kIo);
  CHECK(ByteReader(source, 1000).remaining() == 0);
}

// What a sound GGUF gives: metadata of every type, tensors, split files; read back from the project's own writer and from the gguf
// package's.
#include "core/gguf/gguf_file.h"

#include <algorithm>
#include <chrono>

#include "core/gguf/writer.h"
#include "doctest/doctest.h"
#include "tests/core/gguf/raw_gguf.h"

using namespace tessera;
using namespace tessera::test;

namespace {

std::vector<std::byte> filled(size_t count, int value) { return std::vector<std::byte>(count, static_cast<std::byte>(value)); }

/// One part of a split model with two tensors.
std::shared_ptr<const ByteSource> part(uint64_t number, uint64_t count, uint64_t tensors, const std::string& prefix) {
  GgufWriter writer;
  writer.set("split.no", number);
  writer.set("split.count", count);
  writer.set("split.tensors.count", static_cast<int64_t>(tensors));
  if (number == 0) writer.set("general.architecture", std::string("llama"));
  REQUIRE(writer.add_tensor(prefix + ".a", DType::kF32, {4}, filled(16, static_cast<int>(number) + 1)).ok());
  REQUIRE(writer.add_tensor(prefix + ".b", DType::kQ8_0, {32, 2}, filled(68, static_cast<int>(number) + 11)).ok());
  return std::make_shared<MemorySource>(writer.to_bytes().value());
}

}  // namespace

TEST_CASE("every metadata type is read, with its sign and its range") {
  RawGguf raw = RawGguf::header(0, 16);
  raw.key("u8", kU8).put<uint8_t>(255).key("i8", kI8).put<int8_t>(-128).key("u16", kU16).put<uint16_t>(65535);
  raw.key("i16", kI16).put<int16_t>(-5).key("u32", kU32).put<uint32_t>(~0u).key("i32", kI32).put<int32_t>(-1);
  raw.key("u64", kU64).put<uint64_t>(~uint64_t{0}).key("i64", kI64).put<int64_t>(INT64_MIN).key("f32", kF32).put<float>(0.5f);
  raw.key("f64", kF64).put<double>(1e300).key("bool", kBool).put<uint8_t>(1).key("text", kString).text("h\xc3\xa9");
  raw.key("ints", kArray).put<uint32_t>(kI8).put<uint64_t>(2).put<int8_t>(-3).put<int8_t>(4);
  raw.key("floats", kArray).put<uint32_t>(kF32).put<uint64_t>(1).put<float>(2.5f);
  raw.key("texts", kArray).put<uint32_t>(kString).put<uint64_t>(2).text("").text("b");
  raw.key("bools", kArray).put<uint32_t>(kBool).put<uint64_t>(2).put<uint8_t>(0).put<uint8_t>(1);
  const auto opened = open_raw(raw);
  REQUIRE(opened.ok());
  const GgufFile& file = opened.value();
  CHECK(file.version() == 3);
  CHECK(file.tensors().empty());
  CHECK(file.metadata().size() == 16);
  CHECK(file.metadata()[2].first == "u16");
  CHECK(file.get_uint("u8").value() == 255);
  CHECK(file.get_uint("u64").value() == ~uint64_t{0});
  CHECK(std::get<int64_t>(*file.find("i64")) == INT64_MIN);
  CHECK(file.get_float("f32").value() == 0.5);
  CHECK(file.get_float("i8").value() == -128.0);
  CHECK(file.get_float("f64").value() == 1e300);
  CHECK(file.get_bool("bool").value());
  CHECK(file.get_string("text").value() == "h\xc3\xa9");
  CHECK(*file.get_ints("ints").value() == std::vector<int64_t>{-3, 4});
  CHECK(*file.get_floats("floats").value() == std::vector<double>{2.5});
  CHECK(*file.get_strings("texts").value() == std::vector<std::string>{"", "b"});
  CHECK(*file.get_ints("bools").value() == std::vector<int64_t>{0, 1});
}

TEST_CASE("typed look-ups say what is missing and what is there instead") {
  RawGguf raw = RawGguf::header(0, 2);
  raw.key("count", kI32).put<int32_t>(-7).key("name", kString).text("x");
  const auto opened = open_raw(raw);
  REQUIRE(opened.ok());
  const GgufFile& file = opened.value();
  const Error missing = file.get_uint("llama.block_count").error();
  CHECK(missing.code == ErrorCode::kNotFound);
  CHECK(missing.message.find("llama.block_count") != std::string::npos);
  const Error negative = file.get_uint("count").error();
  CHECK(negative.code == ErrorCode::kBadFile);
  CHECK(negative.message.find("-7") != std::string::npos);
  CHECK(file.get_uint("name").error().message == "metadata key name is a string, expected an unsigned integer");
  CHECK(file.get_string("count").error().code == ErrorCode::kBadFile);
  CHECK(file.get_bool("count").error().code == ErrorCode::kBadFile);
  CHECK(file.get_float("name").error().code == ErrorCode::kBadFile);
  CHECK(file.get_ints("name").error().code == ErrorCode::kBadFile);
  CHECK(file.get_floats("name").error().code == ErrorCode::kBadFile);
  CHECK(file.get_strings("count").error().code == ErrorCode::kBadFile);
}

TEST_CASE("the tiny models, written by the gguf package") {
  const auto opened = open_bytes(data_file("tiny-llama.gguf"));
  REQUIRE(opened.ok());
  const GgufFile& file = opened.value();
  CHECK(file.get_string("general.architecture").value() == "llama");
  CHECK(file.get_uint("llama.embedding_length").value() == 256);
  CHECK(file.get_strings("tokenizer.ggml.tokens").value()->size() == 301);
  const TensorInfo* query = file.find_tensor("blk.0.attn_q.weight");
  REQUIRE(query != nullptr);
  CHECK(query->dtype == DType::kQ4_K);
  CHECK(query->shape == std::vector<uint64_t>{256, 256});
  CHECK(query->bytes == 256 * 144);
  CHECK(file.find_tensor("blk.9.attn_q.weight") == nullptr);
  CHECK(file.main_format() == "Q4_0");
  const auto others = open_bytes(data_file("tiny-formats.gguf"));
  REQUIRE(others.ok());
  for (const DTypeTraits& format : all_dtypes()) {
    if (format.dtype == DType::kQ8_K) continue;  // no program writes it into a file
    CAPTURE(format.name);
    const auto has_format = [&](const TensorInfo& tensor) { return tensor.dtype == format.dtype; };
    CHECK((std::ranges::any_of(file.tensors(), has_format) || std::ranges::any_of(others.value().tensors(), has_format)));
  }
  CHECK(open_bytes(data_file("tiny-gemma3.gguf")).ok());
}

TEST_CASE("tensor bytes: read and view agree, and stay inside the tensor") {
  const auto source = part(0, 1, 2, "x");
  const auto opened = GgufFile::open(source);
  REQUIRE(opened.ok());
  const GgufFile& file = opened.value();
  const TensorInfo& tensor = *file.find_tensor("x.b");
  std::vector<std::byte> bytes(68);
  REQUIRE(file.read(tensor, 0, bytes).ok());
  CHECK(bytes == filled(68, 11));
  CHECK(std::equal(bytes.begin(), bytes.end(), file.view(tensor).begin(), file.view(tensor).end()));
  CHECK(file.read(tensor, 1, bytes).error().code == ErrorCode::kInvalidArgument);
  CHECK(file.read(tensor, ~uint64_t{0}, bytes).error().code == ErrorCode::kInvalidArgument);
  CHECK(tensor.rows() == 2);
  CHECK(file.parameters() == 68);
  CHECK(file.file_bytes() == source->size());
}

TEST_CASE("the writer's file reads back with the same metadata and data") {
  GgufWriter writer;
  const std::vector<std::pair<std::string, MetadataValue>> metadata = {
      {"small", uint64_t{7}},
      {"large", uint64_t{1} << 40},
      {"negative", int64_t{-1}},
      {"very negative", INT64_MIN},
      {"exact", 0.25},
      {"inexact", 0.1},
      {"huge", 1e300},
      {"flag", true},
      {"text", std::string("text")},
      {"ints", std::vector<int64_t>{1, -2}},
      {"wide ints", std::vector<int64_t>{1, INT64_MAX}},
      {"floats", std::vector<double>{1.5, 0.1}},
      {"texts", std::vector<std::string>{"a", "", "c"}},
      {"none", std::vector<std::string>{}},
      {"general.alignment", uint64_t{64}},
  };
  for (const auto& [key, value] : metadata) writer.set(key, value);
  writer.set("small", uint64_t{8});
  REQUIRE(writer.add_tensor("a", DType::kF16, {3, 1, 5}, filled(30, 1)).ok());
  REQUIRE(writer.add_tensor("b", DType::kQ4_K, {512}, filled(288, 2)).ok());
  const auto opened = open_bytes(writer.to_bytes().value());
  REQUIRE(opened.ok());
  const GgufFile& file = opened.value();
  REQUIRE(file.metadata().size() == metadata.size());
  CHECK(file.get_uint("small").value() == 8);
  for (size_t i = 1; i < metadata.size(); ++i) CHECK(file.metadata()[i] == metadata[i]);
  CHECK(file.find_tensor("a")->shape == std::vector<uint64_t>{3, 1, 5});
  CHECK(file.find_tensor("b")->offset == file.find_tensor("a")->offset + 64);
  CHECK(file.find_tensor("b")->offset % 64 == 0);
  CHECK(file.view(*file.find_tensor("b"))[287] == std::byte{2});
}

TEST_CASE("the writer takes a hundred thousand keys and tensors in seconds") {
  constexpr size_t kCount = 100'000;
  const auto start = std::chrono::steady_clock::now();
  GgufWriter writer;
  for (size_t i = 0; i < kCount; ++i) {
    writer.set_number("key." + std::to_string(i), 1);
    REQUIRE(writer.add_tensor("blk." + std::to_string(i) + ".weight", DType::kF32, {1}, filled(4, 0)).ok());
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  const auto opened = open_bytes(writer.to_bytes().value());
  REQUIRE(opened.ok());
  CHECK(opened.value().metadata().size() == kCount);
  CHECK(opened.value().find_tensor("blk.99999.weight")->offset > opened.value().find_tensor("blk.0.weight")->offset);
}

TEST_CASE("the writer refuses what would not be a GGUF") {
  GgufWriter writer;
  CHECK_FALSE(writer.add_tensor("", DType::kF32, {1}, filled(4, 0)).ok());
  CHECK_FALSE(writer.add_tensor("a", DType::kF32, {}, filled(4, 0)).ok());
  CHECK_FALSE(writer.add_tensor("a", DType::kF32, {1, 0}, filled(4, 0)).ok());
  CHECK_FALSE(writer.add_tensor("a", DType::kF32, {1, 1, 1, 1, 1}, filled(4, 0)).ok());
  CHECK_FALSE(writer.add_tensor("a", DType::kQ4_0, {33}, filled(18, 0)).ok());
  REQUIRE(writer.add_tensor("a", DType::kF32, {2}, filled(4, 0)).ok());
  CHECK_FALSE(writer.add_tensor("a", DType::kF32, {1}, filled(4, 0)).ok());
  CHECK(writer.to_bytes().error().message.find("gives 4 bytes, expected 8") != std::string::npos);
  GgufWriter misaligned;
  misaligned.set("general.alignment", uint64_t{48});
  CHECK(misaligned.to_bytes().error().code == ErrorCode::kInvalidArgument);
  GgufWriter refused;
  const auto full = [](std::span<const std::byte>) -> Result<void> { return Error{ErrorCode::kIo, "disk full", ""}; };
  CHECK(refused.write(full).error().message == "disk full");
}

TEST_CASE("split files: parts join in order, each tensor knows its part") {
  const auto opened = GgufFile::open_split({part(0, 2, 4, "x"), part(1, 2, 4, "y")});
  REQUIRE(opened.ok());
  const GgufFile& file = opened.value();
  CHECK(file.tensors().size() == 4);
  CHECK(file.get_string("general.architecture").value() == "llama");
  const TensorInfo& second = *file.find_tensor("y.b");
  CHECK(second.part == 1);
  CHECK(file.view(second)[0] == std::byte{12});
  CHECK(file.view(*file.find_tensor("x.b"))[0] == std::byte{11});
}

TEST_CASE("split files: wrong order, number, count or names are refused") {
  const auto message = [](std::vector<std::shared_ptr<const ByteSource>> parts) {
    const auto opened = GgufFile::open_split(std::move(parts));
    REQUIRE_FALSE(opened.ok());
    return opened.error().message;
  };
  CHECK(message({part(1, 2, 4, "y"), part(0, 2, 4, "x")}) == "split file part 1: split.no is 1, expected 0");
  CHECK(message({part(0, 3, 4, "x"), part(1, 3, 4, "y")}) == "split file part 1: split.count is 3, but 2 files were given");
  CHECK(message({part(0, 2, 5, "x"), part(1, 2, 4, "y")}) == "split file part 1: split.tensors.count is 5, but the parts hold 4 tensors");
  CHECK(message({part(0, 2, 4, "x"), part(1, 2, 4, "x")}) == "split file part 2: tensor x.a is in an earlier part, too");
  CHECK(message({part(0, 2, 4, "x"), std::make_shared<MemorySource>(filled(9, 0))}).starts_with("split file part 2: "));
  CHECK(message({part(0, 2, 4, "x")}) == "this file is one part of a model split into 2 files");
  CHECK(message({part(0, 2, 4, "x"), std::make_shared<MemorySource>(data_file("tiny-llama.gguf"))}).find("split.no") != std::string::npos);
  CHECK(GgufFile::open_split({}).error().code == ErrorCode::kInvalidArgument);
  CHECK(GgufFile::open_split({std::make_shared<MemorySource>(data_file("tiny-llama.gguf"))}).ok());
}

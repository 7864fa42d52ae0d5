// What can be said of a file without loading it, and the shards a page downloads.
#include "core/engine/inspect.h"

#include <fstream>
#include <iterator>

#include "core/base/sha256.h"
#include "core/gguf/writer.h"
#include "doctest/doctest.h"
#include "nlohmann/json.hpp"
#include "tests/core/source_path.h"

using namespace tessera;
using Json = nlohmann::ordered_json;

namespace {

std::shared_ptr<const ByteSource> tiny_llama() { return map_file(source_path("tests/data/tiny-llama.gguf")).value(); }

/// A source that cannot be viewed, as in the browser.
class ReadOnlySource final : public ByteSource {
 public:
  explicit ReadOnlySource(std::shared_ptr<const ByteSource> inner) : inner_(std::move(inner)) {}
  uint64_t size() const override { return inner_->size(); }
  Result<void> read(uint64_t offset, std::span<std::byte> out) const override {
    largest = std::max<uint64_t>(largest, out.size());
    return inner_->read(offset, out);
  }
  mutable uint64_t largest = 0;

 private:
  std::shared_ptr<const ByteSource> inner_;
};

std::shared_ptr<const ByteSource> vocabulary_only(const std::string& license, bool as_list) {
  GgufWriter writer;
  writer.set("general.architecture", std::string("llama"));
  if (as_list) {
    writer.set("general.license", std::vector<std::string>{license, "other"});
  } else if (!license.empty()) {
    writer.set("general.license", license);
  }
  writer.set("text", std::string("bad \xff utf-8"));
  return std::make_shared<MemorySource>(writer.to_bytes().value());
}

Result<Json> split_quietly(const std::shared_ptr<const ByteSource>& source, const std::string& name, uint64_t size) {
  return split_into_shards(source, name, size, [](const std::string&, std::span<const std::byte>) -> Result<void> { return {}; });
}

}  // namespace

TEST_CASE("inspect: metadata, tensors and bytes per type") {
  const auto result = inspect({tiny_llama()});
  REQUIRE(result.ok());
  const Json& report = result.value();
  CHECK(report["version"] == 3);
  CHECK(report["file_bytes"] == tiny_llama()->size());
  CHECK(report["architecture"] == "llama");
  CHECK(report["name"] == "Tiny Llama");
  CHECK(report["metadata"]["llama.context_length"] == 256);
  const Json& tokens = report["metadata"]["tokenizer.ggml.tokens"];
  CHECK(tokens["type"] == "string");
  CHECK(tokens["count"] == 301);
  CHECK(tokens["first"].size() == 8);
  CHECK(report["tensors"].size() == 21);
  CHECK(report["tensors"][0]["name"] == "token_embd.weight");
  CHECK(report["tensors"][0]["shape"] == Json::array({256, 301}));
  CHECK(report["bytes_per_type"].size() == 11);
  uint64_t bytes = 0, weights = 0;
  for (const Json& tensor : report["tensors"]) {
    bytes += tensor["bytes"].get<uint64_t>();
    uint64_t product = 1;
    for (const Json& size : tensor["shape"]) product *= size.get<uint64_t>();
    weights += product;
  }
  for (const auto& [type, part] : report["bytes_per_type"].items()) bytes -= part.get<uint64_t>();
  CHECK(bytes == 0);
  CHECK(report["parameters"] == weights);
}

TEST_CASE("inspect: text that is not UTF-8 becomes JSON, a damaged file an error") {
  const auto result = inspect({vocabulary_only("", false)});
  REQUIRE(result.ok());
  CHECK(result.value()["metadata"]["text"] == "bad \xef\xbf\xbd utf-8");
  CHECK_FALSE(result.value().dump().empty());
  CHECK(inspect({std::make_shared<MemorySource>(std::vector<std::byte>(100))}).error().code == ErrorCode::kBadFile);
}

TEST_CASE("split: shards laid end to end are the file, and the manifest says so") {
  const auto source = std::make_shared<ReadOnlySource>(tiny_llama());
  constexpr uint64_t kShard = 100000;
  std::vector<std::byte> joined;
  std::vector<std::string> paths;
  const auto result = split_into_shards(source, "tiny llama#1.gguf", kShard,
                                        [&](const std::string& path, std::span<const std::byte> bytes) -> Result<void> {
                                          joined.insert(joined.end(), bytes.begin(), bytes.end());
                                          paths.push_back(path);
                                          return {};
                                        });
  REQUIRE(result.ok());
  const Json& manifest = result.value();
  CHECK(source->largest <= kShard);
  std::vector<std::byte> whole(source->size());
  REQUIRE(source->read(0, whole).ok());
  CHECK(joined == whole);
  CHECK(manifest["format"] == "tessera-shards");
  CHECK(manifest["version"] == 1);
  CHECK(manifest["name"] == "Tiny Llama");
  CHECK(manifest["architecture"] == "llama");
  CHECK(manifest["license"] == "mit");
  CHECK(manifest["quantization"] == "Q4_0");
  CHECK(manifest["context_length"] == 256);
  CHECK(manifest["chat_template"] == true);
  CHECK(manifest["file"] == Json{{"name", "tiny llama#1.gguf"}, {"bytes", whole.size()}, {"sha256", sha256_hex(whole)}});
  REQUIRE(manifest["shards"].size() == 5);
  CHECK(paths[0] == "tiny-llama-1-00001-of-00005.bin");
  for (size_t i = 0; i < 5; ++i) {
    const auto bytes = std::span(whole).subspan(i * kShard, std::min<size_t>(kShard, whole.size() - i * kShard));
    const std::string hash = sha256_hex(bytes);
    const std::string text = hash + hash;  // a shard of one block
    CHECK(manifest["shards"][i] == Json{{"path", paths[i]},
                                        {"offset", i * kShard},
                                        {"bytes", bytes.size()},
                                        {"sha256", hash},
                                        {"sha256_blocks", sha256_hex(std::as_bytes(std::span(text)))}});
  }
}

TEST_CASE("split: licences, shard sizes at the edges, bad arguments, a full disk") {
  CHECK(split_quietly(vocabulary_only("", false), "v.gguf", 1 << 20).value()["license"] == "unknown");
  CHECK(split_quietly(vocabulary_only("mit", false), "v.gguf", 1 << 20).value()["license"] == "mit");
  const auto manifest = split_quietly(vocabulary_only("mit", true), "v.gguf", 1 << 20);
  CHECK(manifest.value()["license"] == "mit, other");
  CHECK(manifest.value()["chat_template"] == false);
  CHECK(manifest.value()["name"] == "v");
  const uint64_t size = tiny_llama()->size();
  CHECK(split_quietly(tiny_llama(), "t.gguf", size).value()["shards"].size() == 1);
  CHECK(split_quietly(tiny_llama(), "t.gguf", size - 1).value()["shards"].size() == 2);
  CHECK(split_quietly(tiny_llama(), "t.gguf", ~uint64_t{0}).value()["shards"].size() == 1);
  CHECK(split_quietly(tiny_llama(), "t.gguf", 0).error().code == ErrorCode::kInvalidArgument);
  CHECK(split_quietly(tiny_llama(), "t.gguf", 4).error().code == ErrorCode::kInvalidArgument);
  CHECK(split_quietly(tiny_llama(), "../t.gguf", 1 << 20).error().code == ErrorCode::kInvalidArgument);
  const auto full = [](const std::string&, std::span<const std::byte>) -> Result<void> { return Error{ErrorCode::kIo, "disk full", ""}; };
  CHECK(split_into_shards(tiny_llama(), "t.gguf", 1 << 20, full).error().message == "disk full");
}

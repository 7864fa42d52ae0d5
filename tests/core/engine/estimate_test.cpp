// The estimate says, from the first bytes of a file, what loading it will take.
#include "core/engine/estimate.h"

#include <filesystem>

#include "nlohmann/json.hpp"
#include "tests/core/engine/tiny.h"

using namespace tessera;
using namespace tessera::testing;

namespace {

std::vector<std::string> model_paths() {
  std::vector<std::string> paths = {"tests/data/tiny-llama.gguf", "tests/data/tiny-gemma3.gguf"};
  for (const auto& entry : std::filesystem::directory_iterator(source_path("tests/golden/architectures"))) {
    if (!entry.path().string().ends_with(".lora.gguf")) paths.push_back("tests/golden/architectures/" + entry.path().filename().string());
  }
  return paths;
}

std::shared_ptr<const ByteSource> first_bytes(const std::string& path, uint64_t count) {
  const auto file = map_file(source_path(path)).value();
  std::vector<std::byte> bytes(count);
  REQUIRE(file->read(0, bytes).ok());
  return std::make_shared<MemorySource>(std::move(bytes));
}

}  // namespace

TEST_CASE("estimate: the bytes of every architecture are those of the loaded engine, from the header alone") {
  CHECK(model_paths().size() > 20);
  for (const std::string& path : model_paths()) {
    CAPTURE(path);
    const auto source = map_file(source_path(path)).value();
    const uint64_t header = GgufFile::open(source)->tensors().front().offset;
    for (const KvType kv : {KvType::kQ16, KvType::kF32, KvType::kF16}) {
      EngineOptions options{.threads = 1, .context_size = 200, .kernels = "", .on_progress = {}};
      options.kv_type = kv;
      const auto engine = Engine::load({source}, options);
      REQUIRE(engine.ok());
      const auto found = estimate(first_bytes(path, header), 200, kv);
      REQUIRE(found.ok());
      const EngineInfo& info = engine.value()->info();
      CHECK(found.value().weights_bytes == info.weight_bytes);
      CHECK(found.value().kv_bytes == info.kv_bytes);
      CHECK(found.value().workspace_bytes == info.workspace_bytes);
      CHECK(found.value().fits_wasm32());
      CHECK(found.value().unsupported.empty() == Session::create(*engine.value()).ok());
    }
  }
}

TEST_CASE("estimate: what this build does not run is a reason, what is damaged an error") {
  const auto found = estimate(changed_parts("tiny-llama", "general.architecture", std::string("rwkv7")).front(), 0, KvType::kF32);
  REQUIRE(found.ok());
  REQUIRE(found.value().unsupported.size() == 1);
  CHECK(found.value().unsupported[0].find("rwkv7") != std::string::npos);
  CHECK(estimate_json(found.value())["unsupported"].size() == 1);
  CHECK_FALSE(estimate(first_bytes("tests/data/tiny-llama.gguf", 1000), 0, KvType::kF32).ok());
  CHECK_FALSE(estimate(tiny_parts("tiny-llama").front(), 1 << 20, KvType::kF32).ok());
  CHECK(estimate(changed_parts("tiny-llama", "llama.block_count", uint64_t{3}).front(), 0, KvType::kF32).error().code ==
        ErrorCode::kNotFound);
}

// The estimate says, from the first bytes of a file, what loading it will take.
#include "core/engine/estimate.h"

#include <filesystem>

#include "core/model/lora.h"
#include "core/model/workspace.h"
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

/// One of the two parts of the tiny model split in the middle of its tensors; only the first one has the metadata.
std::shared_ptr<const ByteSource> half(const GgufFile& file, int number) {
  GgufWriter writer;
  if (number == 0) {
    for (const auto& [key, value] : file.metadata()) writer.set(key, value);
  }
  writer.set("split.no", static_cast<uint64_t>(number));
  writer.set("split.count", uint64_t{2});
  writer.set("split.tensors.count", static_cast<uint64_t>(file.tensors().size()));
  const size_t middle = file.tensors().size() / 2;
  for (const TensorInfo& tensor : number == 0 ? file.tensors().first(middle) : file.tensors().subspan(middle)) {
    const auto bytes = file.view(tensor);
    REQUIRE(writer.add_tensor(tensor.name, tensor.dtype, tensor.shape, {bytes.begin(), bytes.end()}).ok());
  }
  return std::make_shared<MemorySource>(writer.to_bytes().value());
}

}  // namespace

TEST_CASE("estimate: the bytes of every architecture are those of the loaded engine, from the header alone") {
  CHECK(model_paths().size() > 20);
  for (const std::string& path : model_paths()) {
    CAPTURE(path);
    const auto source = map_file(source_path(path)).value();
    const uint64_t header = GgufFile::open(source)->tensors().front().offset;
    for (const KvType kv : {KvType::kQ16_8, KvType::kF32, KvType::kF16}) {
      EngineOptions options{.threads = 1, .context_size = 200, .kernels = "", .on_progress = {}};
      options.kv_type = kv;
      const auto engine = Engine::load({source}, options);
      REQUIRE(engine.ok());
      const auto found = estimate({first_bytes(path, header)}, {.context_size = 200, .kv_type = kv});
      REQUIRE(found.ok());
      const EngineInfo& info = engine.value()->info();
      CHECK(found.value().weights_bytes == info.weight_bytes);
      CHECK(found.value().kv_bytes == info.kv_bytes);
      CHECK(found.value().workspace_bytes == info.workspace_bytes);
      CHECK(found.value().fits_wasm32() == found.value().unsupported.empty());
      CHECK(found.value().name == info.name);
      CHECK(found.value().architecture == info.architecture);
      CHECK(found.value().quantization == info.quantization);
      CHECK(found.value().parameters == info.parameters);
      CHECK(found.value().context_size == info.context_size);
      CHECK(found.value().trained_context == info.trained_context);
      CHECK(found.value().unsupported.empty() == Session::create(*engine.value()).ok());
    }
  }
}

TEST_CASE("estimate: the kernels that are asked for say how weights are packed") {
  for (const std::string& kernels : kernel_names()) {
    for (const char* path : {"tests/golden/architectures/qwen2moe.gguf", "tests/data/tiny-gemma3.gguf"}) {
      INFO(kernels, " ", path);
      const auto source = map_file(source_path(path)).value();
      const auto engine = Engine::load({source}, {.threads = 1, .kernels = kernels});
      const auto found = estimate({source}, {.kernels = kernels});
      REQUIRE(found.ok());
      CHECK(found.value().weights_bytes == engine.value()->info().weight_bytes);
      CHECK(found.value().workspace_bytes == engine.value()->info().workspace_bytes);
    }
  }
  CHECK(estimate(tiny_parts("tiny-llama"), {.kernels = "abacus"}).error().code == ErrorCode::kInvalidArgument);
  CHECK(estimate(tiny_parts("tiny-llama"), {.threads = 65}).error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE("estimate: adapters count as a session holds them, from their headers") {
  const std::string model = "tests/golden/architectures/llama.gguf", lora = "tests/golden/architectures/llama.lora.gguf";
  const auto source = map_file(source_path(model)).value(), adapter_source = map_file(source_path(lora)).value();
  const auto engine = Engine::load({source}, {.threads = 1});
  const auto adapter = engine.value()->load_adapter({adapter_source}).value();
  const uint64_t room = 3ull * adapter->largest_rank() * Workspace::kMaxBatch * sizeof(float);
  const std::vector<AdapterFile> one = {{lora, {first_bytes(lora, GgufFile::open(adapter_source)->tensors().front().offset)}, 1}};
  const auto plain = estimate({source}, {}), with_one = estimate({source}, {}, one);
  REQUIRE(with_one.ok());
  CHECK(with_one.value().lora_bytes == adapter->bytes() + room);
  CHECK(with_one.value().total_bytes() == plain.value().total_bytes() + with_one.value().lora_bytes);
  CHECK(estimate({source}, {}, std::vector{one[0], one[0]}).value().lora_bytes == 2 * with_one.value().lora_bytes);
  const uint64_t all = with_one.value().total_bytes() - with_one.value().other_bytes;
  CHECK(estimate({source}, {.most_bytes = all}, one).value().parts == 1);
  CHECK(estimate({source}, {.most_bytes = all - 1}, one).value().parts != 1);
  const auto misfit = estimate(tiny_parts("tiny-llama"), {}, one);
  CHECK(misfit.error().code == ErrorCode::kBadFile);
  CHECK(misfit.error().message.find("llama.lora.gguf: tensor ") != std::string::npos);
  CHECK(estimate({source}, {}, std::vector<AdapterFile>(9, one[0])).error().message.find("expected at most 8") != std::string::npos);
}

TEST_CASE("estimate: a split model counts with all its parts, and one part alone is refused") {
  const Result<GgufFile> file = GgufFile::open(tiny_parts("tiny-llama").front());
  REQUIRE(file.ok());
  const auto whole = estimate(tiny_parts("tiny-llama"), {});
  const auto parts = estimate({half(file.value(), 0), half(file.value(), 1)}, {});
  REQUIRE(parts.ok());
  CHECK(parts.value().total_bytes() == whole.value().total_bytes());
  CHECK(parts.value().tensor_bytes == whole.value().tensor_bytes);
  CHECK(parts.value().parameters == whole.value().parameters);
  CHECK(estimate({half(file.value(), 0)}, {}).error().code == ErrorCode::kBadFile);
}

TEST_CASE("estimate: what this build does not run is a reason, what is damaged an error") {
  const auto found = estimate(changed_parts("tiny-llama", "general.architecture", std::string("rwkv7")), {});
  REQUIRE(found.ok());
  REQUIRE(found.value().unsupported.size() == 1);
  CHECK(found.value().unsupported[0].find("rwkv7") != std::string::npos);
  CHECK(estimate_json(found.value())["unsupported"].size() == 1);
  CHECK_FALSE(estimate_json(found.value())["fits_wasm32"].get<bool>());
  CHECK_FALSE(estimate({first_bytes("tests/data/tiny-llama.gguf", 1000)}, {}).ok());
  CHECK_FALSE(estimate(tiny_parts("tiny-llama"), {.context_size = 1 << 20}).ok());
  CHECK(estimate(changed_parts("tiny-llama", "llama.block_count", uint64_t{3}), {}).error().code == ErrorCode::kNotFound);
}

// LoRA adapters: the merged model's logits, one arithmetic, fused matrices, and files that do not fit.
#include "core/model/lora.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "core/gguf/writer.h"
#include "tests/core/model/loaded.h"

namespace tessera {
namespace {

using namespace testing;

std::shared_ptr<const Adapter> adapter_for(const GgufFile& file, const Config& config) {
  auto adapter = Adapter::load(file, config);
  REQUIRE_MESSAGE(adapter, (adapter ? "" : adapter.error().message));
  return std::make_shared<Adapter>(std::move(*adapter));
}

std::vector<float> adapted_logits(Loaded& loaded, const std::vector<int32_t>& tokens, const std::vector<ActiveAdapter>& adapters,
                                  int batch) {
  auto cache = KvCache::create(loaded.model.config, static_cast<int>(tokens.size()), KvType::kF32);
  auto workspace = Workspace::create(loaded.model.config, loaded.model.kernels->code_bytes);
  auto set = AdapterSet::create(adapters, Workspace::kMaxBatch);
  REQUIRE(cache);
  REQUIRE(workspace);
  REQUIRE(set);
  workspace->adapters = std::move(*set);
  const int vocab = loaded.model.config.vocab_size;
  std::vector<float> logits;
  for (size_t done = 0; done < tokens.size();) {
    const int taken = static_cast<int>(std::min<size_t>(batch, tokens.size() - done));
    forward(loaded.model, loaded.pool, std::span(tokens).subspan(done, taken), *cache, *workspace);
    for (int t = 0; t < taken; ++t) {
      compute_logits(loaded.model, loaded.pool, t, 1, *workspace);
      logits.insert(logits.end(), workspace->logits, workspace->logits + vocab);
    }
    done += taken;
  }
  return logits;
}

struct Factor {
  std::string name;
  uint64_t width, rows;
};

// An adapter GGUF in memory with random factors; `change` may spoil it.
GgufFile random_adapter(const std::string& architecture, const std::vector<Factor>& factors,
                        const std::function<void(GgufWriter&)>& change = {}, std::optional<double> alpha = 4.0) {
  GgufWriter writer;
  writer.set("general.type", std::string("adapter"));
  writer.set("general.architecture", architecture);
  writer.set("adapter.type", std::string("lora"));
  if (alpha) writer.set("adapter.lora.alpha", *alpha);
  if (change) change(writer);
  Rng rng(7);
  for (const Factor& factor : factors) {
    std::vector<std::byte> bytes(factor.width * factor.rows * sizeof(float));
    for (uint64_t i = 0; i < factor.width * factor.rows; ++i) {
      const auto value = static_cast<float>(rng.next() % 2001) / 5000.0f - 0.2f;
      std::memcpy(bytes.data() + i * sizeof(float), &value, sizeof(float));
    }
    REQUIRE(writer.add_tensor(factor.name, DType::kF32, {factor.width, factor.rows}, bytes));
  }
  auto file = GgufFile::open(std::make_shared<MemorySource>(writer.to_bytes().value()));
  REQUIRE(file);
  return std::move(*file);
}

}  // namespace

TEST_CASE("base and adapter give the logits of the merged model, with every matrix adapted") {
  const GgufFile base = open_golden("llama"), file = open_golden("llama.lora");
  Loaded loaded(base, *find_kernels(""), 2);
  const auto adapter = adapter_for(file, loaded.model.config);
  const auto tokens = golden_tokens(file);
  const int vocab = loaded.model.config.vocab_size;
  CHECK(largest_difference(file, adapted_logits(loaded, tokens, {{adapter, 1.0f}}, 80), vocab) < 1e-4);
  CHECK(largest_difference(file, adapted_logits(loaded, tokens, {{adapter, 0.25f}, {adapter, 0.75f}}, 80), vocab) < 1e-4);
  CHECK(largest_difference(file, adapted_logits(loaded, tokens, {{adapter, 0.99f}}, 80), vocab) > 1e-2);
  CHECK(same_bits(adapted_logits(loaded, tokens, {}, 80), all_logits(loaded, tokens, {80}, KvType::kF32)));
  CHECK(same_bits(adapted_logits(loaded, tokens, {{adapter, 0.0f}}, 80), all_logits(loaded, tokens, {80}, KvType::kF32)));
}

TEST_CASE("an adapter on quantised weights: kernels, threads and batches give the same bits") {
  const GgufFile base = open_model("tests/data/tiny-llama.gguf");
  const GgufFile file = random_adapter("llama", {{"blk.0.attn_q.weight.lora_a", 256, 5},
                                                 {"blk.0.attn_q.weight.lora_b", 5, 256},
                                                 {"blk.1.ffn_down.weight.lora_a", 32, 3},
                                                 {"blk.1.ffn_down.weight.lora_b", 3, 256},
                                                 {"output.weight.lora_a", 256, 2},
                                                 {"output.weight.lora_b", 2, 301}});
  Loaded reference(base, *find_kernels("scalar"), 1);
  const auto adapter = adapter_for(file, reference.model.config);
  const auto tokens = some_tokens(70, reference.model.config.vocab_size);
  const auto expected = adapted_logits(reference, tokens, {{adapter, 1.5f}}, 70);
  CHECK_FALSE(same_bits(expected, all_logits(reference, tokens, {70}, KvType::kF32)));
  for (const KernelTable* kernels : available_kernels()) {
    for (int threads : {1, 3}) {
      Loaded loaded(base, *kernels, threads);
      for (int batch : {1, 33, 70}) CHECK(same_bits(expected, adapted_logits(loaded, tokens, {{adapter, 1.5f}}, batch)));
    }
  }
}

TEST_CASE("an adapter without an alpha, or with 0, is multiplied by the caller's scale alone") {
  const GgufFile base = open_model("tests/data/tiny-llama.gguf");
  Loaded loaded(base, *find_kernels(""), 2);
  const auto tokens = some_tokens(20, loaded.model.config.vocab_size);
  const auto logits = [&](std::optional<double> alpha) {
    const GgufFile file =
        random_adapter("llama", {{"blk.0.attn_q.weight.lora_a", 256, 4}, {"blk.0.attn_q.weight.lora_b", 4, 256}}, {}, alpha);
    return adapted_logits(loaded, tokens, {{adapter_for(file, loaded.model.config), 1.5f}}, 20);
  };
  const auto expected = logits(4.0);  // the rank
  CHECK_FALSE(same_bits(expected, all_logits(loaded, tokens, {20}, KvType::kF32)));
  CHECK(same_bits(expected, logits(0.0)));
  CHECK(same_bits(expected, logits(std::nullopt)));
  CHECK_FALSE(same_bits(expected, logits(8.0)));
}

TEST_CASE("a term of a fused matrix goes to each of its parts") {
  const GgufFile base = open_golden("phi3");
  Loaded loaded(base, *find_kernels(""), 1);
  const Config& c = loaded.model.config;
  const uint64_t width = c.width, qkv = c.q_width(0) + 2 * c.kv_width(0), gate_up = 2 * c.ffn_width;
  const auto adapter = adapter_for(random_adapter("phi3", {{"blk.0.attn_qkv.weight.lora_a", width, 2},
                                                           {"blk.0.attn_qkv.weight.lora_b", 2, qkv},
                                                           {"blk.0.ffn_up.weight.lora_a", width, 3},
                                                           {"blk.0.ffn_up.weight.lora_b", 3, gate_up}}),
                                   c);
  CHECK(adapter->term(0, Projection::kQ).rows == c.q_width(0));
  CHECK(adapter->term(0, Projection::kV).rows == c.kv_width(0));
  CHECK(adapter->term(0, Projection::kUp).rank == 3);
  CHECK(adapter->term(0, Projection::kDown).rank == 0);
  CHECK(adapter->term(1, Projection::kQ).rank == 0);
}

TEST_CASE("the matrices of a short convolution are adapted, and no others of its layer") {
  const GgufFile base = open_golden("lfm2");
  Loaded loaded(base, *find_kernels(""), 2);
  const Config& c = loaded.model.config;
  REQUIRE(c.is_conv(0));
  const uint64_t width = c.width;
  const std::vector<Factor> in = {{"blk.0.shortconv.in_proj.weight.lora_a", width, 2},
                                  {"blk.0.shortconv.in_proj.weight.lora_b", 2, 3 * width}};
  const std::vector<Factor> out = {{"blk.0.shortconv.out_proj.weight.lora_a", width, 2},
                                   {"blk.0.shortconv.out_proj.weight.lora_b", 2, width}};
  const auto tokens = some_tokens(40, c.vocab_size);
  const auto plain = adapted_logits(loaded, tokens, {}, 40);
  for (const auto& factors : {in, out}) {
    const auto adapter = adapter_for(random_adapter("lfm2", factors), c);
    const auto adapted = adapted_logits(loaded, tokens, {{adapter, 1.0f}}, 40);
    CHECK_FALSE(same_bits(adapted, plain));
    CHECK(same_bits(adapted, adapted_logits(loaded, tokens, {{adapter, 1.0f}}, 7)));
  }
  const auto refused = Adapter::load(random_adapter("lfm2", {{"blk.0.attn_output.weight.lora_a", width, 2}}), c);
  CHECK_FALSE(refused);
}

TEST_CASE("a layer without a matrix for v has none to adapt") {
  const GgufFile base = open_golden("gemma4-31b");
  const Config c = Config::from_gguf(base).value();
  const auto load = [&](int layer) {
    const std::string name = "blk." + std::to_string(layer) + ".attn_v.weight.lora_";
    return Adapter::load(random_adapter("gemma4", {{name + "a", static_cast<uint64_t>(c.width), 2},
                                                   {name + "b", 2, static_cast<uint64_t>(c.kv_width(layer))}}),
                         c);
  };
  REQUIRE(c.v_is_k(2));
  CHECK(load(0));
  const auto refused = load(2);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("blk.2.attn_v.weight.lora_a adds to nothing") != std::string::npos);
}

TEST_CASE("adapters that do not fit are refused by the name of the first tensor or key") {
  Loaded loaded(open_golden("llama"), *find_kernels(""), 1);
  const Config& config = loaded.model.config;
  const auto refused = [&](const GgufFile& file, ErrorCode code, const std::string& part) {
    const auto adapter = Adapter::load(file, config);
    REQUIRE_FALSE(adapter);
    CHECK(adapter.error().code == code);
    CHECK_MESSAGE(adapter.error().message.find(part) != std::string::npos, adapter.error().message);
  };
  const Factor a{"blk.0.attn_v.weight.lora_a", 32, 2}, b{"blk.0.attn_v.weight.lora_b", 2, 32};
  REQUIRE(Adapter::load(random_adapter("llama", {a, b}), config));
  refused(random_adapter("qwen2", {a, b}), ErrorCode::kBadFile, "general.architecture is \"qwen2\", expected \"llama\"");
  refused(random_adapter("llama", {a}), ErrorCode::kNotFound, "blk.0.attn_v.weight.lora_b is missing");
  refused(random_adapter("llama", {b}), ErrorCode::kNotFound, "blk.0.attn_v.weight.lora_a is missing");
  refused(random_adapter("llama", {{a.name, 48, 2}, b}), ErrorCode::kBadFile, "blk.0.attn_v.weight.lora_a has 2 rows of 48 values");
  refused(random_adapter("llama", {a, {b.name, 3, 32}}), ErrorCode::kBadFile, "blk.0.attn_v.weight.lora_b has 32 rows of 3 values");
  refused(random_adapter("llama", {a, b, {"blk.9.attn_v.weight.lora_a", 32, 2}}), ErrorCode::kBadFile, "blk.9.attn_v.weight.lora_a");
  refused(random_adapter("llama", {a, b}, [](GgufWriter& w) { w.set("adapter.type", std::string("control")); }), ErrorCode::kBadFile,
          "adapter.type is \"control\"");
  refused(random_adapter("llama", {a, b}, [](GgufWriter& w) { w.set("general.type", std::string("model")); }), ErrorCode::kBadFile,
          "general.type");
  refused(open_golden("llama"), ErrorCode::kNotFound, "general.type");
  const auto fitting = adapter_for(random_adapter("llama", {a, b}), config);
  CHECK_FALSE(AdapterSet::create(std::vector<ActiveAdapter>(9, {fitting, 1.0f}), 8));
  CHECK_FALSE(AdapterSet::create({{fitting, NAN}}, 8));
}

}  // namespace tessera

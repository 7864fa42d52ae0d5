// Every supported architecture: logits of tiny random models against those of transformers (scripts/make_architecture_golden.py), and
// the same bits over kernels, threads and batches.
#include "core/model/architectures/architectures.h"

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "core/gguf/writer.h"
#include "tests/core/model/loaded.h"

namespace tessera {
namespace {

using namespace testing;

constexpr double kTolerance = 1e-4;  // found: 4e-5 at most; every mistake of the third test is 10 times the tolerance

constexpr const char* kGoldenModels[] = {
    "llama",      "llama-bias-tied", "llama3",   "llama-linear", "llama-yarn", "mistral",  "mixtral",    "mistral3",   "qwen2",
    "qwen2moe",   "qwen3",           "qwen3moe", "gemma",        "gemma2",     "gemma3",   "gemma4-31b", "gemma4-e2b", "phi3",
    "phi3-short", "phi3-long",       "smollm3",  "granite",      "granitemoe", "olmo2",    "olmo3",      "exaone4",    "exaone4-window",
    "ernie4_5",   "hunyuan-dense",   "arcee",    "gpt-oss",      "lfm2",       "lfm2-long"};

}  // namespace

TEST_CASE("logits of every architecture are those of transformers in float32") {
  std::set<std::string> seen;
  for (const std::string name : kGoldenModels) {
    CAPTURE(name);
    const GgufFile file = open_golden(name);
    Loaded loaded(file, *find_kernels(""), 2);
    seen.insert(loaded.model.config.architecture);
    const auto logits = all_logits(loaded, golden_tokens(file), {80}, KvType::kF32);
    const double difference = largest_difference(file, logits, loaded.model.config.vocab_size);
    CHECK(difference <= kTolerance);
  }
  for (const Architecture& architecture : kArchitectures) CHECK_MESSAGE(seen.contains(std::string(architecture.name)), architecture.name);
}

TEST_CASE("one arithmetic in every architecture: kernels, threads and batches give the same bits") {
  for (const std::string name : kGoldenModels) {
    CAPTURE(name);
    const GgufFile file = open_golden(name);
    Loaded reference(file, *find_kernels("scalar"), 1);
    const auto tokens = golden_tokens(file);
    const auto expected = all_logits(reference, tokens, {80});
    for (const KernelTable* kernels : available_kernels()) {
      CAPTURE(kernels->name);
      for (int threads : {1, 3}) {
        Loaded loaded(file, *kernels, threads);
        CHECK(same_bits(expected, all_logits(loaded, tokens, {1})));
        CHECK(same_bits(expected, all_logits(loaded, tokens, {3, 33, 1, 16})));
      }
    }
  }
}

TEST_CASE("every part that an architecture adds shows in the logits") {
  struct Mistake {
    const char* model;
    void (*make)(Config& config);
  };
  const Mistake mistakes[] = {
      {"llama", [](Config& c) { c.rope.split_halves = c.rope_local.split_halves = true; }},
      {"llama-linear", [](Config& c) { c.rope.scale = 1; }},
      {"llama-yarn", [](Config& c) { c.rope.magnitude = 1; }},
      {"llama-yarn", [](Config& c) { c.rope.yarn = false; }},
      {"llama-yarn", [](Config& c) { c.rope.ramp_low += 1; }},
      {"mistral", [](Config& c) { c.window += 1; }},
      {"mixtral", [](Config& c) { c.experts.renormalize = false; }},
      {"mixtral", [](Config& c) { c.experts.used = 1; }},
      {"arcee", [](Config& c) { c.rope.yarn = false; }},
      {"mistral3", [](Config& c) { c.temperature_scale = 0; }},
      {"mistral3", [](Config& c) { c.temperature_length = 33; }},
      {"mistral3", [](Config& c) { c.rope.magnitude = 1.1; }},
      {"qwen2", [](Config& c) { c.rope.split_halves = false; }},
      {"qwen2moe", [](Config& c) { c.experts.renormalize = true; }},
      {"qwen2moe", [](Config& c) { c.experts.shared_gate = false; }},
      {"qwen3moe", [](Config& c) { c.experts.renormalize = false; }},
      {"gemma", [](Config& c) { c.activation = Activation::kSilu; }},
      {"gemma", [](Config& c) { c.embedding_scale = 1; }},
      {"gemma2", [](Config& c) { c.attention_softcap = 0; }},
      {"gemma2", [](Config& c) { c.logit_softcap = 0; }},
      {"gemma2", [](Config& c) { c.window_pattern = 3; }},
      {"gemma3", [](Config& c) { c.rope.scale = 1; }},
      {"gemma3", [](Config& c) { c.rope_local.base = c.rope.base; }},
      {"gemma4-31b", [](Config& c) { c.attention_scale = 0.25f; }},
      {"gemma4-31b", [](Config& c) { c.logit_softcap = 0; }},
      {"gemma4-31b", [](Config& c) { c.rope_local.base = c.rope.base; }},
      {"gemma4-31b", [](Config& c) { c.rope_local.dims /= 2; }},
      {"gemma4-31b", [](Config& c) { c.rope_local.divided = true; }},
      {"gemma4-e2b", [](Config& c) { c.per_layer_width = 0; }},
      {"phi3", [](Config& c) { c.window = 0; }},
      {"phi3-short", [](Config& c) { c.rope.dims = 14; }},
      {"phi3-long", [](Config& c) { c.rope.magnitude = 1; }},
      {"phi3-long", [](Config& c) { c.original_context = 80; }},
      {"smollm3", [](Config& c) { c.rope_free_period = 0; }},
      {"granite", [](Config& c) { c.residual_scale = 1; }},
      {"granite", [](Config& c) { c.logit_scale = 1; }},
      {"granitemoe", [](Config& c) { c.experts.renormalize = false; }},
      {"olmo3", [](Config& c) { c.window = 0; }},
      {"olmo3", [](Config& c) { c.window_pattern = 3; }},
      {"olmo3", [](Config& c) { c.rope.magnitude = 1; }},
      {"olmo3", [](Config& c) { c.rope_local = c.rope; }},
      {"ernie4_5", [](Config& c) { c.rope.split_halves = true; }},
      {"exaone4", [](Config& c) { c.rope_free_period = 2; }},
      {"hunyuan-dense", [](Config& c) { c.qk_norm = QkNorm::kHead; }},
      {"hunyuan-dense", [](Config& c) { c.rope.base = 100; }},
      {"exaone4-window", [](Config& c) { c.rope_free_period = 0; }},
      {"exaone4-window", [](Config& c) { c.window_pattern = 3; }},
      {"exaone4-window", [](Config& c) { c.window += 1; }},
      {"gpt-oss", [](Config& c) { c.rope.whole_ramp = c.rope_local.whole_ramp = true; }},
      {"gpt-oss", [](Config& c) { c.rope_local.magnitude = 1; }},
      {"gpt-oss", [](Config& c) { c.window_pattern = 3; }},
      {"gpt-oss", [](Config& c) { c.activation = Activation::kSilu; }},
      {"gpt-oss", [](Config& c) { c.experts.renormalize = false; }},
      {"gpt-oss", [](Config& c) { c.experts.biases = false; }},
      {"lfm2", [](Config& c) { c.conv_length = 2; }},
      {"lfm2", [](Config& c) { c.qk_norm = QkNorm::kNone; }},
      {"lfm2", [](Config& c) { c.rope.split_halves = false; }},
      {"lfm2-long", [](Config& c) { c.conv_length = 5; }},
  };
  for (const Mistake& mistake : mistakes) {
    const std::string name = mistake.model;
    CAPTURE(name);
    const GgufFile file = open_golden(name);
    Loaded loaded(file, *find_kernels(""), 2);
    mistake.make(loaded.model.config);
    const auto logits = all_logits(loaded, golden_tokens(file), {80}, KvType::kF32);
    CHECK(largest_difference(file, logits, loaded.model.config.vocab_size) > 10 * kTolerance);
  }
}

TEST_CASE("K and V that a file holds for layers that share those of earlier ones are not read") {
  const GgufFile file = open_golden("gemma4-e2b");
  GgufWriter writer;
  for (const auto& [key, value] : file.metadata()) writer.set(key, value);
  for (const TensorInfo& tensor : file.tensors()) {
    const auto bytes = file.view(tensor);
    REQUIRE(writer.add_tensor(tensor.name, tensor.dtype, tensor.shape, {bytes.begin(), bytes.end()}));
  }
  for (const char* name : {"blk.7.attn_k.weight", "blk.7.attn_v.weight", "blk.5.attn_k_norm.weight"}) {
    REQUIRE(writer.add_tensor(name, DType::kF32, {32}, std::vector<std::byte>(32 * 4)));
  }
  auto longer = GgufFile::open(std::make_shared<MemorySource>(writer.to_bytes().value()));
  REQUIRE(longer);
  Loaded plain(file, *find_kernels(""), 1), loaded(*longer, *find_kernels(""), 1);
  CHECK(same_bits(all_logits(plain, golden_tokens(file), {80}), all_logits(loaded, golden_tokens(file), {80})));
}

TEST_CASE("every vector that an architecture adds shows in the logits") {
  struct Omission {
    const char* model;
    void (*make)(Weights& weights);
  };
  const Omission omissions[] = {
      {"llama-bias-tied", [](Weights& w) { w.layers[0].o_bias = nullptr; }},
      {"qwen2", [](Weights& w) { w.layers[0].k_bias = nullptr; }},
      {"gpt-oss", [](Weights& w) { w.layers[0].sinks = nullptr; }},
      {"gpt-oss", [](Weights& w) { w.layers[0].q_bias = nullptr; }},
      {"gpt-oss", [](Weights& w) { w.layers[0].o_bias = nullptr; }},
      {"gpt-oss", [](Weights& w) { w.layers[0].experts.router_bias = nullptr; }},
      {"gpt-oss", [](Weights& w) { w.layers[0].experts.gate_bias = w.layers[0].experts.up_bias; }},
      {"gpt-oss", [](Weights& w) { w.layers[0].experts.up_bias = w.layers[0].experts.gate_bias; }},
      {"gpt-oss", [](Weights& w) { w.layers[0].experts.down_bias += 32; }},
      {"gemma4-e2b", [](Weights& w) { w.layers[1].v_norm = nullptr; }},
      {"gemma4-e2b", [](Weights& w) { w.layers[1].output_scale = nullptr; }},
      {"gemma4-e2b", [](Weights& w) { w.per_layer_norm = w.layers[0].v_norm; }},
      {"gemma4-e2b", [](Weights& w) { w.layers[1].post_per_layer_norm = w.layers[1].post_ffn_norm; }},
      {"gemma4-e2b", [](Weights& w) { w.rope_divisors = nullptr; }},
  };
  for (const Omission& omission : omissions) {
    const std::string name = omission.model;
    CAPTURE(name);
    const GgufFile file = open_golden(name);
    Loaded loaded(file, *find_kernels(""), 2);
    omission.make(loaded.model.weights);
    const auto logits = all_logits(loaded, golden_tokens(file), {80}, KvType::kF32);
    CHECK(largest_difference(file, logits, loaded.model.config.vocab_size) > 10 * kTolerance);
  }
}

}  // namespace tessera

// Metadata of models: what is read, and which values are refused by name.
#include <cmath>
#include <string>
#include <vector>

#include "core/base/byte_source.h"
#include "core/gguf/writer.h"
#include "core/model/architectures/architectures.h"
#include "core/model/experts.h"
#include "doctest/doctest.h"

namespace tessera {
namespace {

// A header that every architecture can be read from, but for the keys in `changes` ("llama.block_count" style without the prefix).
Result<Config> read_with(const std::string& architecture, const std::vector<std::pair<std::string, MetadataValue>>& changes) {
  GgufWriter writer;
  const std::string prefix = architecture + ".";
  writer.set("general.architecture", architecture);
  for (const auto& [key, value] : std::vector<std::pair<std::string, MetadataValue>>{{"block_count", uint64_t{2}},
                                                                                     {"embedding_length", uint64_t{64}},
                                                                                     {"attention.head_count", uint64_t{4}},
                                                                                     {"attention.head_count_kv", uint64_t{2}},
                                                                                     {"feed_forward_length", uint64_t{96}},
                                                                                     {"context_length", uint64_t{256}},
                                                                                     {"attention.layer_norm_rms_epsilon", 1e-5},
                                                                                     {"attention.sliding_window", uint64_t{0}}}) {
    writer.set(prefix + key, value);
  }
  for (const auto& [key, value] : changes) writer.set(prefix + key, value);
  REQUIRE(writer.add_tensor("token_embd.weight", DType::kF32, {64, 8}, std::vector<std::byte>(64 * 8 * 4)));
  if (architecture == "gemma4") REQUIRE(writer.add_tensor("rope_freqs.weight", DType::kF32, {8}, std::vector<std::byte>(8 * 4)));
  auto file = GgufFile::open(std::make_shared<MemorySource>(writer.to_bytes().value()));
  REQUIRE(file);
  return Config::from_gguf(*file);
}

void check_refused(const Result<Config>& found, ErrorCode code, const std::string& part) {
  REQUIRE_FALSE(found);
  CHECK(found.error().code == code);
  CHECK_MESSAGE(found.error().message.find(part) != std::string::npos, found.error().message);
}

constexpr MetadataValue kHuge = ~uint64_t{0};

}  // namespace

TEST_CASE("an unknown architecture is refused with the list of known ones") {
  const auto found = read_with("rwkv7", {});
  check_refused(found, ErrorCode::kUnsupported, "\"rwkv7\", supported are llama, ");
  for (const Architecture& known : kArchitectures) CHECK(found.error().message.find(known.name) != std::string::npos);
}

TEST_CASE("hostile and unknown values name their key") {
  const auto bad = ErrorCode::kBadFile, unsupported = ErrorCode::kUnsupported;
  for (const char* key : {"block_count", "embedding_length", "attention.head_count", "attention.head_count_kv", "feed_forward_length",
                          "context_length", "attention.key_length", "rope.dimension_count", "attention.sliding_window"}) {
    check_refused(read_with("llama", {{key, kHuge}}), bad, std::string("llama.") + key);
    if (std::string(key) != "attention.sliding_window") check_refused(read_with("llama", {{key, uint64_t{0}}}), bad, key);
  }
  check_refused(read_with("llama", {{"attention.head_count_kv", uint64_t{3}}}), bad, "expected a divisor of the 4 heads");
  check_refused(read_with("llama", {{"attention.layer_norm_rms_epsilon", -1.0}}), bad, "layer_norm_rms_epsilon");
  check_refused(read_with("llama", {{"rope.scaling.type", std::string("dynamic")}}), unsupported, "rope scaling of type dynamic");
  check_refused(read_with("llama", {{"rope.scaling.type", std::string("longrope")}}), unsupported, "rope scaling of type longrope");
  check_refused(read_with("llama", {{"rope.scaling.type", std::string("yarn")}}), ErrorCode::kNotFound, "rope.scaling.factor");
  check_refused(read_with("llama", {{"rope.scaling.type", std::string("yarn")}, {"rope.scaling.factor", 0.0}}), bad, "rope.scaling.factor");
  check_refused(read_with("granite", {{"logit_scale", -1.0}}), bad, "granite.logit_scale");
  check_refused(read_with("gemma2", {{"attention.sliding_window", uint64_t{4}}, {"attn_logit_softcapping", -3.0}}), bad, "softcapping");
  check_refused(read_with("hunyuan-dense", {{"rope.scaling.alpha", 50.0}}), unsupported, "rope.scaling.alpha");
  check_refused(read_with("mistral3", {{"attention.temperature_scale", 0.1}}), ErrorCode::kNotFound, "original_context_length");
}

TEST_CASE("which layers have a window: a period, or flags that repeat with one") {
  const std::string key = "attention.sliding_window_pattern";
  const auto olmo3 = [&](const MetadataValue& pattern) {
    return read_with("olmo2", {{"block_count", uint64_t{5}}, {"attention.sliding_window", uint64_t{16}}, {key, pattern}});
  };
  for (const MetadataValue& pattern : {MetadataValue(uint64_t{3}), MetadataValue(std::vector<int64_t>{1, 1, 0, 1, 1})}) {
    const auto found = olmo3(pattern);
    REQUIRE(found);
    CHECK(found.value().window_pattern == 3);
  }
  const auto all_local = olmo3(std::vector<int64_t>{1, 1, 1, 1, 1});
  REQUIRE(all_local);
  CHECK(all_local.value().is_local(4));
  CHECK(read_with("olmo2", {{"attention.sliding_window", uint64_t{16}}}).value().window_pattern == 4);
  for (const MetadataValue& pattern : {MetadataValue(std::vector<int64_t>{1, 1, 0, 1, 0}), MetadataValue(std::vector<int64_t>{1, 1, 0, 1}),
                                       MetadataValue(std::vector<int64_t>{})}) {
    check_refused(olmo3(pattern), ErrorCode::kUnsupported, "sliding windows in another order");
  }
  check_refused(olmo3(uint64_t{0}), ErrorCode::kBadFile, key);
  check_refused(olmo3(std::string("LLLG")), ErrorCode::kBadFile, key);
}

TEST_CASE("every family with windows takes their pattern, as a number and as flags") {
  const std::string key = "attention.sliding_window_pattern";
  for (const char* architecture : {"llama", "phi3", "gemma2", "gemma3", "gemma4", "olmo2", "exaone4", "gpt-oss"}) {
    CAPTURE(architecture);
    const auto read = [&](const MetadataValue& pattern) {
      const auto found = read_with(architecture, {{"block_count", uint64_t{5}},
                                                  {"attention.sliding_window", uint64_t{16}},
                                                  {"expert_count", uint64_t{std::string(architecture) == "gpt-oss" ? 4u : 0u}},
                                                  {"expert_used_count", uint64_t{2}},
                                                  {key, pattern}});
      REQUIRE_MESSAGE(found, (found ? "" : found.error().message));
      return found.value();
    };
    for (const MetadataValue& pattern : {MetadataValue(uint64_t{3}), MetadataValue(std::vector<int64_t>{1, 1, 0, 1, 1})}) {
      const Config found = read(pattern);
      CHECK(found.is_local(1));
      CHECK_FALSE(found.is_local(2));
    }
    CHECK_FALSE(read(std::vector<int64_t>{0, 0, 0, 0, 0}).is_local(0));
  }
  CHECK(read_with("llama", {{"attention.sliding_window", uint64_t{16}}}).value().is_local(1));
}

TEST_CASE("what window layers have of their own is what the global ones have, or refused by name") {
  struct Key {
    const char* key;
    double other, usual;
  };
  for (const auto& [key, other, usual] : {Key{"rope.freq_base_swa", 500, 10000}, Key{"rope.dimension_count_swa", 8, 16},
                                          Key{"attention.key_length_swa", 32, 16}, Key{"attention.value_length_swa", 32, 16}}) {
    for (const char* architecture : {"llama", "phi3", "gemma2", "exaone4"}) {
      const auto read = [&](double value, uint64_t window = 4) {
        return read_with(architecture, {{"attention.sliding_window", window}, {key, value}});
      };
      check_refused(read(other), ErrorCode::kUnsupported, std::string(architecture) + "." + key + " is ");
      CHECK(read(usual));
      CHECK(read(0));
      if (std::string(architecture) != "gemma2") CHECK(read(other, 0));
    }
  }
}

TEST_CASE("0 is none, as llama.cpp saves it, where the family reads the key") {
  const auto granite = read_with("granite", {{"embedding_scale", 0.0}, {"residual_scale", 0.0}, {"logit_scale", 0.0}});
  REQUIRE(granite);
  CHECK(granite.value().embedding_scale == 1.0f);
  CHECK(granite.value().residual_scale == 1.0f);
  CHECK(granite.value().logit_scale == 1.0f);
  const std::pair<std::string, MetadataValue> window = {"attention.sliding_window", uint64_t{4}};
  const auto gemma2 = read_with("gemma2", {window, {"attn_logit_softcapping", 0.0}, {"final_logit_softcapping", 0.0}});
  REQUIRE(gemma2);
  CHECK(gemma2.value().attention_softcap == 0.0f);
  CHECK(gemma2.value().logit_softcap == 0.0f);
  CHECK(read_with("gemma2", {window}).value().attention_softcap == 50.0f);
  CHECK(read_with("gemma2", {window}).value().logit_softcap == 30.0f);
  const auto mixtral =
      read_with("llama", {{"expert_count", uint64_t{4}}, {"expert_used_count", uint64_t{2}}, {"expert_feed_forward_length", uint64_t{0}}});
  REQUIRE(mixtral);
  CHECK(mixtral.value().experts.width == 96);
}

TEST_CASE("qwen2moe divides its experts' probabilities by their sum where the file says so") {
  const auto renormalize = [](const std::vector<std::pair<std::string, MetadataValue>>& more) {
    std::vector<std::pair<std::string, MetadataValue>> all = {
        {"expert_count", uint64_t{4}}, {"expert_used_count", uint64_t{2}}, {"expert_shared_feed_forward_length", uint64_t{32}}};
    all.insert(all.end(), more.begin(), more.end());
    return read_with("qwen2moe", all).value().experts.renormalize;
  };
  CHECK(renormalize({{"expert_weights_norm", true}}));
  CHECK_FALSE(renormalize({{"expert_weights_norm", false}}));
  CHECK_FALSE(renormalize({}));
}

TEST_CASE("olmo2's attention factor: YaRN's own, whether or not the file says it once more") {
  const auto read = [](double given) {
    return read_with("olmo2", {{"rope.scaling.type", std::string("yarn")},
                               {"rope.scaling.factor", 8.0},
                               {"rope.scaling.original_context_length", uint64_t{8192}},
                               {"rope.scaling.attn_factor", given}});
  };
  for (double given : {1.0, 1.2079441}) {
    REQUIRE(read(given));
    CHECK(read(given).value().rope.magnitude == doctest::Approx(1.2079442));
  }
  check_refused(read(1.1), ErrorCode::kUnsupported, "attention factor of olmo2");
}

TEST_CASE("experts: more used than there are, none, in an architecture without them") {
  const auto experts = [](uint64_t count, uint64_t used) {
    return std::vector<std::pair<std::string, MetadataValue>>{{"expert_count", count}, {"expert_used_count", used}};
  };
  check_refused(read_with("qwen3moe", experts(4, 5)), ErrorCode::kBadFile, "expert_used_count is 5, expected at most the 4");
  check_refused(read_with("qwen3moe", experts(4, 0)), ErrorCode::kBadFile, "expert_used_count is 0");
  check_refused(read_with("qwen3moe", experts(uint64_t{1} << 40, 1)), ErrorCode::kBadFile, "expert_count");
  check_refused(read_with("qwen3moe", {}), ErrorCode::kNotFound, "expert_count");
  check_refused(read_with("qwen2", experts(4, 2)), ErrorCode::kUnsupported, "mixture of experts in the architecture qwen2");
  for (const char* dense : {"llama", "qwen2"}) {
    const auto config = read_with(dense, experts(0, 0));
    REQUIRE(config);
    CHECK(config.value().experts.count == 0);
  }
  const auto mixtral = read_with("llama", experts(4, 2));
  REQUIRE(mixtral);
  CHECK(mixtral.value().experts.width == 96);
}

TEST_CASE("numbers of each layer: one for all or an array as long as there are layers") {
  const auto pattern = [](std::vector<std::pair<std::string, MetadataValue>> more) {
    more.insert(more.begin(),
                {{"attention.sliding_window", uint64_t{4}}, {"attention.sliding_window_pattern", std::vector<int64_t>{1, 0}}});
    return read_with("gemma4", more);
  };
  const auto arrays = pattern({{"attention.head_count_kv", std::vector<int64_t>{4, 1}},
                               {"feed_forward_length", std::vector<int64_t>{32, 64}},
                               {"attention.key_length", uint64_t{32}},
                               {"attention.value_length", uint64_t{32}},
                               {"attention.key_length_swa", uint64_t{16}},
                               {"attention.value_length_swa", uint64_t{16}}});
  REQUIRE(arrays);
  const Config& c = arrays.value();
  CHECK(c.kv_width(0) == 4 * 16);
  CHECK(c.kv_width(1) == 1 * 32);
  CHECK(c.max_kv_width() == 64);
  CHECK(c.q_width(0) == 64);
  CHECK(c.max_q_width() == 128);
  CHECK(c.ffn_width_of(0) == 32);
  CHECK(c.ffn_width == 64);
  const auto bad = ErrorCode::kBadFile, unsupported = ErrorCode::kUnsupported;
  check_refused(pattern({{"attention.head_count_kv", std::vector<int64_t>{4, 3}}}), bad, "head_count_kv is 3");
  check_refused(pattern({{"attention.head_count_kv", std::vector<int64_t>{4, -1}}}), bad, "head_count_kv");
  check_refused(pattern({{"feed_forward_length", std::vector<int64_t>{32}}}), bad, "feed_forward_length is an array of 1");
  check_refused(pattern({{"feed_forward_length", std::vector<int64_t>{32, 0}}}), bad, "feed_forward_length is 0");
  check_refused(pattern({{"attention.key_length_swa", uint64_t{32}}}), bad, "key_length_swa is 32, expected 1 to 16");
  check_refused(pattern({{"attention.value_length_swa", uint64_t{8}}}), unsupported, "keys and values differ");
  check_refused(pattern({{"attention.shared_kv_layers", uint64_t{2}}}), bad, "shared_kv_layers is 2, expected 0 to 1");
  check_refused(pattern({{"attention.shared_kv_layers", uint64_t{1}}}), bad, "an earlier layer whose K and V layer 1 can take");
  check_refused(pattern({{"embedding_length_per_layer_input", kHuge}}), bad, "embedding_length_per_layer_input");
  check_refused(pattern({{"expert_count", uint64_t{128}}}), unsupported, "mixture of experts in the architecture gemma4");
}

TEST_CASE("gpt-oss: what is read, and the keys that would change what is computed") {
  std::vector<std::pair<std::string, MetadataValue>> keys = {
      {"attention.sliding_window", uint64_t{128}}, {"expert_count", uint64_t{4}}, {"expert_used_count", uint64_t{2}}};
  const auto found = read_with("gpt-oss", keys);
  REQUIRE(found);
  CHECK(found.value().is_local(0));
  CHECK_FALSE(found.value().is_local(1));
  CHECK(found.value().experts.biases);
  keys.emplace_back("swiglu_clamp_exp", 6.0);
  check_refused(read_with("gpt-oss", keys), ErrorCode::kUnsupported, "gpt-oss.swiglu_clamp_exp");
}

TEST_CASE("layers without attention: which they are, and only where the architecture has something in its place") {
  const auto bad = ErrorCode::kBadFile, unsupported = ErrorCode::kUnsupported;
  const auto read = [](const std::string& architecture, std::vector<int64_t> heads, MetadataValue taps = uint64_t{3}) {
    return read_with(architecture, {{"attention.head_count_kv", std::move(heads)}, {"shortconv.l_cache", std::move(taps)}});
  };
  const auto found = read("lfm2", {0, 2});
  REQUIRE(found);
  CHECK(found.value().is_conv(0));
  CHECK_FALSE(found.value().is_conv(1));
  CHECK(found.value().kv_heads == 2);
  CHECK(found.value().conv_length == 3);
  CHECK(read("lfm2", {2, 2}).value().conv_layers.empty());
  CHECK(read("llama", {2, 2}).value().kv_heads == 2);
  check_refused(read("llama", {0, 2}), unsupported, "layers without attention in the architecture llama");
  check_refused(read("lfm2", {0, 0}), bad, "head_count_kv is 0 in every layer");
  CHECK(read("lfm2", {1, 2}).value().kv_heads_of(0) == 1);
  check_refused(read("lfm2", {0, 2, 0}), bad, "head_count_kv is an array of 3, expected one of 2");
  check_refused(read("lfm2", {}), bad, "head_count_kv is an array of 0");
  check_refused(read("lfm2", {-1, 2}), bad, "head_count_kv[0] is -1");
  check_refused(read("lfm2", {2, int64_t{1} << 40}), bad, "head_count_kv[1] is 1099511627776");
  check_refused(read("lfm2", {0, 2}, uint64_t{0}), bad, "lfm2.shortconv.l_cache is 0");
  check_refused(read("lfm2", {0, 2}, kHuge), bad, "lfm2.shortconv.l_cache");
  check_refused(read_with("lfm2", {}), ErrorCode::kNotFound, "lfm2.shortconv.l_cache");
  check_refused(read_with("lfm2", {{"shortconv.l_cache", uint64_t{3}}, {"attention.sliding_window", uint64_t{8}}}), unsupported,
                "sliding windows in the architecture lfm2");
}

TEST_CASE("YaRN's constants: ramp and magnitude") {
  const auto found = read_with("llama", {{"rope.scaling.type", std::string("yarn")},
                                         {"rope.scaling.factor", 4.0},
                                         {"rope.scaling.original_context_length", uint64_t{4096}},
                                         {"rope.freq_base", 10000.0}});
  REQUIRE(found);
  // 16 · ln(4096 / (2π · turns)) / (2 · ln 10000) for 32 turns and 1: 2.62 and 5.63.
  CHECK(found.value().rope.ramp_low == doctest::Approx(2.61806));
  CHECK(found.value().rope.ramp_high == doctest::Approx(5.62836));
  CHECK(found.value().rope.magnitude == doctest::Approx(1.1386294));
}

TEST_CASE("YaRN's factors of a file: those that are computed anyway, any other is refused") {
  const auto read = [](const char* key, double value) {
    return read_with("llama", {{"rope.scaling.type", std::string("yarn")},
                               {"rope.scaling.factor", 4.0},
                               {"rope.scaling.original_context_length", uint64_t{4096}},
                               {key, value}});
  };
  const char *whole = "rope.scaling.yarn_attn_factor", *weight = "rope.scaling.yarn_ext_factor";
  for (const double value : {0.0, 1.13863}) {
    REQUIRE(read(whole, value));
    CHECK(read(whole, value).value().rope.magnitude == doctest::Approx(1.1386294));
  }
  for (const double value : {1.0, 2.0}) check_refused(read(whole, value), ErrorCode::kUnsupported, std::string("llama.") + whole + " is ");
  CHECK(read(weight, 1.0));
  for (const double value : {0.0, 0.5})
    check_refused(read(weight, value), ErrorCode::kUnsupported, std::string("llama.") + weight + " is ");
}

TEST_CASE("linear scaling: by what a file without a type says, too, and under its old name") {
  const auto scale = [](const std::vector<std::pair<std::string, MetadataValue>>& keys) {
    const auto found = read_with("llama", keys);
    REQUIRE(found);
    return found.value().rope.scale;
  };
  const std::pair<std::string, MetadataValue> linear = {"rope.scaling.type", std::string("linear")},
                                              none = {"rope.scaling.type", std::string("none")}, factor = {"rope.scaling.factor", 4.0},
                                              old = {"rope.scale_linear", 8.0}, zero = {"rope.scaling.factor", 0.0};
  CHECK(scale({}) == 1.0);
  CHECK(scale({linear}) == 1.0);
  CHECK(scale({linear, zero}) == 1.0);
  CHECK(scale({linear, factor}) == 0.25);
  CHECK(scale({factor}) == 0.25);
  CHECK(scale({old}) == 0.125);
  CHECK(scale({linear, old}) == 0.125);
  CHECK(scale({factor, old}) == 0.25);
  CHECK(scale({none, factor}) == 1.0);
  check_refused(read_with("llama", {{"rope.scale_linear", -1.0}}), ErrorCode::kBadFile, "llama.rope.scale_linear");
}

TEST_CASE("rope.scaling.attn_factor: whatever the scaling, and in window layers that have a rope of their own") {
  const std::pair<std::string, MetadataValue> given = {"rope.scaling.attn_factor", 0.8}, window = {"attention.sliding_window", uint64_t{4}};
  for (const char* architecture : {"llama", "qwen2", "phi3"}) CHECK(read_with(architecture, {given}).value().rope.magnitude == 0.8);
  for (const char* architecture : {"gemma3", "gemma4"}) {
    const auto found = read_with(architecture, {given, window});
    REQUIRE(found);
    CHECK(found.value().rope.magnitude == 0.8);
    CHECK(found.value().rope_local.magnitude == 0.8);
  }
  const auto yarn = read_with("gemma3", {given,
                                         window,
                                         {"rope.scaling.type", std::string("yarn")},
                                         {"rope.scaling.factor", 4.0},
                                         {"rope.scaling.original_context_length", uint64_t{4096}}});
  REQUIRE(yarn);
  CHECK(yarn.value().rope.magnitude == doctest::Approx(0.8 * 1.1386294));
  CHECK(yarn.value().rope_local.magnitude == 0.8);
}

TEST_CASE("widths that a header alone promises are not cut to an int") {
  constexpr int64_t kHead = 1 << 20;
  const auto found = read_with("llama", {{"attention.head_count", uint64_t{4096}},
                                         {"attention.head_count_kv", uint64_t{2048}},
                                         {"attention.key_length", uint64_t{kHead}},
                                         {"embedding_length", uint64_t{kHead}},
                                         {"expert_count", uint64_t{4096}},
                                         {"expert_used_count", uint64_t{4096}}});
  REQUIRE(found);
  const Config& c = found.value();
  CHECK(c.q_width(0) == 4096 * kHead);
  CHECK(c.max_q_width() == 4096 * kHead);
  CHECK(c.kv_width(0) == 2048 * kHead);
  CHECK(c.max_kv_width() == 2048 * kHead);
  CHECK(ExpertBuffers::input_values(c) == uint64_t{ExpertBuffers::kTokens} * 4096 * kHead);
}

TEST_CASE("keys that change what is computed are refused by name where the architecture does not read them") {
  struct Key {
    const char *architecture, *key;
    double other;               ///< than what changes nothing
    std::vector<double> usual;  ///< what changes nothing
  };
  const Key keys[] = {{"llama", "attention.clamp_kqv", 8, {0}},
                      {"llama", "attention.max_alibi_bias", 8, {0}},
                      {"llama", "attn_logit_softcapping", 30, {0, 50}},
                      {"gemma3", "attn_logit_softcapping", 30, {0, 50}},
                      {"gemma4", "attn_logit_softcapping", 30, {0, 50}},
                      {"qwen3", "final_logit_softcapping", 50, {0, 30}},
                      {"llama", "embedding_scale", 12, {0, 1}},
                      {"mistral3", "residual_scale", 0.5, {0, 1}},
                      {"qwen2", "logit_scale", 0.0625, {0, 1}},
                      {"granitemoe", "expert_gating_func", 2, {0, 1}},
                      {"qwen3moe", "expert_weights_scale", 2.5, {0, 1}},
                      {"qwen2moe", "expert_group_count", 8, {0, 1}},
                      {"granitemoe", "router_logit_softcapping", 20, {0, 30}},
                      {"qwen3moe", "swiglu_clamp_exp", 7, {0}},
                      {"smollm3", "attention.temperature_scale", 0.1, {0}},
                      {"qwen3", "attention.output_scale", 0.5, {0, 1}},
                      {"llama", "rope.scaling.yarn_attn_factor", 2, {0, 1}},
                      {"llama", "rope.scaling.yarn_ext_factor", 0.5, {0, 1}},
                      {"qwen2", "attention.sliding_window", 255, {0, 256, 32768}}};
  for (const Key& key : keys) {
    CAPTURE(key.architecture);
    CAPTURE(key.key);
    const auto read = [&](double value) {
      std::vector<std::pair<std::string, MetadataValue>> all = {{"expert_shared_feed_forward_length", uint64_t{32}}};
      if (std::string(key.architecture).ends_with("moe"))
        all.insert(all.end(), {{"expert_count", uint64_t{4}}, {"expert_used_count", uint64_t{2}}});
      if (std::string(key.architecture).starts_with("gemma")) all.emplace_back("attention.sliding_window", uint64_t{4});
      const bool count = std::string(key.key) == "attention.sliding_window";
      all.emplace_back(key.key, count ? MetadataValue(static_cast<uint64_t>(value)) : MetadataValue(value));
      return read_with(key.architecture, all);
    };
    check_refused(read(key.other), ErrorCode::kUnsupported, std::string(key.architecture) + "." + key.key + " is ");
    for (const double value : key.usual) CHECK_MESSAGE(read(value), value);
  }
  check_refused(read_with("llama", {{"attention.causal", false}}), ErrorCode::kUnsupported, "attention that is not causal");
  CHECK(read_with("llama", {{"attention.causal", true}}));
  CHECK(read_with("llama", {{"expert_gating_func", uint64_t{2}}}));  // there are no experts
  CHECK(read_with("granite", {{"residual_scale", 0.5}}));
  CHECK(read_with("llama", {{"attention.scale", 0.0}}).value().attention_scale == 0.25f);
}

TEST_CASE("experts are chosen by probability, of equal ones the lower index") {
  const auto choose = [](std::vector<float> logits, bool renormalize, int used) {
    std::vector<int> chosen(used);
    std::vector<float> p(used);
    choose_experts(logits, renormalize, chosen, p);
    return std::pair(chosen, p);
  };
  const auto [equal, quarter] = choose({1, 1, 1, 1}, false, 2);
  CHECK(equal == std::vector<int>{0, 1});
  CHECK(quarter == std::vector<float>{0.25f, 0.25f});
  const auto [chosen, p] = choose({0, 3, -1, 2}, true, 2);
  CHECK(chosen == std::vector<int>{1, 3});
  CHECK(p[0] == doctest::Approx(0.7310586));
  CHECK(p[0] + p[1] == doctest::Approx(1.0));
  const auto [all, whole] = choose({NAN, NAN, NAN}, false, 3);
  CHECK(all == std::vector<int>{0, 1, 2});
}

}  // namespace tessera

#include "core/model/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/base/math.h"
#include "core/model/architectures/architectures.h"
#include "core/model/config_reader.h"

namespace tessera {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMostHeads = 4096;
constexpr const char* kRopeFactor = "rope.scaling.factor";
constexpr std::string_view kLongRope = "rope_factors_long.weight";

// attention.head_count_kv: one number, or one for each layer, which is 0 where something else takes attention's place.
void read_kv_heads(ConfigReader& in, Config& c) {
  const std::string key = "attention.head_count_kv";
  if (!in.is_array(key)) {
    c.kv_heads = in.count_or(key, kMostHeads, c.heads);
    return;
  }
  c.layer_kv_heads = in.counts(key, c.layers, kMostHeads);
  c.kv_heads = std::max(1, std::ranges::max(c.layer_kv_heads));
  if (std::ranges::max(c.layer_kv_heads) == 0) in.reject(key, "0 in every layer", "some layer with attention");
  if (std::ranges::min(c.layer_kv_heads) > 0) return;
  for (const int own : c.layer_kv_heads) c.conv_layers.push_back(own == 0);
}

void read_ffn_width(ConfigReader& in, Config& c) {
  const std::string key = "feed_forward_length";
  if (!in.is_array(key)) {
    c.ffn_width = in.count(key, kMaxWidth);
    return;
  }
  c.layer_ffn_widths = in.counts(key, c.layers, kMaxWidth);
  c.ffn_width = std::max(1, std::ranges::max(c.layer_ffn_widths));
  if (std::ranges::min(c.layer_ffn_widths) == 0) in.reject(key, "0 in some layer", "a feed-forward block in each");
}

void read_shape(ConfigReader& in, Config& c) {
  c.layers = in.count("block_count", 4096);
  c.width = in.count("embedding_length", kMaxWidth);
  c.heads = in.count("attention.head_count", kMostHeads);
  read_kv_heads(in, c);
  c.head_dim = in.count_or("attention.key_length", kMaxWidth, c.width / c.heads);
  read_ffn_width(in, c);
  c.trained_context = in.count("context_length", 1 << 26);
  c.norm_epsilon = static_cast<float>(in.number("attention.layer_norm_rms_epsilon"));
  if (const TensorInfo* embedding = in.file().find_tensor("token_embd.weight"); embedding != nullptr) {
    c.vocab_size = static_cast<int>(std::min<uint64_t>(embedding->rows(), 1 << 24));
  } else {
    in.keep({ErrorCode::kNotFound, "tensor token_embd.weight is missing", "the file holds no complete model"});
  }
  for (int layer = 0; layer < c.layers; ++layer) {
    const int kv_heads = c.kv_heads_of(layer);
    if (kv_heads == 0 || c.heads % kv_heads == 0) continue;
    in.reject("attention.head_count_kv", std::to_string(kv_heads), "a divisor of the " + std::to_string(c.heads) + " heads");
  }
  if (in.count_or("attention.value_length", kMaxWidth, c.head_dim) != c.head_dim) in.refuse("heads whose keys and values differ in length");
  if (c.head_dim < 16 || c.head_dim % 16 != 0) in.refuse("heads of " + std::to_string(c.head_dim) + " values (supported: multiples of 16)");
}

void refuse_value(ConfigReader& in, const Config& c, const std::string& key, double found, double usual) {
  std::array<char, 64> numbers;
  std::snprintf(numbers.data(), numbers.size(), " is %g, expected %g", found, usual);
  in.refuse(c.architecture + "." + key + numbers.data() + " in the architecture " + c.architecture);
}

// YaRN, and the factor by which it raises q and k: 0.1·ln(factor) + 1, or less where yarn_log_multiplier takes part of it back.
void read_yarn(ConfigReader& in, Config& c) {
  const double factor = in.number(kRopeFactor);
  c.rope.scale = 1.0 / factor;
  c.rope.set_yarn(in.count("rope.scaling.original_context_length", 1 << 26), in.number_or("rope.scaling.yarn_beta_fast", 32.0),
                  in.number_or("rope.scaling.yarn_beta_slow", 1.0));
  const double growth = factor > 1.0 ? 0.1 * log_f64(factor) : 0.0;
  const double own = (1.0 + growth) / (1.0 + in.number_or_none("rope.scaling.yarn_log_multiplier") * growth);
  c.rope.magnitude *= own;
  // Converters write a checkpoint's attention_factor here, which takes the place of that factor, or its attn_factor, which comes on top of
  // it; and a weight of the ramp, which is 1.
  const std::string whole = "rope.scaling.yarn_attn_factor", weight = "rope.scaling.yarn_ext_factor";
  constexpr double kRounded = 1e-4;
  const double given = in.number_or_none(whole);
  if (given > 0 && std::abs(given - own) > kRounded) refuse_value(in, c, whole, given, own);
  const double ramp = in.has(weight) ? in.number_or_none(weight) : 1.0;
  if (ramp != 1.0) refuse_value(in, c, weight, ramp, 1.0);
}

void read_rope(ConfigReader& in, Config& c) {
  c.rope.dims = in.count_or("rope.dimension_count", c.head_dim, c.head_dim);
  c.rope.base = in.number_or("rope.freq_base", 10000.0);
  if (c.rope.dims % 2 != 0) in.refuse("rope over an odd number of values");
  c.rope.magnitude = in.number_or("rope.scaling.attn_factor", 1.0);
  // A file without a type means linear, by rope.scale_linear where it is from before 2023-09; no factor and 0 leave positions as they are.
  const std::string scaling = in.text_or("rope.scaling.type", "linear");
  if (scaling == "linear") {
    const double factor = in.number_or_none(in.has(kRopeFactor) ? kRopeFactor : "rope.scale_linear");
    if (factor > 0) c.rope.scale = 1.0 / factor;
  } else if (scaling == "yarn") {
    read_yarn(in, c);
  } else if (scaling != "none" && (scaling != "longrope" || in.file().find_tensor(kLongRope) == nullptr)) {
    in.refuse("rope scaling of type " + scaling);
  }
}

// Keys by which other models are computed differently, and the values that change nothing: 0 is none to llama.cpp, which saves files with
// all of them, a model's own or its defaults (50 and 30 for the soft caps).
struct Consequence {
  const char* key;
  double usual, other;
};
constexpr Consequence kConsequences[] = {
    {"attention.clamp_kqv", 0, 0},
    {"attention.max_alibi_bias", 0, 0},
    {"attention.output_scale", 1, 0},
    {"attention.temperature_scale", 0, 0},
    {"attn_logit_softcapping", 0, 50},
    {"final_logit_softcapping", 0, 30},
    {"router_logit_softcapping", 0, 30},
    {"swiglu_clamp_exp", 0, 0},
    {"rope.scaling.yarn_attn_factor", 1, 0},
    {"rope.scaling.yarn_ext_factor", 1, 0},
    {"embedding_scale", 1, 0},
    {"residual_scale", 1, 0},
    {"logit_scale", 1, 0},
    {"expert_gating_func", 1, 0},
    {"expert_weights_scale", 1, 0},
    {"expert_group_count", 1, 0},
};

// A key that changes what is computed is never ignored: what the architecture has not read must say what is done anyway.
void refuse_unread(ConfigReader& in, const Config& c) {
  if (!in.flag_or("attention.causal", true)) in.refuse("attention that is not causal");
  for (const auto& [key, usual, other] : kConsequences) {
    if (!in.unread(key) || (c.experts.count == 0 && std::string_view(key).starts_with("expert_"))) continue;
    const double found = in.number_or_none(key);
    if (found != usual && found != other) refuse_value(in, c, key, found, usual);
  }
  // What window layers have of their own; 0, and what the global ones have, is none.
  const std::pair<const char*, double> of_windows[] = {{"rope.freq_base_swa", c.rope_local.base},
                                                       {"rope.dimension_count_swa", c.rope_local.dims},
                                                       {"attention.key_length_swa", c.head_dim},
                                                       {"attention.value_length_swa", c.head_dim}};
  for (const auto& [key, usual] : of_windows) {
    if (c.window == 0 || !in.unread(key)) continue;
    const double found = in.number_or_none(key);
    if (found != 0 && found != usual) refuse_value(in, c, key, found, usual);
  }
  // Some converters write the window that a checkpoint's config.json has and does not use: it is as long as the context.
  const std::string window_key = "attention.sliding_window";
  const int window = in.unread(window_key) ? in.count_or_none(window_key, 1 << 26) : 0;
  if (window > 0 && window < c.trained_context) refuse_value(in, c, window_key, window, 0);
}

const Architecture* find_architecture(const std::string& name) {
  const auto found = std::ranges::find(kArchitectures, name, &Architecture::name);
  return found == std::end(kArchitectures) ? nullptr : found;
}

Error unknown_architecture(const std::string& name) {
  std::string names;
  for (const Architecture& known : kArchitectures) {
    if (!names.empty()) names += &known == std::end(kArchitectures) - 1 ? " and " : ", ";
    names += known.name;
  }
  return {ErrorCode::kUnsupported, "general.architecture is \"" + name + "\", supported are " + names,
          "use a model of one of these families"};
}

}  // namespace

void read_experts(ConfigReader& in, Config& config) {
  ExpertConfig& experts = config.experts;
  experts.count = in.count("expert_count", 4096);
  experts.used = in.count("expert_used_count", 4096);
  experts.width = in.count_or_none("expert_feed_forward_length", kMaxWidth);
  if (experts.width == 0) experts.width = config.ffn_width;
  if (experts.used > experts.count) {
    in.reject("expert_used_count", std::to_string(experts.used), "at most the " + std::to_string(experts.count) + " of expert_count");
  }
}

int64_t Config::max_kv_width() const {
  int64_t widest = 0;
  for (int layer = 0; layer < layers; ++layer) widest = std::max(widest, kv_width(layer));
  return widest;
}

int Config::kv_layer(int layer) const {
  int own = layers - shared_kv_layers - 1;
  if (layer <= own) return layer;
  while (own > 0 && is_local(own) != is_local(layer)) --own;
  return own;
}

Result<Config> Config::from_gguf(const GgufFile& file) {
  const auto name = file.get_string("general.architecture");
  if (!name) return name.error();
  const Architecture* architecture = find_architecture(name.value());
  if (architecture == nullptr) return unknown_architecture(name.value());
  Config c;
  c.architecture = name.value();
  ConfigReader in(file, c.architecture);
  read_shape(in, c);
  c.attention_scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  read_rope(in, c);
  architecture->read(in, c);
  if (c.rope_local.dims == 0) c.rope_local = c.rope;
  if (const double scale = in.number_or_none("attention.scale"); scale > 0) c.attention_scale = static_cast<float>(scale);
  if (in.has("expert_count") && c.experts.count == 0 && in.count_or_none("expert_count", 4096) > 0) {
    in.refuse("a mixture of experts in the architecture " + c.architecture);
  }
  refuse_unread(in, c);
  if (!c.conv_layers.empty() && c.conv_length == 0) in.refuse("layers without attention in the architecture " + c.architecture);
  if (!in.result()) return in.result().error();
  return c;
}

}  // namespace tessera

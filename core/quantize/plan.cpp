#include "core/quantize/plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "core/tensor/blocks.h"

namespace tessera {
namespace {

/// The numbers are those of general.file_type in the GGUF specification.
constexpr std::array kFileTypes = {
    FileType{"F32", 0, DType::kF32},        FileType{"F16", 1, DType::kF16},      FileType{"Q4_0", 2, DType::kQ4_0},
    FileType{"Q4_1", 3, DType::kQ4_1},      FileType{"Q8_0", 7, DType::kQ8_0},    FileType{"Q5_0", 8, DType::kQ5_0},
    FileType{"Q5_1", 9, DType::kQ5_1},      FileType{"Q2_K", 10, DType::kQ2_K},   FileType{"Q3_K_S", 11, DType::kQ3_K},
    FileType{"Q3_K_M", 12, DType::kQ3_K},   FileType{"Q3_K_L", 13, DType::kQ3_K}, FileType{"Q4_K_S", 14, DType::kQ4_K},
    FileType{"Q4_K_M", 15, DType::kQ4_K},   FileType{"Q5_K_S", 16, DType::kQ5_K}, FileType{"Q5_K_M", 17, DType::kQ5_K},
    FileType{"Q6_K", 18, DType::kQ6_K},     FileType{"Q2_K_S", 21, DType::kQ2_K}, FileType{"IQ4_NL", 25, DType::kIQ4_NL},
    FileType{"IQ4_XS", 30, DType::kIQ4_XS}, FileType{"BF16", 32, DType::kBF16},
};

/// What a matrix does in its layer, as far as mixes tell matrices apart.
enum class Role { kEmbedding, kOutput, kAttentionV, kAttentionK, kAttentionOutput, kFfnDown, kOther };

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& letter : result) {
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  }
  return result;
}

Role role_of(std::string_view name) {
  const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") return Role::kEmbedding;
  if (name == "output.weight") return Role::kOutput;
  // A fused projection holds V, and gets the bits that V needs.
  if (has("attn_v.weight") || has("attn_qkv.weight") || has("attn_kv_b.weight")) return Role::kAttentionV;
  if (has("attn_k.weight")) return Role::kAttentionK;
  if (has("attn_output.weight")) return Role::kAttentionOutput;
  if (has("ffn_down")) return Role::kFfnDown;
  return Role::kOther;
}

/// Matrices that stay as they are: small, and wrong in a way that everything after them feels.
bool is_kept(const TensorInfo& tensor) {
  if (tensor.rows() == 1 || !tensor.name.ends_with("weight")) return true;  // a vector, even where the file calls it a matrix
  constexpr std::string_view kKept[] = {"_norm.weight",       "ffn_gate_inp.weight",        "position_embd.weight",
                                        "token_types.weight", "ssm_conv1d.weight",          "shortconv.conv.weight",
                                        "attn_rel_b.weight",  "per_layer_model_proj.weight"};
  return std::any_of(std::begin(kKept), std::end(kKept),
                     [&](std::string_view part) { return tensor.name.find(part) != std::string::npos; });
}

/// The layer in "blk.7.attn_v.weight", or -1.
int64_t layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  int64_t layer = -1;
  if (name.starts_with(kPrefix)) std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return layer;
}

/// Where a matrix stands among those of its role.
struct Place {
  int64_t index;  ///< 0…count - 1 from the first layer on
  int64_t count;
  bool in_first(int64_t part) const { return index < count / part; }
  /// The first and the last eighth, and every third in between.
  bool wants_more_bits() const { return in_first(8) || index >= 7 * count / 8 || (index - count / 8) % 3 == 2; }
};

DType fallback(DType wanted, uint64_t width) {
  DType type = wanted;
  if (width % traits(type).block_weights != 0) {
    switch (type) {
      case DType::kQ2_K:
      case DType::kQ3_K: type = DType::kQ4_0; break;
      case DType::kIQ4_XS: type = DType::kIQ4_NL; break;
      case DType::kQ4_K: type = DType::kQ5_0; break;
      case DType::kQ5_K: type = DType::kQ5_1; break;
      case DType::kQ6_K: type = DType::kQ8_0; break;
      default: break;
    }
  }
  return width % traits(type).block_weights == 0 ? type : DType::kF16;
}

/// The rules of one file type on one model. Each function gives the format of one role.
class Mix {
 public:
  Mix(const FileType& type, const ModelShape& shape, const PlanOptions& options) : type_(type), shape_(shape), options_(options) {}

  DType choose(const TensorInfo& tensor, Role role, const Place& place) const {
    const bool is_output = role == Role::kOutput || (role == Role::kEmbedding && shape_.tied);
    if (role == Role::kEmbedding && options_.embedding_type) return *options_.embedding_type;
    if (is_output && options_.output_type) return *options_.output_type;
    if (options_.pure || traits(type_.base).block_weights == 1) return type_.base;
    if (is_output) return output(tensor.width());
    switch (role) {
      case Role::kAttentionV: return attention_v(place);
      case Role::kAttentionK: return eight_experts() ? widest() : type_.base;
      case Role::kAttentionOutput: return attention_output();
      case Role::kFfnDown: return ffn_down(place);
      default: return type_.base;
    }
  }

 private:
  bool is(std::initializer_list<std::string_view> names) const { return std::find(names.begin(), names.end(), type_.name) != names.end(); }
  bool eight_experts() const { return shape_.experts == 8; }
  /// In a mixture of eight experts attention is a small part of the file: bits there are cheap.
  static DType widest() { return DType::kQ8_0; }

  DType output(uint64_t width) const {
    if (type_.base == DType::kQ8_0 || width % kSuperWeights != 0) return DType::kQ8_0;
    return DType::kQ6_K;
  }

  DType attention_v(const Place& place) const {
    if (eight_experts()) return widest();
    const bool shared = shape_.heads_per_kv_head >= 4;  // few matrices serve many heads
    DType chosen = type_.base;
    if (is({"Q2_K"})) chosen = shared ? DType::kQ4_K : DType::kQ3_K;
    if (is({"Q2_K_S"}) && shared) chosen = DType::kQ4_K;
    if (is({"Q3_K_M"})) chosen = place.index < 2 ? DType::kQ5_K : DType::kQ4_K;
    if (is({"Q3_K_L"})) chosen = DType::kQ5_K;
    if (is({"IQ4_NL", "IQ4_XS"}) && shared) chosen = DType::kQ5_K;
    if (is({"Q4_K_M", "Q5_K_M"}) && place.wants_more_bits()) chosen = DType::kQ6_K;
    if (is({"Q4_K_S"}) && place.index < 4) chosen = DType::kQ5_K;
    // Models of 70 billion weights share V among eight heads and are large enough for two percent of more bits there not to matter.
    const bool large = shape_.layers == 80 && (shape_.architecture == "llama" || shape_.architecture == "qwen2");
    if (large && (chosen == DType::kQ3_K || chosen == DType::kQ4_K)) chosen = DType::kQ5_K;
    return chosen;
  }

  DType attention_output() const {
    if (eight_experts()) {
      return is({"Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "IQ4_NL", "IQ4_XS"}) ? DType::kQ5_K : type_.base;
    }
    if (is({"Q2_K"})) return DType::kQ3_K;
    if (is({"Q3_K_M"})) return DType::kQ4_K;
    if (is({"Q3_K_L"})) return DType::kQ5_K;
    return type_.base;
  }

  DType ffn_down(const Place& place) const {
    if (is({"Q2_K"})) return DType::kQ3_K;
    if (is({"Q2_K_S"}) && place.in_first(8)) return DType::kQ4_K;
    if (is({"Q3_K_M"})) return place.in_first(16) ? DType::kQ5_K : DType::kQ4_K;
    if (is({"Q3_K_L"})) return DType::kQ5_K;
    if (is({"Q4_K_M", "Q5_K_M"}) && place.wants_more_bits()) return DType::kQ6_K;
    if (is({"Q4_K_S"}) && place.in_first(8)) return DType::kQ5_K;
    if (is({"IQ4_NL", "IQ4_XS"}) && place.in_first(8) && !options_.has_importance) return DType::kQ5_K;
    if (is({"Q4_0"}) && place.in_first(8) && options_.has_importance) return DType::kQ4_1;
    if (is({"Q5_0"}) && place.in_first(8) && options_.has_importance) return DType::kQ5_1;
    return type_.base;
  }

  const FileType& type_;
  const ModelShape& shape_;
  const PlanOptions& options_;
};

uint64_t uint_or(const GgufFile& file, const std::string& key, uint64_t otherwise) {
  if (const auto number = file.get_uint(key)) return number.value();
  // Some architectures give a number per layer; the largest stands for the model.
  if (const auto numbers = file.get_ints(key); numbers && !numbers.value()->empty()) {
    return static_cast<uint64_t>(std::max<int64_t>(0, *std::max_element(numbers.value()->begin(), numbers.value()->end())));
  }
  return otherwise;
}

}  // namespace

std::span<const FileType> file_types() { return kFileTypes; }

Result<FileType> file_type_from_name(std::string_view name) {
  std::string wanted = upper(name);
  if (wanted == "Q3_K" || wanted == "Q4_K" || wanted == "Q5_K") wanted += "_M";
  std::string names;
  for (const FileType& type : kFileTypes) {
    if (type.name == wanted) return type;
    names += (names.empty() ? "" : ", ") + std::string(type.name);
  }
  return Error{ErrorCode::kInvalidArgument, "type \"" + std::string(name) + "\" is not one that can be written", "use one of " + names};
}

Result<DType> tensor_type_from_name(std::string_view name) {
  const std::string wanted = upper(name);
  std::string names;
  for (const DTypeTraits& format : all_dtypes()) {
    const bool written = std::any_of(kFileTypes.begin(), kFileTypes.end(), [&](const FileType& type) { return type.base == format.dtype; });
    if (!written) continue;
    if (upper(format.name) == wanted) return format.dtype;
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return Error{ErrorCode::kInvalidArgument, "tensor type \"" + std::string(name) + "\" is not one that can be written",
               "use one of " + names};
}

ModelShape model_shape(const GgufFile& file) {
  ModelShape shape;
  if (const auto name = file.get_string("general.architecture")) shape.architecture = name.value();
  const std::string prefix = shape.architecture + ".";
  shape.layers = uint_or(file, prefix + "block_count", 0);
  shape.experts = uint_or(file, prefix + "expert_count", 0);
  const uint64_t heads = uint_or(file, prefix + "attention.head_count", 1);
  const uint64_t kv_heads = uint_or(file, prefix + "attention.head_count_kv", heads);
  shape.heads_per_kv_head = kv_heads > 0 ? heads / kv_heads : 1;
  shape.tied = file.find_tensor("output.weight") == nullptr;
  return shape;
}

std::vector<DType> plan_formats(std::span<const TensorInfo> tensors, const ModelShape& shape, const FileType& type,
                                const PlanOptions& options) {
  std::map<Role, std::vector<int64_t>> layers;  // of each role, in order
  for (const TensorInfo& tensor : tensors) {
    if (!is_kept(tensor)) layers[role_of(tensor.name)].push_back(layer_of(tensor.name));
  }
  for (auto& [role, own] : layers) {
    std::sort(own.begin(), own.end());
    own.erase(std::unique(own.begin(), own.end()), own.end());
  }
  const Mix mix(type, shape, options);
  std::vector<DType> formats;
  for (const TensorInfo& tensor : tensors) {
    if (is_kept(tensor)) {
      formats.push_back(tensor.dtype);
      continue;
    }
    const Role role = role_of(tensor.name);
    const std::vector<int64_t>& own = layers[role];
    const auto found = std::lower_bound(own.begin(), own.end(), layer_of(tensor.name));
    const Place place{found - own.begin(), static_cast<int64_t>(own.size())};
    formats.push_back(fallback(mix.choose(tensor, role, place), tensor.width()));
  }
  return formats;
}

}  // namespace tessera

#include "core/model/config.h"

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

// Reads `{architecture}.*` keys into a Config; keeps the first error.
class ConfigReader {
 public:
  ConfigReader(const GgufFile& file, std::string architecture) : file_(file), prefix_(std::move(architecture) + ".") {}

  bool has(const std::string& key) const { return file_.find(prefix_ + key) != nullptr; }

  // A count in [1, limit].
  int count(const std::string& key, int64_t limit) {
    const auto found = file_.get_uint(prefix_ + key);
    if (!found) {
      keep(found.error());
      return 1;
    }
    const uint64_t value = found.value();
    if (value < 1 || value > static_cast<uint64_t>(limit)) {
      keep({ErrorCode::kBadFile, prefix_ + key + " is " + std::to_string(value) + ", expected 1 to " + std::to_string(limit),
            "the file is damaged or made for another program"});
      return 1;
    }
    return static_cast<int>(value);
  }
  int count_or(const std::string& key, int64_t limit, int fallback) { return has(key) ? count(key, limit) : fallback; }

  // A finite, positive number.
  double number(const std::string& key) {
    const auto found = file_.get_float(prefix_ + key);
    if (!found) {
      keep(found.error());
      return 1.0;
    }
    if (!std::isfinite(found.value()) || found.value() <= 0.0) {
      keep({ErrorCode::kBadFile, prefix_ + key + " is " + std::to_string(found.value()) + ", expected a positive number",
            "the file is damaged or made for another program"});
      return 1.0;
    }
    return found.value();
  }
  double number_or(const std::string& key, double fallback) { return has(key) ? number(key) : fallback; }

  std::string text_or(const std::string& key, std::string fallback) {
    if (!has(key)) return fallback;
    const auto found = file_.get_string(prefix_ + key);
    if (!found) keep(found.error());
    return found ? found.value() : fallback;
  }

  void refuse(const std::string& what) { keep({ErrorCode::kUnsupported, what, "use a model without it"}); }
  void keep(const Error& error) {
    if (result_) result_ = error;
  }
  const Result<void>& result() const { return result_; }
  const std::string& prefix() const { return prefix_; }

 private:
  const GgufFile& file_;
  std::string prefix_;
  Result<void> result_;
};

void read_shape(ConfigReader& in, const GgufFile& file, Config& c) {
  constexpr int64_t kMaxWidth = 1 << 20;
  c.layers = in.count("block_count", 4096);
  c.width = in.count("embedding_length", kMaxWidth);
  c.heads = in.count("attention.head_count", 4096);
  c.kv_heads = in.count_or("attention.head_count_kv", 4096, c.heads);
  c.head_dim = in.count_or("attention.key_length", kMaxWidth, c.width / c.heads);
  c.ffn_width = in.count("feed_forward_length", kMaxWidth);
  c.trained_context = in.count("context_length", 1 << 26);
  c.norm_epsilon = static_cast<float>(in.number("attention.layer_norm_rms_epsilon"));
  if (const TensorInfo* embedding = file.find_tensor("token_embd.weight"); embedding != nullptr) {
    c.vocab_size = static_cast<int>(std::min<uint64_t>(embedding->rows(), 1 << 24));
  } else {
    in.keep({ErrorCode::kNotFound, "tensor token_embd.weight is missing", "the file holds no complete model"});
  }
  if (c.heads % c.kv_heads != 0) {
    in.keep({ErrorCode::kBadFile,
             in.prefix() + "attention.head_count_kv is " + std::to_string(c.kv_heads) + ", expected a divisor of the " +
                 std::to_string(c.heads) + " heads",
             "the file is damaged"});
  }
  if (in.count_or("attention.value_length", kMaxWidth, c.head_dim) != c.head_dim) in.refuse("heads whose keys and values differ in length");
  if (c.head_dim < 16 || c.head_dim % 16 != 0) in.refuse("heads of " + std::to_string(c.head_dim) + " values (supported: multiples of 16)");
  if (in.has("expert_count")) in.refuse("a mixture of experts (" + in.prefix() + "expert_count)");
}

void read_rope(ConfigReader& in, Config& c) {
  c.rope.dims = in.count_or("rope.dimension_count", c.head_dim, c.head_dim);
  c.rope.base = in.number_or("rope.freq_base", 10000.0);
  if (c.rope.dims % 2 != 0) in.refuse("rope over an odd number of values");
  const std::string scaling = in.text_or("rope.scaling.type", "none");
  if (scaling == "linear") {
    c.rope.scale = 1.0 / in.number("rope.scaling.factor");
  } else if (scaling != "none") {
    in.refuse("rope scaling of type " + scaling);
  }
  c.rope_local = c.rope;
}

void read_gemma3(ConfigReader& in, Config& c) {
  c.activation = Activation::kGelu;
  c.qk_norm = c.post_norms = true;
  c.embedding_scale = std::sqrt(static_cast<float>(c.width));
  c.window = in.count("attention.sliding_window", 1 << 26);
  c.window_pattern = in.count_or("attention.sliding_window_pattern", 4096, 6);
  c.rope.split_halves = true;
  c.rope.dims = c.head_dim;
  c.rope_local = c.rope;
  c.rope_local.base = in.number_or("rope.freq_base_swa", 10000.0);
  c.rope_local.scale = 1.0;
  if (in.has("final_logit_softcapping") || in.has("attn_logit_softcapping")) in.refuse("soft caps on logits");
  // The 27B model scales by its width per head instead of the head's length (Gemma 3 report, query_pre_attn_scalar 168).
  if (c.layers == 62) c.attention_scale = 1.0f / std::sqrt(static_cast<float>(c.width) / static_cast<float>(c.heads));
}

}  // namespace

Result<Config> Config::from_gguf(const GgufFile& file) {
  const auto architecture = file.get_string("general.architecture");
  if (!architecture) return architecture.error();
  Config c;
  c.architecture = architecture.value();
  if (c.architecture != "llama" && c.architecture != "gemma3") {
    return Error{ErrorCode::kUnsupported, "general.architecture is \"" + c.architecture + "\", supported are llama and gemma3",
                 "use a model of one of these families"};
  }
  ConfigReader in(file, c.architecture);
  read_shape(in, file, c);
  c.attention_scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  read_rope(in, c);
  if (c.architecture == "gemma3") read_gemma3(in, c);
  c.attention_scale = static_cast<float>(in.number_or("attention.scale", c.attention_scale));
  if (!in.result()) return in.result().error();
  return c;
}

}  // namespace tessera

#include "core/model/lora_loader.h"

#include <algorithm>
#include <cmath>

#include "core/tensor/dequantize.h"

namespace tessera {
namespace {

constexpr uint64_t kMostRank = 4096;

// [width][rank] from [rank][width].
std::vector<float> transposed(const std::vector<float>& values, int64_t rows, int64_t width) {
  std::vector<float> turned(values.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; ++i) turned[i * rows + r] = values[r * width + i];
  }
  return turned;
}

}  // namespace

/// Where rows of a model's matrix are: several for a fused one.
struct AdapterLoader::Target {
  LowRank* term;
  int64_t rows;
};

Result<Adapter> AdapterLoader::load() {
  check_metadata();
  adapter_.layers_.resize(static_cast<size_t>(config_.layers) * kProjections);
  for (int layer = 0; layer < config_.layers && result_; ++layer) load_layer(layer);
  const Target output[] = {{&adapter_.output_, config_.vocab_size}};
  load_matrix("output.weight", config_.width, output);
  load_embedding();
  refuse_unused();
  if (!result_) return result_.error();
  return std::move(adapter_);
}

void AdapterLoader::check_metadata() {
  const auto expect = [&](const char* key, const std::string& expected) {
    const auto found = file_.get_string(key);
    if (!found) return fail(found.error());
    if (found.value() != expected) {
      fail({ErrorCode::kBadFile, std::string(key) + " is \"" + found.value() + "\", expected \"" + expected + "\"",
            "give a LoRA adapter that was made for this model"});
    }
  };
  expect("general.type", "adapter");
  expect("adapter.type", "lora");
  expect("general.architecture", config_.architecture);
  if (file_.find("adapter.alora.invocation_tokens") != nullptr) {
    fail(
        {ErrorCode::kUnsupported, "adapter.alora.invocation_tokens: adapters that begin at a token are not supported", "use a plain LoRA"});
  }
  const auto alpha = file_.get_float("adapter.lora.alpha");
  if (!alpha && alpha.error().code == ErrorCode::kNotFound) return;
  if (!alpha) return fail(alpha.error());
  if (!std::isfinite(alpha.value())) {
    fail({ErrorCode::kBadFile, "adapter.lora.alpha is " + std::to_string(alpha.value()) + ", expected a finite number",
          "the file is damaged"});
  }
  adapter_.alpha_ = static_cast<float>(alpha.value());
}

void AdapterLoader::load_layer(int layer) {
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  const auto target = [&](Projection projection, int64_t rows) {
    return Target{&adapter_.layers_[layer * kProjections + static_cast<size_t>(projection)], rows};
  };
  const Target q = target(Projection::kQ, config_.q_width(layer)), k = target(Projection::kK, config_.kv_width(layer)),
               v = target(Projection::kV, config_.kv_width(layer));
  const int ffn_width = config_.ffn_width_of(layer);
  const Target gate = target(Projection::kGate, ffn_width), up = target(Projection::kUp, ffn_width);
  const auto matrix = [&](const char* name, int64_t width, std::initializer_list<Target> targets) {
    load_matrix(prefix + name + ".weight", width, {targets.begin(), targets.size()});
  };
  if (config_.is_conv(layer)) {
    matrix("shortconv.in_proj", config_.width, {target(Projection::kConvIn, 3ll * config_.width)});
    matrix("shortconv.out_proj", config_.width, {target(Projection::kConvOut, config_.width)});
  } else if (config_.fused_projections) {
    matrix("attn_qkv", config_.width, {q, k, v});
  } else {
    matrix("attn_q", config_.width, {q});
    if (config_.kv_layer(layer) == layer) {
      matrix("attn_k", config_.width, {k});
      if (!config_.v_is_k(layer)) matrix("attn_v", config_.width, {v});
    }
  }
  if (!config_.is_conv(layer)) matrix("attn_output", config_.q_width(layer), {target(Projection::kOutput, config_.width)});
  if (config_.experts.count > 0) return;
  if (config_.fused_projections) {
    matrix("ffn_up", config_.width, {gate, up});
  } else {
    if (config_.has_gate()) matrix("ffn_gate", config_.width, {gate});
    matrix("ffn_up", config_.width, {up});
  }
  matrix("ffn_down", ffn_width, {target(Projection::kDown, config_.width)});
}

// Both halves of a pair: a [rank][width], b [rows][rank]. `rank` is 0 before the first of them is known.
const TensorInfo* AdapterLoader::find(const std::string& name, uint64_t width, uint64_t rows, uint64_t& rank, bool is_a) {
  if (!result_) return nullptr;
  const TensorInfo* tensor = file_.find_tensor(name);
  if (tensor == nullptr) {
    fail({ErrorCode::kNotFound, "tensor " + name + " is missing, its other half is there", "the adapter is incomplete; download it again"});
    return nullptr;
  }
  used_.insert(name);
  if (rank == 0) rank = is_a ? tensor->rows() : tensor->width();
  const uint64_t expected_width = is_a ? width : rank, expected_rows = is_a ? rank : rows;
  if (rank > kMostRank || tensor->width() != expected_width || tensor->rows() != expected_rows) {
    fail({ErrorCode::kBadFile,
          "tensor " + name + " has " + std::to_string(tensor->rows()) + " rows of " + std::to_string(tensor->width()) +
              " values, this model needs " + std::to_string(expected_rows) + " of " + std::to_string(expected_width) + " (rank at most " +
              std::to_string(kMostRank) + ")",
          "the adapter was made for another model"});
    return nullptr;
  }
  return tensor;
}

// Counts a pair that fits; false when its values are not wanted.
bool AdapterLoader::count(const TensorInfo& a, const TensorInfo& b, uint64_t rank) {
  adapter_.bytes_ += (a.elements() + b.elements()) * sizeof(float);
  adapter_.largest_rank_ = std::max(adapter_.largest_rank_, static_cast<int>(rank));
  return !header_only_;
}

std::vector<float> AdapterLoader::read(const TensorInfo& tensor) {
  std::vector<std::byte> bytes(tensor.bytes);
  std::vector<float> values(tensor.elements());
  if (auto done = file_.read(tensor, 0, bytes); !done) {
    fail(done.error());
    return values;
  }
  const uint64_t stride = row_bytes(tensor.dtype, static_cast<int64_t>(tensor.width()));
  for (uint64_t row = 0; row < tensor.rows(); ++row) {
    dequantize_row(tensor.dtype, bytes.data() + row * stride, static_cast<int64_t>(tensor.width()), values.data() + row * tensor.width());
  }
  if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
    fail({ErrorCode::kBadFile, "tensor " + tensor.name + " has a value that is not a finite number", "download the adapter again"});
  }
  return values;
}

const float* AdapterLoader::keep(std::vector<float> values) {
  adapter_.values_.push_back(std::move(values));
  return adapter_.values_.back().data();
}

void AdapterLoader::load_matrix(const std::string& name, int64_t width, std::span<const Target> targets) {
  if (!result_ || (file_.find_tensor(name + ".lora_a") == nullptr && file_.find_tensor(name + ".lora_b") == nullptr)) return;
  int64_t rows = 0;
  for (const Target& target : targets) rows += target.rows;
  uint64_t rank = 0;
  const TensorInfo* a = find(name + ".lora_a", width, rows, rank, true);
  const TensorInfo* b = find(name + ".lora_b", width, rows, rank, false);
  if (a == nullptr || b == nullptr || !count(*a, *b, rank)) return;
  const auto r = static_cast<int>(rank);
  const float* inner = keep(transposed(read(*a), r, width));
  const std::vector<float> outer = read(*b);
  int64_t first = 0;
  for (const Target& target : targets) {
    const std::vector<float> part(outer.begin() + first * r, outer.begin() + (first + target.rows) * r);
    *target.term = {r, width, target.rows, inner, keep(transposed(part, target.rows, r))};
    first += target.rows;
  }
}

// token_embd: a [vocab][rank] is looked up by token, b [width][rank] as everywhere.
void AdapterLoader::load_embedding() {
  const std::string name = "token_embd.weight";
  if (!result_ || (file_.find_tensor(name + ".lora_a") == nullptr && file_.find_tensor(name + ".lora_b") == nullptr)) return;
  uint64_t rank = 0;
  const TensorInfo* a = find(name + ".lora_a", 0, config_.vocab_size, rank, false);
  const TensorInfo* b = find(name + ".lora_b", 0, config_.width, rank, false);
  if (a == nullptr || b == nullptr || !count(*a, *b, rank)) return;
  const auto r = static_cast<int>(rank);
  const float* inner = keep(read(*a));
  adapter_.embedding_ = {r, 0, config_.width, inner, keep(transposed(read(*b), config_.width, r))};
}

void AdapterLoader::refuse_unused() {
  for (const TensorInfo& tensor : file_.tensors()) {
    if (result_ && !used_.contains(tensor.name)) {
      fail({ErrorCode::kBadFile,
            "tensor " + tensor.name + " adds to nothing that this version adapts in a " + config_.architecture + " model",
            "the adapter was made for another model"});
    }
  }
}

}  // namespace tessera

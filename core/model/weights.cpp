#include "core/model/weights.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <unordered_set>

#include "core/kernels/pack.h"
#include "core/tensor/dequantize.h"

namespace tessera {
namespace {

constexpr uint64_t kStagingBytes = 4 << 20;  // file bytes held at a time when the source is not in memory

std::string shape_text(const TensorInfo& tensor) {
  std::string text;
  for (uint64_t size : tensor.shape) text += (text.empty() ? "[" : ", ") + std::to_string(size);
  return text + "]";
}

// Loads tensors one after another into Weights; keeps the first error and does nothing after it.
class WeightLoader {
 public:
  WeightLoader(const GgufFile& file, const Config& config, const KernelTable& kernels, ThreadPool& pool, const LoadProgress& progress)
      : file_(file), config_(config), kernels_(kernels), pool_(pool), progress_(progress) {
    for (const TensorInfo& tensor : file.tensors()) {
      total_ += tensor.bytes;
      room_ += room_for(tensor);
    }
  }

  Result<Weights> load() {
    auto memory = AlignedBuffer::allocate(room_, "the weights");
    if (!memory) return memory.error();
    weights_.storage = std::move(*memory);
    load_outer();
    for (int index = 0; index < config_.layers && result_; ++index) load_layer("blk." + std::to_string(index) + ".");
    refuse_unused();
    if (!result_) return result_.error();
    return std::move(weights_);
  }

 private:
  void load_outer() {
    weights_.embedding = matrix("token_embd.weight", config_.vocab_size, config_.width);
    weights_.output_norm = vector("output_norm.weight", config_.width);
    const bool tied = file_.find_tensor("output.weight") == nullptr;
    weights_.output = tied ? weights_.embedding : matrix("output.weight", config_.vocab_size, config_.width);
  }

  void load_layer(const std::string& prefix) {
    const int q_width = config_.heads * config_.head_dim, kv_width = config_.kv_heads * config_.head_dim;
    LayerWeights layer;
    layer.attention_norm = vector(prefix + "attn_norm.weight", config_.width);
    layer.wq = matrix(prefix + "attn_q.weight", q_width, config_.width);
    layer.wk = matrix(prefix + "attn_k.weight", kv_width, config_.width);
    layer.wv = matrix(prefix + "attn_v.weight", kv_width, config_.width);
    layer.wo = matrix(prefix + "attn_output.weight", config_.width, q_width);
    layer.ffn_norm = vector(prefix + "ffn_norm.weight", config_.width);
    layer.gate = matrix(prefix + "ffn_gate.weight", config_.ffn_width, config_.width);
    layer.up = matrix(prefix + "ffn_up.weight", config_.ffn_width, config_.width);
    layer.down = matrix(prefix + "ffn_down.weight", config_.width, config_.ffn_width);
    if (config_.qk_norm) {
      layer.q_norm = vector(prefix + "attn_q_norm.weight", config_.head_dim);
      layer.k_norm = vector(prefix + "attn_k_norm.weight", config_.head_dim);
    }
    if (config_.post_norms) {
      layer.post_attention_norm = vector(prefix + "post_attention_norm.weight", config_.width);
      layer.post_ffn_norm = vector(prefix + "post_ffw_norm.weight", config_.width);
    }
    weights_.layers.push_back(layer);
  }

  // The tensor of that name if its shape is [width] (rows = 1) or [width, rows]; else the error is kept and nullptr returned.
  const TensorInfo* find(const std::string& name, int64_t rows, int64_t width) {
    if (!result_) return nullptr;
    const TensorInfo* tensor = file_.find_tensor(name);
    if (tensor == nullptr) {
      fail({ErrorCode::kNotFound, "tensor " + name + " is missing", "the file is incomplete; download it again"});
      return nullptr;
    }
    if (tensor->width() != static_cast<uint64_t>(width) || tensor->rows() != static_cast<uint64_t>(rows)) {
      fail({ErrorCode::kBadFile,
            "tensor " + name + " has the shape " + shape_text(*tensor) + ", expected [" + std::to_string(width) +
                (rows == 1 ? "]" : ", " + std::to_string(rows) + "]"),
            "the file's metadata and tensors do not belong together"});
      return nullptr;
    }
    used_.insert(name);
    return tensor;
  }

  static uint64_t aligned(uint64_t bytes) {
    return (bytes + AlignedBuffer::kAlignment - 1) / AlignedBuffer::kAlignment * AlignedBuffer::kAlignment;
  }
  // Bytes that a tensor takes in memory: as an f32 vector (one row) or packed as a matrix.
  uint64_t room_for(const TensorInfo& tensor) const {
    const auto rows = static_cast<int64_t>(tensor.rows()), width = static_cast<int64_t>(tensor.width());
    if (rows == 1) return aligned(width * sizeof(float));
    const uint64_t tiles = (rows + kernels_.tile_rows - 1) / kernels_.tile_rows;
    return aligned(tiles * packed_tile_bytes(tensor.dtype, width, kernels_.tile_rows));
  }
  // The next `bytes` of the storage. There is room for every tensor once, unless a matrix of the model has a single row.
  std::byte* store(const std::string& name, uint64_t bytes) {
    if (aligned(bytes) > room_ - stored_) {
      fail({ErrorCode::kBadFile, "tensor " + name + " has one row, expected a matrix",
            "the file's metadata and tensors do not belong together"});
      return nullptr;
    }
    std::byte* place = weights_.storage.data() + stored_;
    stored_ += aligned(bytes);
    return place;
  }

  // A norm's weights as f32, whatever the file's format.
  const float* vector(const std::string& name, int64_t width) {
    const TensorInfo* tensor = find(name, 1, width);
    if (tensor == nullptr) return nullptr;
    auto* values = reinterpret_cast<float*>(store(name, width * sizeof(float)));
    if (values == nullptr) return nullptr;
    std::vector<std::byte> bytes(tensor->bytes);
    if (auto done = file_.read(*tensor, 0, bytes); !done) fail(done.error());
    dequantize_row(tensor->dtype, bytes.data(), width, values);
    report(tensor->bytes);
    return values;
  }

  PackedMatrix matrix(const std::string& name, int64_t rows, int64_t width) {
    PackedMatrix packed;
    const TensorInfo* tensor = find(name, rows, width);
    if (tensor == nullptr) return packed;
    packed = {.dtype = tensor->dtype,
              .rows = rows,
              .width = width,
              .tile_rows = kernels_.tile_rows,
              .tile_bytes = packed_tile_bytes(tensor->dtype, width, kernels_.tile_rows)};
    std::byte* place = store(name, packed.tiles() * packed.tile_bytes);
    if (place == nullptr) return packed;
    packed.data = place;
    pack(*tensor, packed, place);
    return packed;
  }

  // Reads whole tiles into the staging buffer (or uses them in place) and packs them on the pool.
  void pack(const TensorInfo& tensor, const PackedMatrix& packed, std::byte* out) {
    const uint64_t stride = row_bytes(tensor.dtype, packed.width), tile_source = stride * packed.tile_rows;
    const auto in_place = file_.view(tensor);
    const int64_t tiles_a_read = std::max<int64_t>(1, kStagingBytes / tile_source);
    std::atomic<bool> finite{true};
    for (int64_t first = 0; first < packed.tiles() && result_; first += tiles_a_read) {
      const int64_t last = std::min(packed.tiles(), first + tiles_a_read);
      const uint64_t begin = first * tile_source, length = std::min(tensor.bytes, last * tile_source) - begin;
      const std::byte* source = in_place.empty() ? staging_.data() : in_place.data() + begin;
      if (in_place.empty()) {
        staging_.resize(std::max<size_t>(staging_.size(), length));
        source = staging_.data();
        if (auto done = file_.read(tensor, begin, std::span(staging_).first(length)); !done) {
          fail(done.error());
          return;
        }
      }
      pool_.run(static_cast<int>(last - first), [&](int index) {
        const int64_t row = (first + index) * packed.tile_rows;
        const int rows = static_cast<int>(std::min<int64_t>(packed.tile_rows, packed.rows - row));
        if (!pack_tile(tensor.dtype, source + index * tile_source, packed.width, rows, packed.tile_rows,
                       out + (first + index) * packed.tile_bytes)) {
          finite.store(false, std::memory_order_relaxed);
        }
      });
      report(length);
    }
    if (!finite.load()) {
      fail({ErrorCode::kBadFile, "tensor " + tensor.name + " has a block scale that is not a finite number",
            "the file is damaged; download it again"});
    }
  }

  // A tensor nobody asked for would silently change what the model computes.
  void refuse_unused() {
    for (const TensorInfo& tensor : file_.tensors()) {
      if (result_ && !used_.contains(tensor.name)) {
        fail({ErrorCode::kUnsupported,
              "tensor " + tensor.name + " is not part of the " + config_.architecture + " models that this version runs",
              "use another model of this family"});
      }
    }
  }

  void report(uint64_t bytes) {
    done_ += bytes;
    if (result_ && progress_ && !progress_(done_, total_)) fail({ErrorCode::kAborted, "loading was stopped", ""});
  }

  void fail(const Error& error) {
    if (result_) result_ = error;
  }

  const GgufFile& file_;
  const Config& config_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  const LoadProgress& progress_;
  Weights weights_;
  Result<void> result_;
  std::unordered_set<std::string> used_;
  std::vector<std::byte> staging_;
  uint64_t done_ = 0, total_ = 0;   // bytes of the file
  uint64_t stored_ = 0, room_ = 0;  // bytes of the storage
};

}  // namespace

Result<Weights> load_weights(const GgufFile& file, const Config& config, const KernelTable& kernels, ThreadPool& pool,
                             const LoadProgress& progress) {
  return WeightLoader(file, config, kernels, pool, progress).load();
}

}  // namespace tessera

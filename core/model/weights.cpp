#include "core/model/weights.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <unordered_set>

#include "core/kernels/pack.h"
#include "core/tensor/dequantize.h"

namespace tessera {
namespace {

constexpr uint64_t kStagingBytes = 4 << 20;  // file bytes of a block when the source is not in memory; two blocks are held

std::string shape_text(const TensorInfo& tensor) {
  std::string text;
  for (uint64_t size : tensor.shape) text += (text.empty() ? "[" : ", ") + std::to_string(size);
  return text + "]";
}

// Rows [first, first + rows) of a tensor that holds `of` of them.
struct Rows {
  int64_t first;
  int64_t rows;
  int64_t of;
};
Rows all(int64_t rows) { return {0, rows, rows}; }

// Walks over a model's tensors twice: measure() checks them and adds up the places of those in the range, load() reads and packs these.
// Keeps the first error and does nothing after it.
class WeightLoader {
 public:
  WeightLoader(const GgufFile& file, const Config& config, int tile_rows, const LayerRange& range)
      : file_(file), config_(config), tile_rows_(tile_rows), range_(range) {}

  Result<WeightSize> measure() {
    if (!whole() && (config_.per_layer_width > 0 || config_.shared_kv_layers > 0)) {
      fail({ErrorCode::kUnsupported, "per-layer embeddings or layers that share K and V, in several memories",
            "use a smaller quantisation that fits one memory"});
    }
    walk();
    refuse_unused();
    if (!result_) return result_.error();
    return size_;
  }

  Result<Weights> load(ThreadPool& pool, const LoadProgress& progress) {
    const auto size = measure();
    if (!size) return size.error();
    auto memory = AlignedBuffer::allocate(size.value().stored, "the weights");
    if (!memory) return memory.error();
    weights_ = {};
    weights_.range = range_;
    weights_.storage = std::move(*memory);
    size_.stored = 0;
    pool_ = &pool;
    progress_ = progress;
    walk();
    pack_all();
    if (!result_) return result_.error();
    return std::move(weights_);
  }

 private:
  bool whole() const { return range_.has_embedding() && range_.has_output(config_.layers); }

  void walk() {
    load_outer();
    if (config_.per_layer_width > 0) load_per_layer_inputs();
    for (int index = 0; index < config_.layers && result_; ++index) {
      held_ = range_.holds(index);
      load_layer("blk." + std::to_string(index) + ".", index);
    }
  }

  void load_outer() {
    const bool tied = file_.find_tensor("output.weight") == nullptr, with_output = range_.has_output(config_.layers);
    held_ = range_.has_embedding() || (tied && with_output);
    weights_.embedding = matrix("token_embd.weight", all(config_.vocab_size), config_.width);
    held_ = with_output;
    weights_.output_norm = vector(std::string(config_.output_norm), config_.width);
    weights_.output = tied ? weights_.embedding : matrix("output.weight", all(config_.vocab_size), config_.width);
    held_ = true;
    if (config_.v_norm) ones_ = ones(config_.head_dim);
    if (config_.original_context > 0) {
      weights_.rope_divisors = rope_divisors("rope_factors_short.weight");
      weights_.long_rope_divisors = rope_divisors("rope_factors_long.weight");
    } else if (file_.find_tensor("rope_freqs.weight") != nullptr) {
      weights_.rope_divisors = rope_divisors("rope_freqs.weight");
    }
  }

  void load_per_layer_inputs() {
    const int64_t width = static_cast<int64_t>(config_.layers) * config_.per_layer_width;
    weights_.per_layer_embedding = matrix("per_layer_token_embd.weight", all(config_.vocab_size), width);
    weights_.per_layer_projection = matrix("per_layer_model_proj.weight", all(width), config_.width);
    weights_.per_layer_norm = vector("per_layer_proj_norm.weight", config_.per_layer_width);
  }

  void load_layer(const std::string& prefix, int index) {
    LayerWeights layer;
    if (config_.pre_norms) layer.attention_norm = vector(prefix + "attn_norm.weight", config_.width);
    if (config_.is_conv(index)) {
      load_short_conv(prefix, layer);
    } else {
      load_attention(prefix, index, layer);
    }
    if (config_.pre_norms) layer.ffn_norm = vector(prefix + std::string(config_.ffn_norm) + ".weight", config_.width);
    if (config_.experts.count > 0) {
      load_experts(prefix, layer.experts);
    } else {
      load_ffn(prefix, config_.ffn_width_of(index), layer);
    }
    if (config_.post_norms) {
      layer.post_attention_norm = vector(prefix + "post_attention_norm.weight", config_.width);
      layer.post_ffn_norm = vector(prefix + "post_ffw_norm.weight", config_.width);
    }
    if (config_.per_layer_width > 0) {
      layer.per_layer_gate = matrix(prefix + "inp_gate.weight", all(config_.per_layer_width), config_.width);
      layer.per_layer_output = matrix(prefix + "proj.weight", all(config_.width), config_.per_layer_width);
      layer.post_per_layer_norm = vector(prefix + "post_norm.weight", config_.width);
    }
    layer.output_scale = bias(prefix + "layer_output_scale.weight", 1, false);
    if (held_) weights_.layers.push_back(std::move(layer));
  }

  void load_attention(const std::string& prefix, int index, LayerWeights& layer) {
    const int64_t q = config_.q_width(index), kv = config_.kv_width(index), head = config_.head_dim_of(index);
    const bool own_kv = config_.kv_layer(index) == index, whole = config_.qk_norm == QkNorm::kWidth;
    if (config_.fused_projections) {
      layer.wq = matrix(prefix + "attn_qkv.weight", {0, q, q + 2 * kv}, config_.width);
      layer.wk = matrix(prefix + "attn_qkv.weight", {q, kv, q + 2 * kv}, config_.width);
      layer.wv = matrix(prefix + "attn_qkv.weight", {q + kv, kv, q + 2 * kv}, config_.width);
    } else {
      layer.wq = matrix(prefix + "attn_q.weight", all(q), config_.width);
      if (own_kv) layer.wk = matrix(prefix + "attn_k.weight", all(kv), config_.width);
      if (own_kv && !config_.v_is_k(index)) layer.wv = matrix(prefix + "attn_v.weight", all(kv), config_.width);
    }
    layer.wo = matrix(prefix + "attn_output.weight", all(config_.width), q);
    layer.q_bias = bias(prefix + "attn_q.bias", q, config_.qkv_bias);
    layer.o_bias = bias(prefix + "attn_output.bias", config_.width, false);
    if (config_.attention_sinks) layer.sinks = vector(prefix + "attn_sinks.weight", config_.heads);
    if (config_.qk_norm != QkNorm::kNone) layer.q_norm = vector(prefix + "attn_q_norm.weight", whole ? q : head);
    if (!own_kv) {
      // Checkpoints before transformers 5.5.2 hold them for these layers, too; nothing reads them.
      for (const char* name : {"attn_k.weight", "attn_v.weight", "attn_k_norm.weight"}) used_.insert(prefix + name);
      return;
    }
    layer.k_bias = bias(prefix + "attn_k.bias", kv, config_.qkv_bias);
    layer.v_bias = bias(prefix + "attn_v.bias", kv, config_.qkv_bias);
    if (config_.qk_norm != QkNorm::kNone) layer.k_norm = vector(prefix + "attn_k_norm.weight", whole ? kv : head);
    layer.v_norm = ones_;
  }

  void load_short_conv(const std::string& prefix, LayerWeights& layer) {
    layer.conv_in = matrix(prefix + "shortconv.in_proj.weight", all(3ll * config_.width), config_.width);
    layer.conv_taps = taps(prefix + "shortconv.conv.weight", config_.width, config_.conv_length);
    layer.conv_out = matrix(prefix + "shortconv.out_proj.weight", all(config_.width), config_.width);
  }

  void load_ffn(const std::string& prefix, int64_t ffn, LayerWeights& layer) {
    if (config_.fused_projections) {
      layer.gate = matrix(prefix + "ffn_up.weight", {0, ffn, 2 * ffn}, config_.width);
      layer.up = matrix(prefix + "ffn_up.weight", {ffn, ffn, 2 * ffn}, config_.width);
    } else {
      if (config_.has_gate()) layer.gate = matrix(prefix + "ffn_gate.weight", all(ffn), config_.width);
      layer.up = matrix(prefix + "ffn_up.weight", all(ffn), config_.width);
    }
    layer.down = matrix(prefix + "ffn_down.weight", all(config_.width), ffn);
  }

  void load_experts(const std::string& prefix, ExpertWeights& layer) {
    const ExpertConfig& experts = config_.experts;
    layer.router = matrix(prefix + "ffn_gate_inp.weight", all(experts.count), config_.width);
    layer.gate = expert_matrices(prefix + "ffn_gate_exps.weight", experts.width, config_.width);
    layer.up = expert_matrices(prefix + "ffn_up_exps.weight", experts.width, config_.width);
    layer.down = expert_matrices(prefix + "ffn_down_exps.weight", config_.width, experts.width);
    if (experts.biases) {
      layer.router_bias = vector(prefix + "ffn_gate_inp.bias", experts.count);
      layer.gate_bias = vector(prefix + "ffn_gate_exps.bias", experts.width, experts.count);
      layer.up_bias = vector(prefix + "ffn_up_exps.bias", experts.width, experts.count);
      layer.down_bias = vector(prefix + "ffn_down_exps.bias", config_.width, experts.count);
    }
    if (experts.shared_width == 0) return;
    layer.shared_gate = matrix(prefix + "ffn_gate_shexp.weight", all(experts.shared_width), config_.width);
    layer.shared_up = matrix(prefix + "ffn_up_shexp.weight", all(experts.shared_width), config_.width);
    layer.shared_down = matrix(prefix + "ffn_down_shexp.weight", all(config_.width), experts.shared_width);
    if (experts.shared_gate) layer.shared_router = matrix(prefix + "ffn_gate_inp_shexp.weight", all(1), config_.width);
  }

  // One tensor [count][rows][width], each expert packed as a matrix of its own.
  std::vector<PackedMatrix> expert_matrices(const std::string& name, int64_t rows, int64_t width) {
    std::vector<PackedMatrix> matrices;
    const int64_t count = config_.experts.count;
    for (int64_t i = 0; i < count && result_; ++i) matrices.push_back(matrix(name, {i * rows, rows, count * rows}, width));
    return matrices;
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

  bool measuring() const { return pool_ == nullptr; }

  // The next `stored` bytes of the storage, for `read` bytes of the file; nullptr while measuring.
  std::byte* store(uint64_t stored, uint64_t read) {
    const uint64_t at = size_.stored;
    size_.stored += (stored + AlignedBuffer::kAlignment - 1) / AlignedBuffer::kAlignment * AlignedBuffer::kAlignment;
    if (measuring()) size_.read += read;
    return measuring() ? nullptr : weights_.storage.data() + at;
  }

  // A norm's or bias's weights as f32, whatever the file's format; `rows` of them where each expert has its own.
  const float* vector(const std::string& name, int64_t width, int64_t rows = 1) { return floats(find(name, rows, width), false); }

  // A convolution's weights [channels][length], turned so that those of all channels at one position lie together.
  const float* taps(const std::string& name, int64_t channels, int64_t length) { return floats(find(name, channels, length), true); }

  // A tensor [rows][width], or [width][rows] of it.
  const float* floats(const TensorInfo* tensor, bool turned) {
    if (tensor == nullptr || !held_) return nullptr;
    const auto rows = static_cast<int64_t>(tensor->rows()), width = static_cast<int64_t>(tensor->width());
    auto* values = reinterpret_cast<float*>(store(rows * width * sizeof(float), tensor->bytes));
    if (measuring()) return nullptr;
    std::vector<std::byte> bytes(tensor->bytes);
    if (auto done = file_.read(*tensor, 0, bytes); !done) fail(done.error());
    dequantize_row(tensor->dtype, bytes.data(), rows * width, values);
    if (turned) {
      const std::vector<float> by_row(values, values + rows * width);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t i = 0; i < width; ++i) values[i * rows + r] = by_row[r * width + i];
      }
    }
    report(tensor->bytes);
    return values;
  }
  const float* bias(const std::string& name, int64_t width, bool required) {
    return required || file_.find_tensor(name) != nullptr ? vector(name, width) : nullptr;
  }
  // The weights of a norm that has none in the file.
  const float* ones(int64_t width) {
    auto* values = reinterpret_cast<float*>(store(width * sizeof(float), 0));
    if (!measuring()) std::fill_n(values, width, 1.0f);
    return values;
  }
  const float* rope_divisors(const std::string& name) {
    const int64_t count = config_.rope.dims / 2;
    const float* values = vector(name, count);
    if (values != nullptr && !std::all_of(values, values + count, [](float value) { return value > 0 && std::isfinite(value); })) {
      fail(
          {ErrorCode::kBadFile, "tensor " + name + " has a value that is not a positive number", "the file is damaged; download it again"});
    }
    return values;
  }

  PackedMatrix matrix(const std::string& name, const Rows& part, int64_t width) {
    PackedMatrix packed;
    const TensorInfo* tensor = find(name, part.of, width);
    if (tensor == nullptr || !held_) return packed;
    packed = {.dtype = tensor->dtype,
              .rows = part.rows,
              .width = width,
              .tile_rows = tile_rows_,
              .tile_bytes = packed_tile_bytes(tensor->dtype, width, tile_rows_)};
    std::byte* place = store(packed.bytes(), part.rows * row_bytes(tensor->dtype, width));
    packed.data = place;
    if (!measuring()) jobs_.push_back({tensor, part.first * row_bytes(tensor->dtype, width), packed, place});
    return packed;
  }

  // A matrix that is to be packed: `packed.rows` rows from byte `source_at` of the tensor.
  struct Job {
    const TensorInfo* tensor;
    uint64_t source_at;
    PackedMatrix packed;
    std::byte* out;

    uint64_t tile_source() const { return row_bytes(tensor->dtype, packed.width) * packed.tile_rows; }
    uint64_t source_bytes() const { return row_bytes(tensor->dtype, packed.width) * packed.rows; }
  };

  // Whole tiles of one matrix, as many as are read at a time.
  struct Block {
    size_t job = 0;
    int64_t first = 0;  ///< tile
    int64_t end = 0;
    uint64_t begin = 0;  ///< byte of the tensor
    uint64_t length = 0;
    const std::byte* source = nullptr;  ///< once it is read
  };

  // The block that begins with that tile, or with the next matrix; its `job` is jobs_.size() when there is none.
  Block block_from(size_t job, int64_t first) const {
    if (job < jobs_.size() && first == jobs_[job].packed.tiles()) ++job, first = 0;
    if (job == jobs_.size()) return {.job = job};
    const Job& of = jobs_[job];
    const int64_t end = std::min(of.packed.tiles(), first + std::max<int64_t>(1, kStagingBytes / of.tile_source()));
    const uint64_t begin = first * of.tile_source(), stop = std::min(of.source_bytes(), end * of.tile_source());
    return {.job = job, .first = first, .end = end, .begin = of.source_at + begin, .length = stop - begin};
  }

  // Makes its bytes readable, in `staging` where the file is not in memory.
  void read(Block& block, std::vector<std::byte>& staging) {
    if (block.job == jobs_.size()) return;
    const TensorInfo& tensor = *jobs_[block.job].tensor;
    const auto in_place = file_.view(tensor);
    if (!in_place.empty()) {
      block.source = in_place.data() + block.begin;
      return;
    }
    staging.resize(std::max<size_t>(staging.size(), block.length));
    block.source = staging.data();
    if (auto done = file_.read(tensor, block.begin, std::span(staging).first(block.length)); !done) fail(done.error());
  }

  // Packs all matrices on the pool; while it packs a block this thread, the only one that may, reads the next.
  void pack_all() {
    std::vector<std::byte> staging[2];
    std::atomic<bool> finite{true};
    Block block = block_from(0, 0);
    read(block, staging[0]);
    for (int turn = 0; block.job < jobs_.size() && result_; ++turn) {
      const Job& job = jobs_[block.job];
      Block next = block_from(block.job, block.end);
      const auto pack = [&](int index) {
        const int64_t tile = block.first + index, row = tile * job.packed.tile_rows;
        const int rows = static_cast<int>(std::min<int64_t>(job.packed.tile_rows, job.packed.rows - row));
        if (!pack_tile(job.tensor->dtype, block.source + index * job.tile_source(), job.packed.width, rows, job.packed.tile_rows,
                       job.out + tile * job.packed.tile_bytes)) {
          finite.store(false, std::memory_order_relaxed);
        }
      };
      pool_->run_beside(static_cast<int>(block.end - block.first), pack, [&] { read(next, staging[(turn + 1) % 2]); });
      // Else a mapped file would take as much memory as the weights.
      if (!file_.view(*job.tensor).empty()) file_.release(*job.tensor, block.begin, block.length);
      if (!finite.load()) {
        fail({ErrorCode::kBadFile, "tensor " + job.tensor->name + " has a block scale that is not a finite number",
              "the file is damaged; download it again"});
      }
      report(block.length);
      block = next;
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
    if (result_ && progress_ && !progress_(done_, size_.read)) fail({ErrorCode::kAborted, "loading was stopped", ""});
  }

  void fail(const Error& error) {
    if (result_) result_ = error;
  }

  const GgufFile& file_;
  const Config& config_;
  const int tile_rows_;
  const LayerRange range_;
  ThreadPool* pool_ = nullptr;  ///< set while loading
  LoadProgress progress_;
  Weights weights_;
  Result<void> result_;
  std::unordered_set<std::string> used_;
  std::vector<Job> jobs_;
  const float* ones_ = nullptr;
  bool held_ = true;   // whether the tensors that come now are of the range
  uint64_t done_ = 0;  // bytes of the file
  WeightSize size_;    // stored: so far
};

}  // namespace

Result<WeightSize> measure_weights(const GgufFile& file, const Config& config, int tile_rows, const LayerRange& range) {
  return WeightLoader(file, config, tile_rows, range).measure();
}

Result<Weights> load_weights(const GgufFile& file, const Config& config, const KernelTable& kernels, ThreadPool& pool,
                             const LoadProgress& progress, const LayerRange& range) {
  return WeightLoader(file, config, kernels.tile_rows, range).load(pool, progress);
}

}  // namespace tessera

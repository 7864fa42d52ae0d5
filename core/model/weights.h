// Owns the weights of a model in memory: loaded once, packed for the chosen kernels, immutable afterwards.
#pragma once

#include <functional>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/result.h"
#include "core/gguf/gguf_file.h"
#include "core/kernels/kernels.h"
#include "core/model/config.h"
#include "core/model/layer_range.h"
#include "core/parallel/thread_pool.h"

namespace tessera {

/// The experts of one block (Config::experts).
struct ExpertWeights {
  PackedMatrix router;                 ///< [count][width]
  std::vector<PackedMatrix> gate;      ///< [count] of [experts.width][width]
  std::vector<PackedMatrix> up;        ///< [count] of [experts.width][width]
  std::vector<PackedMatrix> down;      ///< [count] of [width][experts.width]
  const float* router_bias = nullptr;  ///< [count]
  const float* gate_bias = nullptr;    ///< [count][experts.width]
  const float* up_bias = nullptr;      ///< [count][experts.width]
  const float* down_bias = nullptr;    ///< [count][width]
  PackedMatrix shared_gate;            ///< [shared_width][width]
  PackedMatrix shared_up;              ///< [shared_width][width]
  PackedMatrix shared_down;            ///< [width][shared_width]
  PackedMatrix shared_router;          ///< [1][width]
};

/// One transformer block. Norms and biases are f32 vectors; a null pointer is one that the model does not have.
struct LayerWeights {
  const float* attention_norm = nullptr;       ///< [width]
  PackedMatrix wq;                             ///< [heads · head_dim][width]
  PackedMatrix wk;                             ///< [kv_heads · head_dim][width]; no rows: K and V are another layer's (Config::kv_layer)
  PackedMatrix wv;                             ///< [kv_heads · head_dim][width]; no rows: v is the product for k (Config::v_is_k)
  PackedMatrix wo;                             ///< [width][heads · head_dim]
  const float* q_bias = nullptr;               ///< [heads · head_dim]
  const float* k_bias = nullptr;               ///< [kv_heads · head_dim]
  const float* v_bias = nullptr;               ///< [kv_heads · head_dim]
  const float* o_bias = nullptr;               ///< [width]
  const float* sinks = nullptr;                ///< [heads], Config::attention_sinks
  const float* q_norm = nullptr;               ///< [head_dim], QkNorm::kWidth: [heads · head_dim]
  const float* k_norm = nullptr;               ///< [head_dim], QkNorm::kWidth: [kv_heads · head_dim]
  const float* v_norm = nullptr;               ///< [head_dim] of ones
  PackedMatrix conv_in;                        ///< [3 · width][width]: b, c and x of a short convolution, instead of q, k, v
  const float* conv_taps = nullptr;            ///< [conv_length][width], of the oldest position first
  PackedMatrix conv_out;                       ///< [width][width], instead of wo
  const float* post_attention_norm = nullptr;  ///< [width]
  const float* ffn_norm = nullptr;             ///< [width]
  PackedMatrix gate;                           ///< [ffn_width][width]; none without Config::has_gate()
  PackedMatrix up;                             ///< [ffn_width][width]
  PackedMatrix down;                           ///< [width][ffn_width]
  ExpertWeights experts;                       ///< instead of gate, up and down in a mixture of experts
  const float* post_ffn_norm = nullptr;        ///< [width]
  PackedMatrix per_layer_gate;                 ///< [per_layer_width][width]
  PackedMatrix per_layer_output;               ///< [width][per_layer_width]
  const float* post_per_layer_norm = nullptr;  ///< [width]
  const float* output_scale = nullptr;         ///< [1]: what the residual stream is multiplied by behind the layer (Gemma 4)
};

/// The weights of a model, or of a range of its layers. Matrices and norms point into `storage`: one block, so that large pages serve all
/// of it.
struct Weights {
  LayerRange range;
  PackedMatrix embedding;                     ///< [vocab][width]; in the range with the first layers
  PackedMatrix output;                        ///< [vocab][width], in the range with the last layers; the embedding if the file has none
  const float* output_norm = nullptr;         ///< [width], beside `output`
  PackedMatrix per_layer_embedding;           ///< [vocab][layers · per_layer_width], rows looked up like the embedding's
  PackedMatrix per_layer_projection;          ///< [layers · per_layer_width][width]
  const float* per_layer_norm = nullptr;      ///< [per_layer_width]
  const float* rope_divisors = nullptr;       ///< [rope.dims / 2], > 0: what the frequencies are divided by; null = 1
  const float* long_rope_divisors = nullptr;  ///< [rope.dims / 2], the same for sessions longer than Config::original_context
  std::vector<LayerWeights> layers;           ///< those of the range
  AlignedBuffer storage;

  const LayerWeights& layer(int index) const { return layers[index - range.first]; }  ///< by its number in the whole model
};

/// Called with bytes done and in all; false aborts.
using LoadProgress = std::function<bool(uint64_t done, uint64_t total)>;

/// What a range of layers takes.
struct WeightSize {
  uint64_t stored = 0;  ///< bytes of the storage that load_weights will allocate
  uint64_t read = 0;    ///< bytes of the file that it will read
};

/// The size of a range for `tile_rows` of KernelTable, from the file's header alone. The errors of load_weights, but for those that need
/// the tensors' bytes.
Result<WeightSize> measure_weights(const GgufFile& file, const Config& config, int tile_rows, const LayerRange& range = {});

/// Reads and packs every tensor of the range. Reading is done on the calling thread only, packing on the pool. Errors name the tensor:
/// kNotFound (missing), kBadFile (shape: found and expected; scale not finite), kUnsupported (a tensor this build would ignore),
/// kOutOfMemory, kAborted. At most 8 MB (or two tiles) are held besides the weights.
Result<Weights> load_weights(const GgufFile& file, const Config& config, const KernelTable& kernels, ThreadPool& pool,
                             const LoadProgress& progress, const LayerRange& range = {});

}  // namespace tessera

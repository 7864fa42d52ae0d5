// Owns the weights of a model in memory: loaded once, packed for the chosen kernels, immutable afterwards.
#pragma once

#include <functional>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/result.h"
#include "core/gguf/gguf_file.h"
#include "core/kernels/kernels.h"
#include "core/model/config.h"
#include "core/parallel/thread_pool.h"

namespace tessera {

/// One transformer block. Norms are f32 vectors; a null pointer is a norm that the architecture does not have.
struct LayerWeights {
  const float* attention_norm = nullptr;       ///< [width]
  PackedMatrix wq;                             ///< [heads · head_dim][width]
  PackedMatrix wk;                             ///< [kv_heads · head_dim][width]
  PackedMatrix wv;                             ///< [kv_heads · head_dim][width]
  PackedMatrix wo;                             ///< [width][heads · head_dim]
  const float* q_norm = nullptr;               ///< [head_dim]
  const float* k_norm = nullptr;               ///< [head_dim]
  const float* post_attention_norm = nullptr;  ///< [width]
  const float* ffn_norm = nullptr;             ///< [width]
  PackedMatrix gate;                           ///< [ffn_width][width]
  PackedMatrix up;                             ///< [ffn_width][width]
  PackedMatrix down;                           ///< [width][ffn_width]
  const float* post_ffn_norm = nullptr;        ///< [width]
};

/// All weights. Matrices and norms point into `storage`: one block, so that large pages serve all of it.
struct Weights {
  PackedMatrix embedding;              ///< [vocab][width]
  PackedMatrix output;                 ///< [vocab][width]; the embedding where the file has no output matrix
  const float* output_norm = nullptr;  ///< [width]
  std::vector<LayerWeights> layers;
  AlignedBuffer storage;
};

/// Called with bytes done and in all; false aborts.
using LoadProgress = std::function<bool(uint64_t done, uint64_t total)>;

/// Reads and packs every tensor. Reading is done on the calling thread only, packing on the pool. Errors name the tensor:
/// kNotFound (missing), kBadFile (shape: found and expected; scale not finite), kUnsupported (a tensor this build would ignore),
/// kOutOfMemory, kAborted. At most 8 MB are held besides the weights.
Result<Weights> load_weights(const GgufFile& file, const Config& config, const KernelTable& kernels, ThreadPool& pool,
                             const LoadProgress& progress);

}  // namespace tessera

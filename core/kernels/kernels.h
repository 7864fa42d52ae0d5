// Owns the contract of the inner loops: what a kernel table offers, the operand layouts, and the arithmetic every table must follow.
//
// The one arithmetic. All tables give the same bits because each result is defined by these rules, not by a vector width:
//  - Activations are quantised in blocks of 32: scale = max|x| / 127, code = nearest_even(x · (127 / max|x|)).
//  - Per weight row and block: an exact integer sum of code products, then in f32, block after block along the row,
//      acc = acc + float(sum) · (weight_scale · activation_scale)          all formats
//      acc = acc + weight_min · (activation_scale · float(Σ codes))        formats with a minimum, after the line above
//    each product and sum rounded on its own (no fused multiply-add).
//  - F32, F16 and BF16 weights: acc = acc + w · x, element after element along the row, on the f32 activations.
//  - Other f32 reductions run in 16 lanes: lane j sums elements j, j+16, j+32, … in order; then the upper half is added to the
//    lower half, 16 → 8 → 4 → 2 → 1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/tensor/dtype.h"

namespace tessera {

/// Activations are quantised in blocks of this many values.
inline constexpr int kActivationBlock = 32;

/// Attention walks the cache in chunks of this many positions, at multiples of it, so its sums do not depend on the batch.
inline constexpr int kAttentionChunk = 32;

/// A weight matrix [rows][width] in the tile of one kernel table (see pack.h for the byte layout). A view; the model owns the bytes.
struct PackedMatrix {
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t width = 0;
  int tile_rows = 0;                ///< rows interleaved in one tile; the last tile is padded with zero rows
  uint64_t tile_bytes = 0;          ///< bytes of one tile
  const std::byte* data = nullptr;  ///< [ceil(rows / tile_rows)][tile_bytes], 64-byte aligned
  int64_t tiles() const { return (rows + tile_rows - 1) / tile_rows; }
};

/// The input rows of a matrix product, in both forms a kernel may ask for. A view into a workspace.
struct Activations {
  int tokens = 0;
  int64_t width = 0;
  const float* values = nullptr;       ///< [tokens][width]
  const int8_t* codes = nullptr;       ///< [tokens][width], -127…127
  const float* scales = nullptr;       ///< [tokens][width/32]
  const int32_t* half_sums = nullptr;  ///< [tokens][width/16] sum of 16 codes each
  const float* scaled_sums = nullptr;  ///< [tokens][width/32] scale · float(Σ codes)
};

/// Multiplies tiles [first_tile, last_tile) of `weights` with all tokens: out[token · out_stride + row].
using MatmulFn = void (*)(const PackedMatrix& weights, const Activations& x, int64_t first_tile, int64_t last_tile, float* out,
                          int64_t out_stride);

/// One stretch of the K or V cache of one head as f32: rows of head_dim, `stride` floats apart.
struct CacheRows {
  const float* data = nullptr;
  int64_t stride = 0;
};

/// The running state of attention for one query: softmax(q·K)·V over the positions seen so far (Milakov & Gimelshein 2018).
struct AttentionState {
  float maximum;       ///< largest score so far; starts at -infinity
  float sum;           ///< Σ exp(score - maximum); starts at 0
  float* accumulator;  ///< [head_dim] Σ exp(score - maximum) · v; starts at 0
};

/// A complete set of inner loops for one instruction set. A value: plain function pointers, no state.
struct KernelTable {
  std::string_view name;  ///< "scalar", "avx2", "wasm_simd128", "wasm_relaxed"
  int tile_rows;          ///< the PackedMatrix tile these kernels read

  /// Quantises one row of `width` (a multiple of 32) values; output shapes as in Activations for one token.
  void (*quantize_row)(const float* x, int64_t width, int8_t* codes, float* scales, int32_t* half_sums, float* scaled_sums);

  /// One product per DType, indexed by its GGUF number; nullptr where the format does not exist.
  std::array<MatmulFn, 32> matmul;

  /// out[i] = x[i] · (1 / sqrt(Σx²/n + epsilon)) · weight[i] (Zhang & Sennrich 2019). n ≥ 1; out may be x.
  void (*rms_norm)(const float* x, const float* weight, int64_t n, float epsilon, float* out);

  /// gate[i] = act(gate[i]) · up[i] with SiLU or tanh-GELU.
  void (*silu_mul)(float* gate, const float* up, int64_t n);
  void (*gelu_mul)(float* gate, const float* up, int64_t n);

  /// Adds `count` ≤ kAttentionChunk cache positions to a query's state. query [head_dim] is already multiplied by the
  /// attention scale. head_dim is a multiple of 16. k and v hold the rows of these positions.
  void (*attend)(const float* query, CacheRows k, CacheRows v, int count, int head_dim, AttentionState& state);

  /// f16 bits → f32, exactly; n values. For F16 caches.
  void (*widen_f16)(const uint16_t* in, int64_t n, float* out);

  MatmulFn matmul_for(DType dtype) const { return matmul[static_cast<uint32_t>(dtype)]; }
};

/// The tables this machine can run, best first; "scalar" is always the last.
std::span<const KernelTable* const> available_kernels();

/// The available table of that name ("" = the best), or nullptr.
const KernelTable* find_kernels(std::string_view name);

}  // namespace tessera

// Owns the contract of the inner loops: what a kernel table offers, the operand layouts, and the arithmetic every table must follow.
//
// The one arithmetic. All tables give the same bits because each result is defined by these rules, not by a vector width:
//  - Activations are quantised in blocks of 32: scale = max|x| / 127, code = nearest_even(x · (127 / max|x|)).
//  - Per weight row and block: an exact integer sum of code products, then in f32, block after block along the row,
//      acc = acc + float(sum) · (weight_scale · activation_scale)          all formats
//      acc = acc + weight_min · (activation_scale · float(Σ codes))        formats with a minimum, after the line above
//    each product and sum rounded on its own (no fused multiply-add). Where 16 weights have factors of their own these are integers
//    and part of the exact sums: with dot0 and dot1 the dots of the two halves of the block, Σ0 and Σ1 the sums of their codes,
//      sum     = s0 · dot0 + s1 · dot1                                   Q2_K, Q3_K, Q6_K
//      Σ codes = m0 · Σ0 + m1 · Σ1                                       Q2_K
//    What a format calls weight_scale, weight_min and the code:
//      Q4_0, Q5_0, Q8_0   d · (code - 8, 16, 0)           Q4_1, Q5_1   d · code + m
//      Q4_K, Q5_K         (d · sc) · code, -(dmin · mn)   Q2_K         d · code (0…3), -dmin
//      Q6_K, Q3_K         d · (code - 32, 4)              Q8_K         d · code, d f32
//      IQ4_NL, IQ4_XS     d or (d · sc), the code is kNonLinear4[nibble], -127…113
//      MXFP4              2^(e - 128), the code is kDoubledE2M1[nibble], -12…12
//      TQ1_0, TQ2_0       d · (code - 1)
//  - F32, F16 and BF16 weights: acc = acc + w · x, element after element along the row, on the f32 activations.
//  - Attention over f32: a score sums q[d]·k[d] and an output value sums weight · v over the positions, each one after another, in order.
//  - Attention over codes of a head's q and k, of 16 bits, and v, of 8 (scale = max|x| / limit, code = nearest_even(x · (limit / max|x|))).
//    What a code of v is worth is part of the score, as a power of two: so a weight, rounded, is the code that v's codes are multiplied
//    with. Over a segment, with exp2_weight of base/math.h,
//      score  = float(exact Σ q · k) · (q_scale · log2(e) · k_scale) + log2(v_scale)
//      weight = exp2_weight(score - largest score)
//      out    = float(exact Σ nearest_even(weight) · v)
//      sum    = Σ weight · (1 / v_scale)                                  what the softmax divides by, in 16 lanes as below
//    (with a soft cap: float(exact Σ q · k) · (q_scale · k_scale), soft-capped, · log2(e)).
//  - Other f32 reductions run in 16 lanes: lane j sums elements j, j+16, j+32, … in order; then the upper half is added to the
//    lower half, 16 → 8 → 4 → 2 → 1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "core/base/math.h"
#include "core/tensor/dtype.h"

namespace tessera {

/// Activations are quantised in blocks of this many values.
inline constexpr int kActivationBlock = 32;

/// Attention over f32 walks the cache in chunks of this many positions, at multiples of it, so its sums do not depend on the batch.
inline constexpr int kAttentionChunk = 32;

/// A softmax is taken over segments of the cache, [0, 128), [128, 256), …; their results are merged in order. The borders depend on
/// nothing else, so the bits are the same however the segments are spread over threads.
inline constexpr int kAttentionSegment = 128;

/// A weight matrix [rows][width] in the tile of one kernel table (see pack.h for the byte layout). A view; the model owns the bytes.
struct PackedMatrix {
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t width = 0;
  int tile_rows = 0;                ///< rows interleaved in one tile; the last tile is padded with zero rows
  uint64_t tile_bytes = 0;          ///< bytes of one tile
  const std::byte* data = nullptr;  ///< [ceil(rows / tile_rows)][tile_bytes], 64-byte aligned
  int64_t tiles() const { return (rows + tile_rows - 1) / tile_rows; }
  uint64_t bytes() const { return static_cast<uint64_t>(tiles()) * tile_bytes; }
};

/// The input rows of a matrix product, in both forms a kernel may ask for. A view into a workspace.
struct Activations {
  int tokens = 0;
  int64_t width = 0;
  const float* values = nullptr;       ///< [tokens][width]
  const std::byte* codes = nullptr;    ///< [tokens][width] of code_bytes each, -127…127, in the order of KernelTable::quantize_row
  const float* scales = nullptr;       ///< [tokens][width/32]
  const int32_t* half_sums = nullptr;  ///< [tokens][width/16] sum of 16 codes each
  const float* scaled_sums = nullptr;  ///< [tokens][width/32] scale · float(Σ codes)
  int code_bytes = 1;                  ///< of the table that quantised them
};

/// Stretches of a matrix that a product of a single token may read side by side.
inline constexpr int kMostStreams = 4;

/// Tiles [first, end) of a matrix; with a stride also those that lie one, two … kMostStreams - 1 times as far behind each: stretches that
/// are read side by side. What is computed is the same in any order.
struct TileRange {
  int64_t first;
  int64_t end;
  int64_t stride = 0;
  int stretches() const { return stride > 0 ? kMostStreams : 1; }
};

/// Multiplies some tiles of `weights` with all tokens: out[token · out_stride + row].
using MatmulFn = void (*)(const PackedMatrix& weights, const Activations& x, const TileRange& tiles, float* out, int64_t out_stride);

/// One product per DType, indexed by its GGUF number; nullptr where the format does not exist.
using MatmulTable = std::array<MatmulFn, kDTypeNumbers>;

/// Width of the panels that K and V are cut into: columns that are read together lie together, line after line.
inline constexpr int kAttentionPanel = 16;

/// kAttentionChunk positions of one head's K and V as f32. A SIMD lane is a position in K and a dimension in V.
struct CacheChunk {
  const float* keys = nullptr;    ///< [kAttentionChunk / 16][head_dim][16 positions]
  const float* values = nullptr;  ///< [head_dim / 16][kAttentionChunk][16 dimensions]
};

/// Largest code of values. A segment's sum of products with weights of up to 2^kWeightBits stays below 2^31.
inline constexpr int kMaxValueCode = 127;
static_assert((int64_t{kAttentionSegment} << kWeightBits) * kMaxValueCode < (int64_t{1} << 31));

/// Largest code of queries and keys, so that the dot of two heads stays below 2^31: 5792 for 64 values, 2896 for 256.
constexpr int max_score_code(int head_dim) {
  int code = 1;
  while (int64_t{head_dim} * (code + 1) * (code + 1) < (int64_t{1} << 31)) ++code;
  return code;
}

/// Where 16-bit codes are made, max|x| counts as at least this: the reciprocal of a value's scale times a weight stays finite.
inline constexpr float kLeastMagnitude = 1e-14f;

/// kAttentionSegment positions of one head's K as 16-bit codes and V as 8-bit codes: errors of values average out over the positions, those
/// of keys go into the exponent. A SIMD lane is a position in K and a dimension in V; codes of it that are summed first lie together.
/// All scales lie in the keys' stream, before what needs them: fetched alone, each line of scales cost a wait for memory that was as long
/// as the work on a whole panel.
struct QuantizedSegment {
  const std::byte* keys = nullptr;  ///< [segment / 16] panels of key_panel_bytes
  const int8_t* values = nullptr;   ///< [head_dim / 16][segment / 4][16 dimensions][4 positions], ±kMaxValueCode
  bool in_streams = true;           ///< whether panels may be read side by side: a matter of speed alone
};

/// A panel of keys: 16 positions of one head. Byte is std::byte where it is written, const std::byte where it is read.
template <class Byte>
struct KeyPanel {
  template <class Number>
  using Pointer = std::conditional_t<std::is_const_v<Byte>, const Number*, Number*>;
  Pointer<float> key_scales;      ///< [16]
  Pointer<float> value_log2;      ///< [16] log2 of what a code of the value is worth
  Pointer<float> value_inverses;  ///< [16] 1 / what it is worth
  Pointer<int16_t> codes;         ///< [head_dim / 2][16 positions][2 dimensions], ±max_score_code(head_dim)
};
constexpr int key_panel_bytes(int head_dim) { return kAttentionPanel * (3 * 4 + 2 * head_dim); }
template <class Byte>
static inline KeyPanel<Byte> key_panel(Byte* keys, int position, int head_dim) {
  using Panel = KeyPanel<Byte>;
  const auto scales =
      reinterpret_cast<typename Panel::template Pointer<float>>(keys + position / kAttentionPanel * key_panel_bytes(head_dim));
  return {scales, scales + kAttentionPanel, scales + 2 * kAttentionPanel,
          reinterpret_cast<typename Panel::template Pointer<int16_t>>(scales + 3 * kAttentionPanel)};
}

/// Where the code of a position and dimension lies in QuantizedSegment::values.
static inline int value_index(int position, int dimension) {
  const int row = dimension / kAttentionPanel * (kAttentionSegment / 4) + position / 4;
  return (row * kAttentionPanel + dimension % kAttentionPanel) * 4 + position % 4;
}

/// Longest heads that attention over codes takes, so that it can keep its rows on the stack.
inline constexpr int kMaxQuantizedHeadDim = 1024;

/// Queries of one position, already multiplied by the attention scale.
struct QuantizedQueries {
  const int16_t* codes = nullptr;  ///< [heads][head_dim], ±max_score_code(head_dim)
  const float* scales = nullptr;   ///< [heads]
  QuantizedQueries of(int head, int head_dim) const { return {codes + head * head_dim, scales + head}; }
};

/// The running state of attention for one query: softmax(q·K)·V over the positions seen so far (Milakov & Gimelshein 2018).
struct AttentionState {
  float maximum;  ///< largest score so far; -infinity before the first
  float sum;      ///< Σ exp(score - maximum)
};

/// Of a feed-forward block's gate, which multiplies the up projection; kSquaredRelu is of the up projection itself, there is no gate
/// (Arcee).
enum class Activation { kSilu, kGelu, kClampedSwiglu, kSquaredRelu };
using GatedFn = void (*)(float* gate, const float* up, int64_t n);

/// A complete set of inner loops for one instruction set. A value: plain function pointers, no state.
struct KernelTable {
  std::string_view name;  ///< "scalar", "avx2", "avx512_vnni", "neon_dot", "wasm_simd128", "wasm_relaxed"
  int tile_rows;          ///< the PackedMatrix tile these kernels read

  /// Bytes of an activation's code: 1, int8_t in the order of the values, or 2, int16_t with the middle two of each four values changed
  /// about, so that a 32-bit word holds what a dot of 16-bit pairs takes.
  int code_bytes;

  /// Stretches that products of a single token read side by side, 1 or kMostStreams; attention reads in streams where they do. Which is
  /// faster depends on the processor's caches: a trial on the device decides (core/engine/tune.h).
  int streams = kMostStreams;

  /// Whether a model that was loaded for this table can go on with the other: both read the same tiles and activations.
  bool reads_as(const KernelTable& other) const { return tile_rows == other.tile_rows && code_bytes == other.code_bytes; }

  /// Quantises one row of `width` (a multiple of 32) values; output shapes as in Activations for one token.
  void (*quantize_row)(const float* x, int64_t width, std::byte* codes, float* scales, int32_t* half_sums, float* scaled_sums);

  MatmulTable matmul;

  /// out[i] = x[i] · (1 / sqrt(Σx²/n + epsilon)) · weight[i] (Zhang & Sennrich 2019). n ≥ 1; out may be x.
  void (*rms_norm)(const float* x, const float* weight, int64_t n, float epsilon, float* out);

  /// gate[i] = act(gate[i]) · up[i] with SiLU or tanh-GELU.
  GatedFn silu_mul;
  GatedFn gelu_mul;
  /// gate[i] = clamped_swiglu(gate[i], up[i]) of base/math.h.
  GatedFn clamped_swiglu;

  /// Adds positions [begin, end) ⊆ [0, kAttentionChunk) of a chunk to `heads` queries that share it: queries [heads][head_dim],
  /// already multiplied by the attention scale; states [heads]; accumulators [heads][head_dim] = Σ exp(score - maximum) · v,
  /// zeros before the first. A softcap > 0 bends the scores by soft_cap. head_dim is a multiple of 16; begin < end. Keys of other
  /// positions may be anything.
  void (*attend)(const float* queries, int heads, const CacheChunk& chunk, int begin, int end, int head_dim, float softcap,
                 AttentionState* states, float* accumulators);

  /// x [n] → codes of at most ±max_code ≤ 8191; returns what a code is worth. n is a multiple of 16.
  float (*quantize_words)(const float* x, int64_t n, int max_code, int16_t* codes);

  /// Attention of `heads` queries over positions [begin, end) ⊆ [0, kAttentionSegment) of a segment: states [heads] and
  /// sums [heads][head_dim] = Σ exp(score - maximum) · v are written, not added to; any number is a maximum that keeps the sums in range.
  /// head_dim is a multiple of 16; begin < end. Other positions may hold anything, scales that are not numbers too.
  void (*attend_segment)(const QuantizedQueries& queries, int heads, const QuantizedSegment& segment, int begin, int end, int head_dim,
                         float softcap, AttentionState* states, float* sums);

  /// f16 bits → f32, exactly; n values. For F16 caches.
  void (*widen_f16)(const uint16_t* in, int64_t n, float* out);

  MatmulFn matmul_for(DType dtype) const { return matmul[static_cast<uint32_t>(dtype)]; }
  /// Of an activation with a gate.
  GatedFn gated_for(Activation activation) const {
    if (activation == Activation::kClampedSwiglu) return clamped_swiglu;
    return activation == Activation::kGelu ? gelu_mul : silu_mul;
  }
};

/// The tables this machine can run, best first; natively "scalar" is always the last.
std::span<const KernelTable* const> available_kernels();

/// The available table of that name ("" = the best), or nullptr.
const KernelTable* find_kernels(std::string_view name);

}  // namespace tessera

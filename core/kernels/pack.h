// Owns the packed weight layout: rows interleaved at load so that one SIMD lane is one output row.
//
// A tile holds R = tile_rows rows. Along the width it is a list of blocks (32 weights) or super-blocks (256 weights = header + 8 blocks);
// inside, every field of the R rows lies side by side. "word" below is 4 bytes of one row, so a line of R words is one SIMD load:
//
//   Q4_0, Q4_1   [R f16 scale] [R f16 min: Q4_1]  4 × [R words of codes]
//   Q5_0, Q5_1   [R f16 scale] [R f16 min: Q5_1]  5 × [R words of codes]
//   Q8_0         [R f16 scale]  8 × [R words of codes]
//   IQ4_NL       as Q4_0
//   MXFP4        [R u8 power of two]  4 × [R words of codes]
//   Q4_K, Q5_K   header [R f16 d] [R f16 dmin]; block [R u8 scale] [R u8 min]  4 or 5 × [R words of codes]
//   IQ4_XS       header [R f16 d]; block [R i8 scale]  4 × [R words of codes]
//   Q3_K, Q6_K   header [R f16 d]; block [R i8 scale of weights 0…15] [R i8 of 16…31]  3 or 6 × [R words of codes]
//   Q2_K         header [R f16 d] [R f16 dmin]; block [R bytes of weights 0…15: scale low nibble, minimum high] [R bytes of 16…31]
//                2 × [R words of codes]
//   TQ1_0, TQ2_0 header [R f16 d]; block 2 × [R words of codes]
//   Q8_K         header [R f32 d]; block 8 × [R words of codes]
//   F32, F16, BF16  per element [R values]
//
// Codes: byte i of the n words of a row holds bits of weights 4w+i of the block, w = 0…7. Whole codes lie where a shift and a mask find
// them, those that are left over in the bits above, as few pieces each as may be ("w < 0…2": the lower bits first):
//   8 bits   word w: code w
//   6        word w < 6: code w; above, two bits each of code 6 (words 0, 1, 2) and 7 (3, 4, 5)
//   5        word w < 5: code w; above, code 5 < 3 bits of word 0, 2 of word 1; code 6 < 3 of word 2, 2 of word 3; code 7 < 3 of word 4,
//            then the highest bit of word 1 and of word 3
//   4        word w: code w, above it code w + 4
//   3        word w: code w, above it code w + 3; above those, code 6 < 2 bits of word 0, 1 of word 1; code 7 < 2 of word 2, 1 of word 1
//   2        word w: codes 4w … 4w + 3
//
// A row takes as many bytes as in the file, but where 6-bit scales become whole bytes: Q3_K +3.6 %, Q4_K +2.8 %, Q5_K +2.3 %,
// IQ4_XS +1.5 %. TQ1_0 takes the bytes of TQ2_0 (+22 %): base-3 digits cost a multiplication each. Q8_K loses its sums (-11 %).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/result.h"
#include "core/kernels/kernels.h"

namespace tessera {

/// Bytes of one tile of `tile_rows` rows of `width` weights.
uint64_t packed_tile_bytes(DType dtype, int64_t width, int tile_rows);

/// Packs one tile: `rows` (1…tile_rows) consecutive rows of GGUF bytes, row_bytes(dtype, width) each, into `out`
/// [packed_tile_bytes]; missing rows become zeros. Returns false when a block scale is not finite (a damaged or hostile file).
/// A code of -128 in Q8_0 or Q8_K, which no quantiser writes, becomes -127. Thread-safe.
[[nodiscard]] bool pack_tile(DType dtype, const std::byte* rows_bytes, int64_t width, int rows, int tile_rows, std::byte* out);

/// One block of 32 weights of one row, taken apart: weight = scale · half_scale[i/16] · code[i] + min · half_min[i/16].
struct BlockCodes {
  int8_t codes[32];   ///< with the format's offset already taken off, or looked up in its table
  float scale;        ///< factor of all codes: d, or d·sc for Q4_K, Q5_K and IQ4_XS
  float min;          ///< 0 for formats without a minimum; Q4_K, Q5_K: -(dmin·m); Q2_K: -dmin
  int half_scale[2];  ///< Q2_K, Q3_K, Q6_K: integer scale of each 16 codes; 1 elsewhere
  int half_min[2];    ///< Q2_K: integer minimum of each 16 codes; 1 elsewhere
  bool has_min;
};

/// Reads block `block` (of 32 weights) of `row` from a packed matrix of a quantised format.
BlockCodes read_block(const PackedMatrix& matrix, int64_t row, int64_t block);

/// Reads element `column` of `row` from a packed F32, F16 or BF16 matrix.
float read_element(const PackedMatrix& matrix, int64_t row, int64_t column);

/// Dequantises one row [width] of a packed matrix; the same bits as dequantize_row on the file's bytes.
void unpack_row(const PackedMatrix& matrix, int64_t row, float* out);

}  // namespace tessera

// Owns the byte offsets of the packed formats that pack.h describes, shared by the packer and every kernel file.
#pragma once

#include <cstdint>

#include "core/tensor/dtype.h"

namespace tessera {

/// Where the fields of one packed quantised format lie. Offsets count bytes of ONE row; in a tile of R rows a field of n bytes
/// at offset o begins at R·o and row r's part at R·o + r·n. Block fields count from the block's start, header fields from the
/// super-block's.
struct PackedLayout {
  int header_bytes = 0;  ///< of a super-block; 0 when every block stands alone
  int blocks = 1;        ///< blocks of 32 weights in a super-block
  int block_bytes = 0;
  int codes_at = 0;           ///< first of the nibble words, or of the eight code words of Q8_0
  int high_at = -1;           ///< word(s) with the bits above the nibble
  int high_bits = 0;          ///< 0, 1 or 2 of them
  int offset = 0;             ///< taken off each unsigned code: 8, 16, 32 or 0
  int max_code = 15;          ///< largest unsigned code
  bool has_min = false;       ///< a minimum is added to each weight
  bool signed_codes = false;  ///< Q8_0: whole signed bytes instead of nibbles

  constexpr int super_bytes() const { return header_bytes + blocks * block_bytes; }
};

/// The layout of a quantised format; block_bytes is 0 for F32, F16 and BF16.
constexpr PackedLayout packed_layout(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0: return {.block_bytes = 18, .codes_at = 2, .offset = 8};
    case DType::kQ4_1: return {.block_bytes = 20, .codes_at = 4, .has_min = true};
    case DType::kQ5_0: return {.block_bytes = 22, .codes_at = 6, .high_at = 2, .high_bits = 1, .offset = 16, .max_code = 31};
    case DType::kQ5_1: return {.block_bytes = 24, .codes_at = 8, .high_at = 4, .high_bits = 1, .max_code = 31, .has_min = true};
    case DType::kQ8_0: return {.block_bytes = 34, .codes_at = 2, .max_code = 127, .signed_codes = true};
    case DType::kQ4_K: return {.header_bytes = 4, .blocks = 8, .block_bytes = 18, .codes_at = 2, .has_min = true};
    case DType::kQ5_K:
      return {
          .header_bytes = 4, .blocks = 8, .block_bytes = 22, .codes_at = 6, .high_at = 2, .high_bits = 1, .max_code = 31, .has_min = true};
    case DType::kQ6_K:
      return {
          .header_bytes = 2, .blocks = 8, .block_bytes = 26, .codes_at = 10, .high_at = 2, .high_bits = 2, .offset = 32, .max_code = 63};
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: break;
  }
  return {};
}

}  // namespace tessera

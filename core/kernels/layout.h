// Owns the byte offsets of the packed formats that pack.h describes, shared by the packer and every kernel file.
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor/blocks.h"
#include "core/tensor/dtype.h"

namespace tessera {

/// How the factors of 32 weights are stored. "d" lies in the super-block's header where there is one, else in the block; the
/// bytes named after it begin each block.
enum class ScaleForm {
  kF16,          ///< d f16
  kF32,          ///< d f32
  kE8M0,         ///< d u8: 2^(d - 128)
  kTimesI8,      ///< d f16 · i8
  kTimesU8,      ///< d f16 · u8; the minimum: f16 · the next u8
  kHalves,       ///< d f16; an integer factor i8 for each 16 weights
  kHalfNibbles,  ///< d f16; for each 16 weights a byte: integer factor (low nibble), that of the minimum (high nibble)
};

/// kDoubledE2M1 moved up to 0…24, so that its dots take the path of unsigned codes.
inline constexpr int kE2M1Offset = 12;
inline constexpr auto kShiftedE2M1 = [] {
  std::array<int8_t, 16> values{};
  for (int i = 0; i < 16; ++i) values[i] = static_cast<int8_t>(kDoubledE2M1[i] + kE2M1Offset);
  return values;
}();

/// The sixteen values that nibbles stand for. A name, not a pointer: GCC's sanitizers do not compare pointers in constant expressions.
enum class CodeTable { kNone, kNonLinear4, kShiftedE2M1 };
inline const int8_t* table_values(CodeTable table) { return table == CodeTable::kNonLinear4 ? kNonLinear4 : kShiftedE2M1.data(); }

/// Where the fields of one packed quantised format lie. Offsets count bytes of ONE row; in a tile of R rows a field of n bytes
/// at offset o begins at R·o and row r's part at R·o + r·n. Block fields count from the block's start, header fields from the
/// super-block's.
struct PackedLayout {
  int header_bytes = 0;  ///< of a super-block; 0 when every block stands alone
  int blocks = 1;        ///< blocks of 32 weights in a super-block
  int block_bytes = 0;
  ScaleForm scale = ScaleForm::kF16;
  int code_bits = 4;          ///< 2 to 6 or 8
  int codes_at = 0;           ///< first of as many words
  int offset = 0;             ///< taken off each unsigned code
  int max_code = 15;          ///< largest unsigned code
  bool has_min = false;       ///< a minimum is added to each weight
  bool signed_codes = false;  ///< whole bytes, or values of the table, with a sign
  CodeTable table = CodeTable::kNone;

  constexpr int super_bytes() const { return header_bytes + blocks * block_bytes; }
  constexpr int scale_bytes() const { return scale == ScaleForm::kF32 ? 4 : scale == ScaleForm::kE8M0 ? 1 : 2; }
  /// Whether each 16 weights have their own integer factor, so that their dots stay apart.
  constexpr bool halves() const { return scale == ScaleForm::kHalves || scale == ScaleForm::kHalfNibbles; }
  /// Bytes of factors at the start of each block.
  constexpr int factors() const {
    if (scale == ScaleForm::kTimesI8) return 1;
    return scale == ScaleForm::kTimesU8 || halves() ? 2 : 0;
  }
};

/// The layout of a quantised format; block_bytes is 0 for F32, F16 and BF16. TQ1_0 is packed as TQ2_0.
constexpr PackedLayout packed_layout(DType dtype) {
  using enum ScaleForm;
  switch (dtype) {
    case DType::kQ4_0: return {.block_bytes = 18, .codes_at = 2, .offset = 8};
    case DType::kQ4_1: return {.block_bytes = 20, .codes_at = 4, .has_min = true};
    case DType::kQ5_0: return {.block_bytes = 22, .code_bits = 5, .codes_at = 2, .offset = 16, .max_code = 31};
    case DType::kQ5_1: return {.block_bytes = 24, .code_bits = 5, .codes_at = 4, .max_code = 31, .has_min = true};
    case DType::kQ8_0: return {.block_bytes = 34, .code_bits = 8, .codes_at = 2, .signed_codes = true};
    case DType::kIQ4_NL: return {.block_bytes = 18, .codes_at = 2, .signed_codes = true, .table = CodeTable::kNonLinear4};
    case DType::kMXFP4:
      return {.block_bytes = 17, .scale = kE8M0, .codes_at = 1, .offset = kE2M1Offset, .max_code = 24, .table = CodeTable::kShiftedE2M1};
    case DType::kQ2_K:
      return {.header_bytes = 4,
              .blocks = 8,
              .block_bytes = 10,
              .scale = kHalfNibbles,
              .code_bits = 2,
              .codes_at = 2,
              .max_code = 3,
              .has_min = true};
    case DType::kQ3_K:
      return {
          .header_bytes = 2, .blocks = 8, .block_bytes = 14, .scale = kHalves, .code_bits = 3, .codes_at = 2, .offset = 4, .max_code = 7};
    case DType::kQ4_K: return {.header_bytes = 4, .blocks = 8, .block_bytes = 18, .scale = kTimesU8, .codes_at = 2, .has_min = true};
    case DType::kQ5_K:
      return {.header_bytes = 4,
              .blocks = 8,
              .block_bytes = 22,
              .scale = kTimesU8,
              .code_bits = 5,
              .codes_at = 2,
              .max_code = 31,
              .has_min = true};
    case DType::kQ6_K:
      return {
          .header_bytes = 2, .blocks = 8, .block_bytes = 26, .scale = kHalves, .code_bits = 6, .codes_at = 2, .offset = 32, .max_code = 63};
    case DType::kQ8_K: return {.header_bytes = 4, .blocks = 8, .block_bytes = 32, .scale = kF32, .code_bits = 8, .signed_codes = true};
    case DType::kIQ4_XS:
      return {.header_bytes = 2,
              .blocks = 8,
              .block_bytes = 17,
              .scale = kTimesI8,
              .codes_at = 1,
              .signed_codes = true,
              .table = CodeTable::kNonLinear4};
    case DType::kTQ1_0:
    case DType::kTQ2_0: return {.header_bytes = 2, .blocks = 8, .block_bytes = 8, .code_bits = 2, .offset = 1, .max_code = 3};
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: break;
  }
  return {};
}

}  // namespace tessera

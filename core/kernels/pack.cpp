#include "core/kernels/pack.h"

#include <cstring>

#include "core/base/half.h"
#include "core/kernels/code_words.h"
#include "core/kernels/layout.h"
#include "core/kernels/raw_block.h"
#include "core/tensor/block_fields.h"

namespace tessera {
namespace {

// Where row `row` of a tile keeps its `size` bytes of the field at `offset` (see PackedLayout).
template <class Byte>
Byte* field_of_row(Byte* base, int tile_rows, int row, int offset, int size) {
  return base + static_cast<ptrdiff_t>(tile_rows) * offset + static_cast<ptrdiff_t>(row) * size;
}

// The lowest `count` bits of each of four bytes.
constexpr uint32_t lowest_bits(int count) { return 0x01010101u * ((1u << count) - 1); }

// All weights pass here: nibbles in a loop that a compiler turns into SIMD, others four at once, their places being known to it. What
// take_codes() wrote before stays in registers, so that whole nibbles and bytes are no more than copied.
template <int kBits>
void write_codes(const uint8_t codes[32], std::byte* block, int tile_rows, int row, int offset) {
  uint8_t bytes[4 * kBits];
  if constexpr (kBits == 4) {
    for (int i = 0; i < 16; ++i) bytes[i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + 16] << 4));
  } else if constexpr (kBits == 8) {
    std::memcpy(bytes, codes, sizeof bytes);
  } else {
    uint32_t words[8], lines[kBits] = {};
    std::memcpy(words, codes, sizeof words);
#pragma GCC unroll 8
    for (int word = 0; word < 8; ++word) {
#pragma GCC unroll 3
      for (const BitPlace& place : kCodePlaces<kBits>[word]) {
        lines[place.line] |= ((words[word] >> place.to_bit) & lowest_bits(place.bits)) << place.shift;
      }
    }
    std::memcpy(bytes, lines, sizeof bytes);
  }
#pragma GCC unroll 8
  for (int line = 0; line < kBits; ++line) std::memcpy(field_of_row(block, tile_rows, row, offset + 4 * line, 4), bytes + 4 * line, 4);
}

bool finite_f16(uint32_t bits) { return (bits & 0x7c00) != 0x7c00; }

bool finite_scale(ScaleForm form, uint32_t bits) {
  if (form == ScaleForm::kF32) return (bits & 0x7f800000) != 0x7f800000;
  if (form == ScaleForm::kE8M0) return bits != 255;
  return finite_f16(bits);
}

// Packs row `row` of a tile; false when a scale or minimum is not finite.
using PackRowFn = bool (*)(const std::byte* source, int64_t width, int tile_rows, int row, std::byte* tile);

template <DType kDType, class Block>
bool pack_row(const std::byte* source, int64_t width, int tile_rows, int row, std::byte* tile) {
  constexpr PackedLayout kLayout = packed_layout(kDType);
  bool finite = true;
  std::byte* super = tile;
  for (int64_t left = width / (32 * kLayout.blocks); left > 0; --left, source += sizeof(Block)) {
    Block block;
    std::memcpy(&block, source, sizeof block);
    const uint32_t scale = raw_scale(block);
    const uint16_t minimum = raw_minimum(block);
    finite = finite && finite_scale(kLayout.scale, scale) && finite_f16(minimum);
    std::memcpy(field_of_row(super, tile_rows, row, 0, kLayout.scale_bytes()), &scale, kLayout.scale_bytes());
    if (kLayout.has_min) std::memcpy(field_of_row(super, tile_rows, row, 2, 2), &minimum, 2);
    const RawFactors factors = raw_factors(block);
    std::byte* out = super + static_cast<ptrdiff_t>(tile_rows) * kLayout.header_bytes;
    for (int g = 0; g < kLayout.blocks; ++g, out += static_cast<ptrdiff_t>(tile_rows) * kLayout.block_bytes) {
      for (int i = 0; i < kLayout.factors(); ++i) *field_of_row(out, tile_rows, row, i, 1) = std::byte{factors[g][i]};
      uint8_t codes[32];
      take_codes(block, g, codes);
      write_codes<kLayout.code_bits>(codes, out, tile_rows, row, kLayout.codes_at);
    }
    super += static_cast<ptrdiff_t>(tile_rows) * kLayout.super_bytes();
  }
  return finite;
}

template <class Value>
bool pack_values(const std::byte* source, int64_t width, int tile_rows, int row, std::byte* tile) {
  std::byte* out = tile + row * sizeof(Value);
  for (int64_t k = 0; k < width; ++k, source += sizeof(Value), out += tile_rows * sizeof(Value)) std::memcpy(out, source, sizeof(Value));
  return true;
}

PackRowFn row_packer(DType dtype) {
  switch (dtype) {
    case DType::kF32: return pack_values<uint32_t>;
    case DType::kF16:
    case DType::kBF16: return pack_values<uint16_t>;
    case DType::kQ4_0: return pack_row<DType::kQ4_0, BlockQ4_0>;
    case DType::kQ4_1: return pack_row<DType::kQ4_1, BlockQ4_1>;
    case DType::kQ5_0: return pack_row<DType::kQ5_0, BlockQ5_0>;
    case DType::kQ5_1: return pack_row<DType::kQ5_1, BlockQ5_1>;
    case DType::kQ8_0: return pack_row<DType::kQ8_0, BlockQ8_0>;
    case DType::kQ2_K: return pack_row<DType::kQ2_K, BlockQ2_K>;
    case DType::kQ3_K: return pack_row<DType::kQ3_K, BlockQ3_K>;
    case DType::kQ4_K: return pack_row<DType::kQ4_K, BlockQ4_K>;
    case DType::kQ5_K: return pack_row<DType::kQ5_K, BlockQ5_K>;
    case DType::kQ6_K: return pack_row<DType::kQ6_K, BlockQ6_K>;
    case DType::kQ8_K: return pack_row<DType::kQ8_K, BlockQ8_K>;
    case DType::kIQ4_NL: return pack_row<DType::kIQ4_NL, BlockIQ4_NL>;
    case DType::kIQ4_XS: return pack_row<DType::kIQ4_XS, BlockIQ4_XS>;
    case DType::kTQ1_0: return pack_row<DType::kTQ1_0, BlockTQ1_0>;
    case DType::kTQ2_0: return pack_row<DType::kTQ2_0, BlockTQ2_0>;
    case DType::kMXFP4: return pack_row<DType::kMXFP4, BlockMXFP4>;
  }
  return nullptr;
}

bool is_float(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

uint16_t load_u16(const std::byte* at) {
  uint16_t value;
  std::memcpy(&value, at, 2);
  return value;
}

float load_f32(const std::byte* at) {
  float value;
  std::memcpy(&value, at, 4);
  return value;
}

// The 32 codes of one row's block, looked up in the format's table, offset taken off. Embedding rows alone come here: one loop for all
// formats is small, and fast enough.
void read_codes(const PackedLayout& layout, const std::byte* block, int tile_rows, int row, int8_t codes[32]) {
  uint8_t bytes[32];
  for (int line = 0; line < layout.code_bits; ++line) {
    std::memcpy(bytes + 4 * line, field_of_row(block, tile_rows, row, layout.codes_at + 4 * line, 4), 4);
  }
  for (int i = 0; i < 32; ++i) {
    int raw = 0;
    for (const BitPlace& place : places_of(layout.code_bits, i / 4)) {
      raw |= ((bytes[4 * place.line + i % 4] >> place.shift) & ((1 << place.bits) - 1)) << place.to_bit;
    }
    const int value = layout.table != CodeTable::kNone ? table_values(layout.table)[raw] : raw;
    codes[i] = static_cast<int8_t>(value - layout.offset);
  }
}

float read_scale(ScaleForm form, const std::byte* scales, int tile_rows, int row) {
  if (form == ScaleForm::kE8M0) return half_e8m0(std::to_integer<uint8_t>(*field_of_row(scales, tile_rows, row, 0, 1)));
  if (form == ScaleForm::kF32) return load_f32(field_of_row(scales, tile_rows, row, 0, 4));
  return f16_to_f32(load_u16(field_of_row(scales, tile_rows, row, 0, 2)));
}

// Applies the factors at the start of the block.
void read_factors(ScaleForm form, uint8_t first, uint8_t second, BlockCodes& block) {
  switch (form) {
    case ScaleForm::kTimesI8: block.scale = block.scale * static_cast<float>(static_cast<int8_t>(first)); return;
    case ScaleForm::kTimesU8:
      block.scale = block.scale * static_cast<float>(first);
      block.min = -(block.min * static_cast<float>(second));
      return;
    case ScaleForm::kHalves:
      block.half_scale[0] = static_cast<int8_t>(first);
      block.half_scale[1] = static_cast<int8_t>(second);
      return;
    case ScaleForm::kHalfNibbles:
      block.min = -block.min;
      block.half_scale[0] = first & 15;
      block.half_scale[1] = second & 15;
      block.half_min[0] = first >> 4;
      block.half_min[1] = second >> 4;
      return;
    case ScaleForm::kF16:
    case ScaleForm::kF32:
    case ScaleForm::kE8M0: return;
  }
}

}  // namespace

uint64_t packed_tile_bytes(DType dtype, int64_t width, int tile_rows) {
  if (is_float(dtype)) return static_cast<uint64_t>(tile_rows) * row_bytes(dtype, width);
  const PackedLayout layout = packed_layout(dtype);
  return static_cast<uint64_t>(tile_rows) * (width / (32 * layout.blocks)) * layout.super_bytes();
}

bool pack_tile(DType dtype, const std::byte* rows_bytes, int64_t width, int rows, int tile_rows, std::byte* out) {
  if (rows < tile_rows) std::memset(out, 0, packed_tile_bytes(dtype, width, tile_rows));
  const uint64_t stride = row_bytes(dtype, width);
  const PackRowFn pack = row_packer(dtype);
  bool finite = true;
  for (int row = 0; row < rows; ++row) finite = pack(rows_bytes + row * stride, width, tile_rows, row, out) && finite;
  return finite;
}

BlockCodes read_block(const PackedMatrix& matrix, int64_t row, int64_t block_index) {
  const PackedLayout layout = packed_layout(matrix.dtype);
  const int rows = matrix.tile_rows, r = static_cast<int>(row % rows);
  const std::byte* tile = matrix.data + (row / rows) * matrix.tile_bytes;
  const std::byte* super = tile + static_cast<ptrdiff_t>(rows) * (block_index / layout.blocks) * layout.super_bytes();
  const std::byte* block =
      super + static_cast<ptrdiff_t>(rows) * (layout.header_bytes + (block_index % layout.blocks) * layout.block_bytes);
  const std::byte* scales = layout.header_bytes > 0 ? super : block;

  BlockCodes result{.codes = {},
                    .scale = read_scale(layout.scale, scales, rows, r),
                    .min = 0.0f,
                    .half_scale = {1, 1},
                    .half_min = {1, 1},
                    .has_min = layout.has_min};
  if (layout.has_min) result.min = f16_to_f32(load_u16(field_of_row(scales, rows, r, 2, 2)));
  if (layout.factors() > 0) {
    const auto factor = [&](int i) { return std::to_integer<uint8_t>(*field_of_row(block, rows, r, i, 1)); };
    read_factors(layout.scale, factor(0), factor(layout.factors() - 1), result);
  }
  read_codes(layout, block, rows, r, result.codes);
  return result;
}

float read_element(const PackedMatrix& matrix, int64_t row, int64_t column) {
  const int64_t index = column * matrix.tile_rows + row % matrix.tile_rows;
  const std::byte* tile = matrix.data + (row / matrix.tile_rows) * matrix.tile_bytes;
  if (matrix.dtype == DType::kF16) return f16_to_f32(load_u16(tile + 2 * index));
  if (matrix.dtype == DType::kBF16) return bf16_to_f32(load_u16(tile + 2 * index));
  return load_f32(tile + 4 * index);
}

void unpack_row(const PackedMatrix& matrix, int64_t row, float* out) {
  if (is_float(matrix.dtype)) {
    for (int64_t k = 0; k < matrix.width; ++k) out[k] = read_element(matrix, row, k);
    return;
  }
  for (int64_t b = 0; b < matrix.width / 32; ++b) {
    const BlockCodes block = read_block(matrix, row, b);
    for (int i = 0; i < 32; ++i) {
      const float value = (block.scale * static_cast<float>(block.half_scale[i / 16])) * static_cast<float>(block.codes[i]);
      out[32 * b + i] = block.has_min ? value + block.min * static_cast<float>(block.half_min[i / 16]) : value;
    }
  }
}

}  // namespace tessera

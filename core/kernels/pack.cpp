#include "core/kernels/pack.h"

#include <cstring>

#include "core/base/half.h"
#include "core/kernels/layout.h"
#include "core/tensor/blocks.h"

namespace tessera {
namespace {

// A file's block of 32 weights, the same for every quantised format.
struct RawBlock {
  uint16_t d = 0;     // f16 scale of the block or super-block
  uint16_t m = 0;     // f16 minimum, or dmin of the super-block
  uint8_t scale = 0;  // 6-bit scale and minimum of Q4_K, Q5_K; the two int8 scales of Q6_K
  uint8_t minimum = 0;
  uint8_t codes[32] = {};  // unsigned; two's complement for Q8_0
};

template <class Block>
Block load_block(const std::byte* row, int64_t index) {
  Block block;
  std::memcpy(&block, row + index * sizeof(Block), sizeof(Block));
  return block;
}

void read_nibbles(const uint8_t* qs, RawBlock& raw) {
  for (int i = 0; i < 16; ++i) {
    raw.codes[i] = qs[i] & 15;
    raw.codes[i + 16] = qs[i] >> 4;
  }
}

void read_fifth_bits(const uint8_t qh[4], RawBlock& raw) {
  for (int i = 0; i < 32; ++i) raw.codes[i] = static_cast<uint8_t>(raw.codes[i] | (((qh[i / 8] >> (i % 8)) & 1) << 4));
}

RawBlock read_q4_0(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ4_0>(row, b);
  RawBlock raw{.d = block.d};
  read_nibbles(block.qs, raw);
  return raw;
}

RawBlock read_q4_1(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ4_1>(row, b);
  RawBlock raw{.d = block.d, .m = block.m};
  read_nibbles(block.qs, raw);
  return raw;
}

RawBlock read_q5_0(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ5_0>(row, b);
  RawBlock raw{.d = block.d};
  read_nibbles(block.qs, raw);
  read_fifth_bits(block.qh, raw);
  return raw;
}

RawBlock read_q5_1(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ5_1>(row, b);
  RawBlock raw{.d = block.d, .m = block.m};
  read_nibbles(block.qs, raw);
  read_fifth_bits(block.qh, raw);
  return raw;
}

RawBlock read_q8_0(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ8_0>(row, b);
  RawBlock raw{.d = block.d};
  for (int i = 0; i < 32; ++i) raw.codes[i] = static_cast<uint8_t>(block.qs[i] == -128 ? -127 : block.qs[i]);
  return raw;
}

// Scales of group b%8 and the nibbles of a K-quant super-block.
template <class Block>
RawBlock read_k_block(const Block& block, int group) {
  uint8_t scales[8], minima[8];
  unpack_scales_k4(block.scales, scales, minima);
  RawBlock raw{.d = block.d, .m = block.dmin, .scale = scales[group], .minimum = minima[group]};
  const uint8_t* qs = block.qs + 32 * (group / 2);
  for (int i = 0; i < 32; ++i) raw.codes[i] = group % 2 == 0 ? qs[i] & 15 : qs[i] >> 4;
  return raw;
}

RawBlock read_q4_k(const std::byte* row, int64_t b) { return read_k_block(load_block<BlockQ4_K>(row, b / 8), static_cast<int>(b % 8)); }

RawBlock read_q5_k(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ5_K>(row, b / 8);
  const int group = static_cast<int>(b % 8);
  RawBlock raw = read_k_block(block, group);
  for (int i = 0; i < 32; ++i) raw.codes[i] = static_cast<uint8_t>(raw.codes[i] | (((block.qh[i] >> group) & 1) << 4));
  return raw;
}

RawBlock read_q6_k(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ6_K>(row, b / 8);
  const int half = static_cast<int>(b % 8) / 4, k = static_cast<int>(b % 4);
  RawBlock raw{.d = block.d,
               .scale = static_cast<uint8_t>(block.scales[2 * (b % 8)]),
               .minimum = static_cast<uint8_t>(block.scales[2 * (b % 8) + 1])};
  for (int i = 0; i < 32; ++i) {
    const uint8_t low = block.ql[64 * half + 32 * (k % 2) + i];
    const uint8_t high = block.qh[32 * half + i] >> (2 * k);
    raw.codes[i] = static_cast<uint8_t>((k < 2 ? low & 15 : low >> 4) | ((high & 3) << 4));
  }
  return raw;
}

using ReadBlockFn = RawBlock (*)(const std::byte* row, int64_t block);

ReadBlockFn block_reader(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0: return read_q4_0;
    case DType::kQ4_1: return read_q4_1;
    case DType::kQ5_0: return read_q5_0;
    case DType::kQ5_1: return read_q5_1;
    case DType::kQ8_0: return read_q8_0;
    case DType::kQ4_K: return read_q4_k;
    case DType::kQ5_K: return read_q5_k;
    case DType::kQ6_K: return read_q6_k;
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: break;
  }
  return nullptr;
}

bool has_sub_scales(DType dtype) { return dtype == DType::kQ4_K || dtype == DType::kQ5_K || dtype == DType::kQ6_K; }

// Where row `row` of a tile keeps its `size` bytes of the field at `offset` (see PackedLayout).
template <class Byte>
Byte* field_of_row(Byte* base, int tile_rows, int row, int offset, int size) {
  return base + static_cast<ptrdiff_t>(tile_rows) * offset + static_cast<ptrdiff_t>(row) * size;
}

void write_codes(const RawBlock& raw, const PackedLayout& layout, std::byte* block, int tile_rows, int row) {
  if (layout.signed_codes) {
    for (int word = 0; word < 8; ++word) {
      std::memcpy(field_of_row(block, tile_rows, row, layout.codes_at + 4 * word, 4), raw.codes + 4 * word, 4);
    }
    return;
  }
  for (int word = 0; word < 4; ++word) {
    uint8_t bytes[4];
    for (int i = 0; i < 4; ++i) {
      bytes[i] = static_cast<uint8_t>((raw.codes[4 * word + i] & 15) | ((raw.codes[16 + 4 * word + i] & 15) << 4));
    }
    std::memcpy(field_of_row(block, tile_rows, row, layout.codes_at + 4 * word, 4), bytes, 4);
  }
  const int groups = layout.high_bits == 0 ? 0 : 8 / layout.high_bits;  // words of codes that share one word of high bits
  for (int word = 0; word < layout.high_bits; ++word) {
    uint8_t bytes[4] = {};
    for (int j = 0; j < groups; ++j) {
      for (int i = 0; i < 4; ++i) {
        bytes[i] = static_cast<uint8_t>(bytes[i] | ((raw.codes[4 * (groups * word + j) + i] >> 4) << (layout.high_bits * j)));
      }
    }
    std::memcpy(field_of_row(block, tile_rows, row, layout.high_at + 4 * word, 4), bytes, 4);
  }
}

bool finite_f16(uint16_t bits) { return (bits & 0x7c00) != 0x7c00; }

bool pack_row(DType dtype, const std::byte* row_bytes, int64_t width, int tile_rows, int row, std::byte* tile) {
  const PackedLayout layout = packed_layout(dtype);
  const ReadBlockFn read = block_reader(dtype);
  bool finite = true;
  for (int64_t b = 0; b < width / 32; ++b) {
    const RawBlock raw = read(row_bytes, b);
    std::byte* super = tile + static_cast<ptrdiff_t>(tile_rows) * (b / layout.blocks) * layout.super_bytes();
    std::byte* block = super + static_cast<ptrdiff_t>(tile_rows) * (layout.header_bytes + (b % layout.blocks) * layout.block_bytes);
    std::byte* scales = layout.header_bytes > 0 ? super : block;
    finite = finite && finite_f16(raw.d) && finite_f16(raw.m);
    std::memcpy(field_of_row(scales, tile_rows, row, 0, 2), &raw.d, 2);
    if (layout.has_min) std::memcpy(field_of_row(scales, tile_rows, row, 2, 2), &raw.m, 2);
    if (has_sub_scales(dtype)) {
      *field_of_row(block, tile_rows, row, 0, 1) = std::byte{raw.scale};
      *field_of_row(block, tile_rows, row, 1, 1) = std::byte{raw.minimum};
    }
    write_codes(raw, layout, block, tile_rows, row);
  }
  return finite;
}

bool is_float(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

uint16_t load_u16(const std::byte* at) {
  uint16_t value;
  std::memcpy(&value, at, 2);
  return value;
}

// The 32 codes of one row's block, offset taken off.
void read_codes(const PackedLayout& layout, const std::byte* block, int tile_rows, int row, int8_t codes[32]) {
  for (int word = 0; word < (layout.signed_codes ? 8 : 4); ++word) {
    const std::byte* bytes = field_of_row(block, tile_rows, row, layout.codes_at + 4 * word, 4);
    for (int i = 0; i < 4; ++i) {
      const int byte = std::to_integer<uint8_t>(bytes[i]);
      if (layout.signed_codes) {
        codes[4 * word + i] = static_cast<int8_t>(byte);
      } else {
        codes[4 * word + i] = static_cast<int8_t>(byte & 15);
        codes[16 + 4 * word + i] = static_cast<int8_t>(byte >> 4);
      }
    }
  }
  const int groups = layout.high_bits == 0 ? 0 : 8 / layout.high_bits;
  for (int word = 0; word < layout.high_bits; ++word) {
    const std::byte* bytes = field_of_row(block, tile_rows, row, layout.high_at + 4 * word, 4);
    for (int j = 0; j < groups; ++j) {
      for (int i = 0; i < 4; ++i) {
        const int high = (std::to_integer<int>(bytes[i]) >> (layout.high_bits * j)) & ((1 << layout.high_bits) - 1);
        codes[4 * (groups * word + j) + i] = static_cast<int8_t>(codes[4 * (groups * word + j) + i] | (high << 4));
      }
    }
  }
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<int8_t>(codes[i] - layout.offset);
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
  bool finite = true;
  for (int row = 0; row < rows; ++row) {
    const std::byte* source = rows_bytes + row * stride;
    if (is_float(dtype)) {
      const int size = dtype == DType::kF32 ? 4 : 2;
      for (int64_t k = 0; k < width; ++k) std::memcpy(out + (k * tile_rows + row) * size, source + k * size, size);
    } else {
      finite = pack_row(dtype, source, width, tile_rows, row, out) && finite;
    }
  }
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
                    .scale = f16_to_f32(load_u16(field_of_row(scales, rows, r, 0, 2))),
                    .min = 0.0f,
                    .half_scale = {1, 1},
                    .has_min = layout.has_min};
  if (layout.has_min) result.min = f16_to_f32(load_u16(field_of_row(scales, rows, r, 2, 2)));
  const auto first = std::to_integer<uint8_t>(*field_of_row(block, rows, r, 0, 1));
  const auto second = std::to_integer<uint8_t>(*field_of_row(block, rows, r, 1, 1));
  if (matrix.dtype == DType::kQ6_K) {
    result.half_scale[0] = static_cast<int8_t>(first);
    result.half_scale[1] = static_cast<int8_t>(second);
  } else if (has_sub_scales(matrix.dtype)) {
    result.scale = result.scale * static_cast<float>(first);
    result.min = -(result.min * static_cast<float>(second));
  }
  read_codes(layout, block, rows, r, result.codes);
  return result;
}

float read_element(const PackedMatrix& matrix, int64_t row, int64_t column) {
  const int64_t index = column * matrix.tile_rows + row % matrix.tile_rows;
  const std::byte* tile = matrix.data + (row / matrix.tile_rows) * matrix.tile_bytes;
  if (matrix.dtype == DType::kF16) return f16_to_f32(load_u16(tile + 2 * index));
  if (matrix.dtype == DType::kBF16) return bf16_to_f32(load_u16(tile + 2 * index));
  float value;
  std::memcpy(&value, tile + 4 * index, 4);
  return value;
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
      out[32 * b + i] = block.has_min ? value + block.min : value;
    }
  }
}

}  // namespace tessera

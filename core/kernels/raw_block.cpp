#include "core/kernels/raw_block.h"

#include <bit>
#include <cstring>

#include "core/tensor/block_fields.h"

namespace tessera {
namespace {

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

void read_signed_codes(const int8_t* qs, RawBlock& raw) {
  for (int i = 0; i < 32; ++i) raw.codes[i] = static_cast<uint8_t>(qs[i] == -128 ? -127 : qs[i]);
}

RawBlock read_q8_0(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ8_0>(row, b);
  RawBlock raw{.d = block.d};
  read_signed_codes(block.qs, raw);
  return raw;
}

RawBlock read_q8_k(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ8_K>(row, b / 8);
  RawBlock raw{.d = std::bit_cast<uint32_t>(block.d)};
  read_signed_codes(block.qs + 32 * (b % 8), raw);
  return raw;
}

RawBlock read_iq4_nl(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockIQ4_NL>(row, b);
  RawBlock raw{.d = block.d};
  read_nibbles(block.qs, raw);
  return raw;
}

RawBlock read_iq4_xs(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockIQ4_XS>(row, b / 8);
  const int group = static_cast<int>(b % 8);
  RawBlock raw{.d = block.d, .factors = {static_cast<uint8_t>(scale_iq4_xs(block, group))}};
  read_nibbles(block.qs + 16 * group, raw);
  return raw;
}

RawBlock read_mxfp4(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockMXFP4>(row, b);
  RawBlock raw{.d = block.e};
  read_nibbles(block.qs, raw);
  return raw;
}

RawBlock read_q2_k(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ2_K>(row, b / 8);
  const int group = static_cast<int>(b % 8);
  RawBlock raw{.d = block.d, .m = block.dmin, .factors = {block.scales[2 * group], block.scales[2 * group + 1]}};
  for (int i = 0; i < 32; ++i) raw.codes[i] = static_cast<uint8_t>(two_bit_code(block.qs, 32 * group + i));
  return raw;
}

RawBlock read_q3_k(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockQ3_K>(row, b / 8);
  const int group = static_cast<int>(b % 8);
  int8_t scales[16];
  unpack_scales_k3(block.scales, scales);
  RawBlock raw{.d = block.d, .factors = {static_cast<uint8_t>(scales[2 * group]), static_cast<uint8_t>(scales[2 * group + 1])}};
  for (int i = 0; i < 32; ++i) raw.codes[i] = static_cast<uint8_t>(three_bit_code(block, 32 * group + i));
  return raw;
}

RawBlock read_tq1_0(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockTQ1_0>(row, b / 8);
  RawBlock raw{.d = block.d};
  for (int i = 0; i < 32; ++i) raw.codes[i] = static_cast<uint8_t>(ternary_code(block, static_cast<int>(32 * (b % 8)) + i));
  return raw;
}

RawBlock read_tq2_0(const std::byte* row, int64_t b) {
  const auto block = load_block<BlockTQ2_0>(row, b / 8);
  RawBlock raw{.d = block.d};
  for (int i = 0; i < 32; ++i) raw.codes[i] = static_cast<uint8_t>(two_bit_code(block.qs, static_cast<int>(32 * (b % 8)) + i));
  return raw;
}

// Scales of group b%8 and the nibbles of a K-quant super-block.
template <class Block>
RawBlock read_k_block(const Block& block, int group) {
  uint8_t scales[8], minima[8];
  unpack_scales_k4(block.scales, scales, minima);
  RawBlock raw{.d = block.d, .m = block.dmin, .factors = {scales[group], minima[group]}};
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
               .factors = {static_cast<uint8_t>(block.scales[2 * (b % 8)]), static_cast<uint8_t>(block.scales[2 * (b % 8) + 1])}};
  for (int i = 0; i < 32; ++i) {
    const uint8_t low = block.ql[64 * half + 32 * (k % 2) + i];
    const uint8_t high = block.qh[32 * half + i] >> (2 * k);
    raw.codes[i] = static_cast<uint8_t>((k < 2 ? low & 15 : low >> 4) | ((high & 3) << 4));
  }
  return raw;
}

}  // namespace

ReadRawBlockFn raw_block_reader(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0: return read_q4_0;
    case DType::kQ4_1: return read_q4_1;
    case DType::kQ5_0: return read_q5_0;
    case DType::kQ5_1: return read_q5_1;
    case DType::kQ8_0: return read_q8_0;
    case DType::kQ2_K: return read_q2_k;
    case DType::kQ3_K: return read_q3_k;
    case DType::kQ4_K: return read_q4_k;
    case DType::kQ5_K: return read_q5_k;
    case DType::kQ6_K: return read_q6_k;
    case DType::kQ8_K: return read_q8_k;
    case DType::kIQ4_NL: return read_iq4_nl;
    case DType::kIQ4_XS: return read_iq4_xs;
    case DType::kTQ1_0: return read_tq1_0;
    case DType::kTQ2_0: return read_tq2_0;
    case DType::kMXFP4: return read_mxfp4;
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: break;
  }
  return nullptr;
}

}  // namespace tessera

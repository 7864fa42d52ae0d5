#include "core/tensor/dequantize.h"

#include <cstring>

#include "core/base/half.h"
#include "core/tensor/block_fields.h"

namespace tessera {
namespace {

/// Calls one_block(block, out) for each block of the row; out advances by `weights`.
template <class Block, int weights, class OneBlock>
void each_block(const std::byte* row, uint64_t width, float* out, OneBlock one_block) {
  for (uint64_t i = 0; i < width / weights; ++i) {
    Block block;
    std::memcpy(&block, row + i * sizeof(Block), sizeof(Block));
    one_block(block, out + i * weights);
  }
}

void dequantize_q4_0(const BlockQ4_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((block.qs[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((block.qs[i] >> 4) - 8);
  }
}

void dequantize_q4_1(const BlockQ4_1& block, float* out) {
  const float d = f16_to_f32(block.d), m = f16_to_f32(block.m);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(block.qs[i] & 15) + m;
    out[i + 16] = d * static_cast<float>(block.qs[i] >> 4) + m;
  }
}

/// The 32 codes 0…31 of Q5_0 and Q5_1.
void unpack_codes_q5(const uint8_t qh[4], const uint8_t qs[16], int codes[32]) {
  for (int i = 0; i < 32; ++i) {
    const int low = i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
    codes[i] = low | (((qh[i / 8] >> (i % 8)) & 1) << 4);
  }
}

void dequantize_q5_0(const BlockQ5_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  int codes[32];
  unpack_codes_q5(block.qh, block.qs, codes);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(codes[i] - 16);
}

void dequantize_q5_1(const BlockQ5_1& block, float* out) {
  const float d = f16_to_f32(block.d), m = f16_to_f32(block.m);
  int codes[32];
  unpack_codes_q5(block.qh, block.qs, codes);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(codes[i]) + m;
}

void dequantize_q8_0(const BlockQ8_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(block.qs[i]);
}

void dequantize_q4_k(const BlockQ4_K& block, float* out) {
  const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
  uint8_t scales[8], minima[8];
  unpack_scales_k4(block.scales, scales, minima);
  for (int g = 0; g < 8; ++g) {
    const float scale = d * scales[g], minimum = dmin * minima[g];
    const uint8_t* nibbles = block.qs + g / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int code = g % 2 == 0 ? nibbles[i] & 15 : nibbles[i] >> 4;
      out[g * 32 + i] = scale * static_cast<float>(code) - minimum;
    }
  }
}

void dequantize_q5_k(const BlockQ5_K& block, float* out) {
  const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
  uint8_t scales[8], minima[8];
  unpack_scales_k4(block.scales, scales, minima);
  for (int g = 0; g < 8; ++g) {
    const float scale = d * scales[g], minimum = dmin * minima[g];
    const uint8_t* nibbles = block.qs + g / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int low = g % 2 == 0 ? nibbles[i] & 15 : nibbles[i] >> 4;
      const int code = low | (((block.qh[i] >> g) & 1) << 4);
      out[g * 32 + i] = scale * static_cast<float>(code) - minimum;
    }
  }
}

void dequantize_q6_k(const BlockQ6_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int i = 0; i < kSuperWeights; ++i) {
    const int half = i / 128, quarter = i % 128 / 32, lane = i % 32;
    const uint8_t byte = block.ql[64 * half + 32 * (quarter % 2) + lane];
    const int low = quarter < 2 ? byte & 15 : byte >> 4;
    const int high = (block.qh[32 * half + lane] >> (2 * quarter)) & 3;
    const float scale = d * static_cast<float>(block.scales[i / 16]);
    out[i] = scale * static_cast<float>((low | (high << 4)) - 32);
  }
}

void dequantize_q2_k(const BlockQ2_K& block, float* out) {
  const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
  for (int i = 0; i < kSuperWeights; ++i) {
    const float scale = d * static_cast<float>(block.scales[i / 16] & 15), minimum = dmin * static_cast<float>(block.scales[i / 16] >> 4);
    out[i] = scale * static_cast<float>(two_bit_code(block.qs, i)) - minimum;
  }
}

void dequantize_q3_k(const BlockQ3_K& block, float* out) {
  const float d = f16_to_f32(block.d);
  int8_t scales[16];
  unpack_scales_k3(block.scales, scales);
  for (int i = 0; i < kSuperWeights; ++i) {
    out[i] = d * static_cast<float>(scales[i / 16]) * static_cast<float>(three_bit_code(block, i) - 4);
  }
}

void dequantize_q8_k(const BlockQ8_K& block, float* out) {
  for (int i = 0; i < kSuperWeights; ++i) out[i] = block.d * static_cast<float>(block.qs[i]);
}

/// 32 weights of the nibbles qs[16], each a step of `table`.
void dequantize_nibbles(const uint8_t qs[16], const int8_t table[16], float scale, float* out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>(table[qs[i] & 15]);
    out[i + 16] = scale * static_cast<float>(table[qs[i] >> 4]);
  }
}

void dequantize_iq4_nl(const BlockIQ4_NL& block, float* out) { dequantize_nibbles(block.qs, kNonLinear4, f16_to_f32(block.d), out); }

void dequantize_iq4_xs(const BlockIQ4_XS& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int g = 0; g < 8; ++g) {
    dequantize_nibbles(block.qs + 16 * g, kNonLinear4, d * static_cast<float>(scale_iq4_xs(block, g)), out + 32 * g);
  }
}

void dequantize_mxfp4(const BlockMXFP4& block, float* out) { dequantize_nibbles(block.qs, kDoubledE2M1, half_e8m0(block.e), out); }

void dequantize_tq1_0(const BlockTQ1_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int i = 0; i < kSuperWeights; ++i) out[i] = d * static_cast<float>(ternary_code(block, i) - 1);
}

void dequantize_tq2_0(const BlockTQ2_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int i = 0; i < kSuperWeights; ++i) out[i] = d * static_cast<float>(two_bit_code(block.qs, i) - 1);
}

}  // namespace

void dequantize_row(DType dtype, const std::byte* row, uint64_t width, float* out) {
  switch (dtype) {
    case DType::kF32: std::memcpy(out, row, static_cast<size_t>(width) * 4); return;
    case DType::kF16: each_block<uint16_t, 1>(row, width, out, [](uint16_t bits, float* to) { *to = f16_to_f32(bits); }); return;
    case DType::kBF16: each_block<uint16_t, 1>(row, width, out, [](uint16_t bits, float* to) { *to = bf16_to_f32(bits); }); return;
    case DType::kQ4_0: each_block<BlockQ4_0, 32>(row, width, out, dequantize_q4_0); return;
    case DType::kQ4_1: each_block<BlockQ4_1, 32>(row, width, out, dequantize_q4_1); return;
    case DType::kQ5_0: each_block<BlockQ5_0, 32>(row, width, out, dequantize_q5_0); return;
    case DType::kQ5_1: each_block<BlockQ5_1, 32>(row, width, out, dequantize_q5_1); return;
    case DType::kQ8_0: each_block<BlockQ8_0, 32>(row, width, out, dequantize_q8_0); return;
    case DType::kQ2_K: each_block<BlockQ2_K, 256>(row, width, out, dequantize_q2_k); return;
    case DType::kQ3_K: each_block<BlockQ3_K, 256>(row, width, out, dequantize_q3_k); return;
    case DType::kQ4_K: each_block<BlockQ4_K, 256>(row, width, out, dequantize_q4_k); return;
    case DType::kQ5_K: each_block<BlockQ5_K, 256>(row, width, out, dequantize_q5_k); return;
    case DType::kQ6_K: each_block<BlockQ6_K, 256>(row, width, out, dequantize_q6_k); return;
    case DType::kQ8_K: each_block<BlockQ8_K, 256>(row, width, out, dequantize_q8_k); return;
    case DType::kIQ4_NL: each_block<BlockIQ4_NL, 32>(row, width, out, dequantize_iq4_nl); return;
    case DType::kIQ4_XS: each_block<BlockIQ4_XS, 256>(row, width, out, dequantize_iq4_xs); return;
    case DType::kTQ1_0: each_block<BlockTQ1_0, 256>(row, width, out, dequantize_tq1_0); return;
    case DType::kTQ2_0: each_block<BlockTQ2_0, 256>(row, width, out, dequantize_tq2_0); return;
    case DType::kMXFP4: each_block<BlockMXFP4, 32>(row, width, out, dequantize_mxfp4); return;
  }
}

}  // namespace tessera

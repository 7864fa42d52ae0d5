#include "core/tensor/quantize.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "core/base/half.h"
#include "core/tensor/blocks.h"

namespace tessera {
namespace {

/// 0 for a scale too small to have a finite inverse: such weights become zeros.
float inverse(float value) { return std::fabs(value) < 1e-38f ? 0.0f : 1.0f / value; }

/// Truncates and clamps to 0…high: with + 0.5 inside the argument, this rounds halves up.
uint8_t code_of(float shifted, int high) { return static_cast<uint8_t>(std::clamp(static_cast<int>(shifted), 0, high)); }

/// The weight of largest magnitude, with its sign.
float signed_peak(const float* in, int count) {
  float peak = 0.0f;
  for (int i = 0; i < count; ++i) {
    if (std::fabs(in[i]) > std::fabs(peak)) peak = in[i];
  }
  return peak;
}

/// Codes around a middle: d = peak / -middle, so that the peak itself is a code. Returns the f16 scale.
uint16_t symmetric_codes(const float* in, int middle, uint8_t codes[32]) {
  const float d = signed_peak(in, 32) / static_cast<float>(-middle);
  const float scale = inverse(d);
  for (int i = 0; i < 32; ++i) codes[i] = code_of(in[i] * scale + (static_cast<float>(middle) + 0.5f), 2 * middle - 1);
  return f32_to_f16(d);
}

/// Codes from minimum to maximum.
void range_codes(const float* in, int high, uint8_t codes[32], uint16_t& d_bits, uint16_t& m_bits) {
  const auto [low, top] = std::minmax_element(in, in + 32);
  const float d = (*top - *low) / static_cast<float>(high);
  const float scale = inverse(d);
  for (int i = 0; i < 32; ++i) codes[i] = code_of((in[i] - *low) * scale + 0.5f, high);
  d_bits = f32_to_f16(d);
  m_bits = f32_to_f16(*low);
}

void pack_nibbles(const uint8_t codes[32], uint8_t qs[16]) {
  for (int i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>((codes[i] & 15) | ((codes[i + 16] & 15) << 4));
}

void pack_fifth_bits(const uint8_t codes[32], uint8_t qh[4]) {
  std::fill(qh, qh + 4, uint8_t{0});
  for (int i = 0; i < 32; ++i) qh[i / 8] = static_cast<uint8_t>(qh[i / 8] | ((codes[i] >> 4) << (i % 8)));
}

void quantize_q4_0(const float* in, BlockQ4_0& block) {
  uint8_t codes[32];
  block.d = symmetric_codes(in, 8, codes);
  pack_nibbles(codes, block.qs);
}

void quantize_q4_1(const float* in, BlockQ4_1& block) {
  uint8_t codes[32];
  range_codes(in, 15, codes, block.d, block.m);
  pack_nibbles(codes, block.qs);
}

void quantize_q5_0(const float* in, BlockQ5_0& block) {
  uint8_t codes[32];
  block.d = symmetric_codes(in, 16, codes);
  pack_nibbles(codes, block.qs);
  pack_fifth_bits(codes, block.qh);
}

void quantize_q5_1(const float* in, BlockQ5_1& block) {
  uint8_t codes[32];
  range_codes(in, 31, codes, block.d, block.m);
  pack_nibbles(codes, block.qs);
  pack_fifth_bits(codes, block.qh);
}

void quantize_q8_0(const float* in, BlockQ8_0& block) {
  const float d = std::fabs(signed_peak(in, 32)) / 127.0f;
  const float scale = inverse(d);
  for (int i = 0; i < 32; ++i) block.qs[i] = static_cast<int8_t>(std::lround(in[i] * scale));
  block.d = f32_to_f16(d);
}

/// The inverse of unpack_scales_k4.
void pack_scales_k4(const uint8_t scales[8], const uint8_t minima[8], uint8_t packed[12]) {
  for (int g = 0; g < 4; ++g) {
    packed[g] = static_cast<uint8_t>(scales[g] | ((scales[g + 4] >> 4) << 6));
    packed[g + 4] = static_cast<uint8_t>(minima[g] | ((minima[g + 4] >> 4) << 6));
    packed[g + 8] = static_cast<uint8_t>((scales[g + 4] & 15) | ((minima[g + 4] & 15) << 4));
  }
}

/// What Q4_K and Q5_K share: scales and minima of 8 groups, then codes 0…high.
template <class Block>
void k4_codes(const float* in, int high, Block& block, uint8_t codes[256]) {
  float scales[8], minima[8];
  for (int g = 0; g < 8; ++g) {
    const auto [low, top] = std::minmax_element(in + 32 * g, in + 32 * g + 32);
    minima[g] = std::max(0.0f, -*low);
    scales[g] = (std::max(*top, 0.0f) + minima[g]) / static_cast<float>(high);
  }
  block.d = f32_to_f16(*std::max_element(scales, scales + 8) / 63.0f);
  block.dmin = f32_to_f16(*std::max_element(minima, minima + 8) / 63.0f);
  const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
  uint8_t scale_codes[8], minimum_codes[8];
  for (int g = 0; g < 8; ++g) {
    scale_codes[g] = code_of(scales[g] * inverse(d) + 0.5f, 63);
    minimum_codes[g] = code_of(minima[g] * inverse(dmin) + 0.5f, 63);
    const float step = inverse(d * scale_codes[g]), shift = dmin * minimum_codes[g];
    for (int i = 0; i < 32; ++i) codes[32 * g + i] = code_of((in[32 * g + i] + shift) * step + 0.5f, high);
  }
  pack_scales_k4(scale_codes, minimum_codes, block.scales);
  for (int i = 0; i < 128; ++i) {
    const uint8_t* pair = codes + i / 32 * 64 + i % 32;
    block.qs[i] = static_cast<uint8_t>((pair[0] & 15) | ((pair[32] & 15) << 4));
  }
}

void quantize_q4_k(const float* in, BlockQ4_K& block) {
  uint8_t codes[256];
  k4_codes(in, 15, block, codes);
}

void quantize_q5_k(const float* in, BlockQ5_K& block) {
  uint8_t codes[256];
  k4_codes(in, 31, block, codes);
  std::fill(block.qh, block.qh + 32, uint8_t{0});
  for (int i = 0; i < 256; ++i) block.qh[i % 32] = static_cast<uint8_t>(block.qh[i % 32] | ((codes[i] >> 4) << (i / 32)));
}

void quantize_q6_k(const float* in, BlockQ6_K& block) {
  float scales[16];
  for (int g = 0; g < 16; ++g) scales[g] = signed_peak(in + 16 * g, 16) / -32.0f;
  block.d = f32_to_f16(signed_peak(scales, 16) / -128.0f);
  const float d = f16_to_f32(block.d);
  std::fill(block.ql, block.ql + 128, uint8_t{0});
  std::fill(block.qh, block.qh + 64, uint8_t{0});
  for (int g = 0; g < 16; ++g) {
    block.scales[g] = static_cast<int8_t>(std::clamp(std::lround(scales[g] * inverse(d)), -128l, 127l));
    const float step = inverse(d * static_cast<float>(block.scales[g]));
    for (int i = 16 * g; i < 16 * g + 16; ++i) {
      const uint8_t code = code_of(in[i] * step + 32.5f, 63);
      const int half = i / 128, quarter = i % 128 / 32, lane = i % 32;
      uint8_t& low = block.ql[64 * half + 32 * (quarter % 2) + lane];
      low = static_cast<uint8_t>(low | ((code & 15) << (quarter < 2 ? 0 : 4)));
      uint8_t& high = block.qh[32 * half + lane];
      high = static_cast<uint8_t>(high | ((code >> 4) << (2 * quarter)));
    }
  }
}

template <class Block, int weights, class OneBlock>
void each_block(const float* in, uint64_t width, std::byte* out, OneBlock one_block) {
  for (uint64_t i = 0; i < width / weights; ++i) {
    Block block;
    one_block(in + i * weights, block);
    std::memcpy(out + i * sizeof(Block), &block, sizeof(Block));
  }
}

}  // namespace

bool can_quantize(DType dtype) {
  switch (dtype) {
    case DType::kQ2_K:
    case DType::kQ3_K:
    case DType::kQ8_K:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
    case DType::kTQ1_0:
    case DType::kTQ2_0:
    case DType::kMXFP4: return false;
    default: return true;
  }
}

void quantize_row(DType dtype, const float* in, uint64_t width, std::byte* out) {
  assert(can_quantize(dtype));
  switch (dtype) {
    case DType::kF32: std::memcpy(out, in, static_cast<size_t>(width) * 4); return;
    case DType::kF16: each_block<uint16_t, 1>(in, width, out, [](const float* from, uint16_t& bits) { bits = f32_to_f16(*from); }); return;
    case DType::kBF16:
      each_block<uint16_t, 1>(in, width, out, [](const float* from, uint16_t& bits) { bits = f32_to_bf16(*from); });
      return;
    case DType::kQ4_0: each_block<BlockQ4_0, 32>(in, width, out, quantize_q4_0); return;
    case DType::kQ4_1: each_block<BlockQ4_1, 32>(in, width, out, quantize_q4_1); return;
    case DType::kQ5_0: each_block<BlockQ5_0, 32>(in, width, out, quantize_q5_0); return;
    case DType::kQ5_1: each_block<BlockQ5_1, 32>(in, width, out, quantize_q5_1); return;
    case DType::kQ8_0: each_block<BlockQ8_0, 32>(in, width, out, quantize_q8_0); return;
    case DType::kQ4_K: each_block<BlockQ4_K, 256>(in, width, out, quantize_q4_k); return;
    case DType::kQ5_K: each_block<BlockQ5_K, 256>(in, width, out, quantize_q5_k); return;
    case DType::kQ6_K: each_block<BlockQ6_K, 256>(in, width, out, quantize_q6_k); return;
    default: return;  // not one that can_quantize
  }
}

}  // namespace tessera

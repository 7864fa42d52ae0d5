// Owns the taking apart of a file's blocks and super-blocks: scales, factors and one byte a code, for the packer.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "core/tensor/block_fields.h"

namespace tessera {

/// Bits of the scale of a block or super-block: f16, f32 (Q8_K) or E8M0 (MXFP4).
template <class Block>
uint32_t raw_scale(const Block& block) {
  if constexpr (requires { block.e; }) {
    return block.e;
  } else if constexpr (sizeof(block.d) == 4) {
    return std::bit_cast<uint32_t>(block.d);
  } else {
    return block.d;
  }
}

/// Bits of the f16 minimum, or of a super-block's dmin; 0 where there is none.
template <class Block>
uint16_t raw_minimum(const Block& block) {
  if constexpr (requires { block.m; }) {
    return block.m;
  } else if constexpr (requires { block.dmin; }) {
    return block.dmin;
  } else {
    return 0;
  }
}

/// What PackedLayout::factors() counts, of each of a super-block's eight groups of 32 weights.
using RawFactors = std::array<std::array<uint8_t, 2>, 8>;

/// The factors of a super-block; a block has none.
template <class Block>
RawFactors raw_factors(const Block& block) {
  RawFactors factors{};
  if constexpr (requires { block.scales_l; }) {  // IQ4_XS
    for (int g = 0; g < 8; ++g) factors[g][0] = static_cast<uint8_t>(scale_iq4_xs(block, g));
  } else if constexpr (requires { block.hmask; }) {  // Q3_K
    int8_t scales[16];
    unpack_scales_k3(block.scales, scales);
    std::memcpy(&factors, scales, sizeof factors);
  } else if constexpr (requires { block.scales; }) {
    if constexpr (sizeof(block.scales) == 12) {  // Q4_K, Q5_K
      uint8_t scales[8], minima[8];
      unpack_scales_k4(block.scales, scales, minima);
      for (int g = 0; g < 8; ++g) factors[g] = {scales[g], minima[g]};
    } else {  // Q2_K, Q6_K
      std::memcpy(&factors, block.scales, sizeof factors);
    }
  }
  return factors;
}

/// Four-bit codes whose low nibbles are the first sixteen.
inline void take_nibbles(const uint8_t qs[16], uint8_t codes[32]) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = qs[i] & 15;
    codes[i + 16] = qs[i] >> 4;
  }
}

/// Bit 4 of the codes: bit i of qh is that of code i.
inline void add_fifth_bits(const uint8_t qh[4], uint8_t codes[32]) {
  for (int i = 0; i < 4; ++i) {
    // Byte n keeps bit n of eight copies of qh[i]; adding 127 to a byte that is not 0 sets its highest bit.
    constexpr uint64_t kEachByte = 0x0101010101010101;
    const uint64_t own_bits = (qh[i] * kEachByte) & 0x8040201008040201;
    const uint64_t fifth_bits = ((own_bits + 0x7f * kEachByte) & (0x80 * kEachByte)) >> 3;
    uint64_t eight;
    std::memcpy(&eight, codes + 8 * i, sizeof eight);
    eight |= fifth_bits;
    std::memcpy(codes + 8 * i, &eight, sizeof eight);
  }
}

/// `mask` of each byte, from bit `shift` on.
inline void take_bits(const uint8_t from[32], int shift, int mask, uint8_t codes[32]) {
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>((from[i] >> shift) & mask);
}

/// The same for bits of the codes from `to_bit` on.
inline void add_bits(const uint8_t from[32], int shift, int mask, int to_bit, uint8_t codes[32]) {
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(codes[i] | (((from[i] >> shift) & mask) << to_bit));
}

/// -128, which no quantiser writes, becomes -127.
inline void take_bytes(const int8_t qs[32], uint8_t codes[32]) {
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(std::max<int8_t>(qs[i], -127));
}

/// The codes of a block's 32 weights, or of group `g` of a super-block's: unsigned, or two's complement (Q8_0, Q8_K). Here those of Q4_0,
/// Q4_1, IQ4_NL and MXFP4, and with a fifth bit Q5_0 and Q5_1.
template <class Block>
  requires(sizeof(Block::qs) == 16)
void take_codes(const Block& block, int, uint8_t codes[32]) {
  take_nibbles(block.qs, codes);
  if constexpr (requires { block.qh; }) add_fifth_bits(block.qh, codes);
}
inline void take_codes(const BlockQ8_0& block, int, uint8_t codes[32]) { take_bytes(block.qs, codes); }
inline void take_codes(const BlockQ8_K& block, int g, uint8_t codes[32]) { take_bytes(block.qs + 32 * g, codes); }
inline void take_codes(const BlockIQ4_XS& block, int g, uint8_t codes[32]) { take_nibbles(block.qs + 16 * g, codes); }
/// Q2_K, TQ2_0 and, with a third bit, Q3_K.
template <class Block>
  requires(sizeof(Block::qs) == 64)
void take_codes(const Block& block, int g, uint8_t codes[32]) {
  take_bits(block.qs + 32 * (g / 4), 2 * (g % 4), 3, codes);
  if constexpr (requires { block.hmask; }) add_bits(block.hmask, g, 1, 2, codes);
}
/// Q4_K and, with a fifth bit, Q5_K.
template <class Block>
  requires(sizeof(Block::qs) == 128)
void take_codes(const Block& block, int g, uint8_t codes[32]) {
  take_bits(block.qs + 32 * (g / 2), 4 * (g % 2), 15, codes);
  if constexpr (requires { block.qh; }) add_bits(block.qh, g, 1, 4, codes);
}
inline void take_codes(const BlockQ6_K& block, int g, uint8_t codes[32]) {
  take_bits(block.ql + 64 * (g / 4) + 32 * (g % 2), 4 * (g / 2 % 2), 15, codes);
  add_bits(block.qh + 32 * (g / 4), 2 * (g % 4), 3, 4, codes);
}
inline void take_codes(const BlockTQ1_0& block, int g, uint8_t codes[32]) {
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(ternary_code(block, 32 * g + i));
}

}  // namespace tessera

// Owns the reading of block fields whose bits lie spread over bytes: 2- and 3-bit codes, base-3 digits, 6-bit scales, powers of two.
#pragma once

#include <bit>
#include <cstdint>

#include "core/tensor/blocks.h"

namespace tessera {

/// Code of weight `index` (0…255) in the two-bit codes of Q2_K, Q3_K and TQ2_0.
inline int two_bit_code(const uint8_t qs[64], int index) { return (qs[index / 128 * 32 + index % 32] >> (index % 128 / 32 * 2)) & 3; }

/// Digit n (0…4) of a byte of TQ1_0. The byte is the five digits as a fraction of 3^5 scaled to 256: multiplying moves the point.
inline int ternary_digit(uint8_t byte, int n) {
  constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  return static_cast<uint8_t>(byte * kPowers[n]) * 3 >> 8;
}

/// The code 0…2 of weight `index` (0…255) of a TQ1_0 block.
inline int ternary_code(const BlockTQ1_0& block, int index) {
  if (index < 160) return ternary_digit(block.qs[index % 32], index / 32);
  if (index < 240) return ternary_digit(block.qs[32 + index % 16], (index - 160) / 16);
  return ternary_digit(block.qh[index % 4], (index - 240) / 4);
}

/// Code 0…7 of weight `index` (0…255) of a Q3_K block.
inline int three_bit_code(const BlockQ3_K& block, int index) {
  return two_bit_code(block.qs, index) | (((block.hmask[index % 32] >> (index / 32)) & 1) << 2);
}

/// 2^(e - 128), exactly; 2^127 for e = 255.
inline float half_e8m0(uint8_t e) { return std::bit_cast<float>(e < 2 ? uint32_t{0x00200000} << e : uint32_t{e - 1u} << 23); }

/// The sixteen 6-bit scales of Q3_K with the 32 taken off: low four bits in the nibbles of bytes 0…7 (groups 0…7 low, 8…15 high),
/// top two of group g in bits 2·(g/4), 2·(g/4)+1 of byte 8 + g%4.
inline void unpack_scales_k3(const uint8_t packed[12], int8_t scales[16]) {
  for (int g = 0; g < 16; ++g) {
    const int low = g < 8 ? packed[g] & 15 : packed[g - 8] >> 4, high = (packed[8 + g % 4] >> (2 * (g / 4))) & 3;
    scales[g] = static_cast<int8_t>((low | (high << 4)) - 32);
  }
}

/// The scale of group g (0…7) of IQ4_XS with the 32 taken off.
inline int8_t scale_iq4_xs(const BlockIQ4_XS& block, int g) {
  const int low = (block.scales_l[g / 2] >> (4 * (g % 2))) & 15, high = (block.scales_h >> (2 * g)) & 3;
  return static_cast<int8_t>((low | (high << 4)) - 32);
}

}  // namespace tessera

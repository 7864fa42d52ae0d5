// Owns the writing of block fields whose bits lie spread over bytes: the inverse of block_fields.h and unpack_scales_k4. Codes come in the
// order of the weights, one a byte.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/tensor/blocks.h"

namespace tessera {

/// The low four bits of 32 codes, as Q4_0 keeps them.
inline void pack_nibbles(const uint8_t codes[32], uint8_t qs[16]) {
  for (int i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>((codes[i] & 15) | ((codes[i + 16] & 15) << 4));
}

/// Bit 4 of 32 codes, as Q5_0 keeps it.
inline void pack_fifth_bits(const uint8_t codes[32], uint8_t qh[4]) {
  std::fill(qh, qh + 4, uint8_t{0});
  for (int i = 0; i < 32; ++i) qh[i / 8] = static_cast<uint8_t>(qh[i / 8] | ((codes[i] >> 4) << (i % 8)));
}

/// The low four bits of 256 codes, as Q4_K and Q5_K keep them.
inline void pack_nibbles_k(const uint8_t codes[256], uint8_t qs[128]) {
  for (int i = 0; i < 128; ++i) {
    const uint8_t* pair = codes + i / 32 * 64 + i % 32;
    qs[i] = static_cast<uint8_t>((pair[0] & 15) | ((pair[32] & 15) << 4));
  }
}

/// Bit 4 of 256 codes, as Q5_K keeps it.
inline void pack_fifth_bits_k(const uint8_t codes[256], uint8_t qh[32]) {
  std::fill(qh, qh + 32, uint8_t{0});
  for (int i = 0; i < 256; ++i) qh[i % 32] = static_cast<uint8_t>(qh[i % 32] | ((codes[i] >> 4) << (i / 32)));
}

/// The low two bits of 256 codes, as Q2_K and Q3_K keep them.
inline void pack_two_bits(const uint8_t codes[256], uint8_t qs[64]) {
  std::fill(qs, qs + 64, uint8_t{0});
  for (int i = 0; i < 256; ++i) {
    uint8_t& byte = qs[i / 128 * 32 + i % 32];
    byte = static_cast<uint8_t>(byte | ((codes[i] & 3) << (i % 128 / 32 * 2)));
  }
}

/// Bit 2 of 256 codes, as Q3_K keeps it.
inline void pack_third_bits(const uint8_t codes[256], uint8_t hmask[32]) {
  std::fill(hmask, hmask + 32, uint8_t{0});
  for (int i = 0; i < 256; ++i) hmask[i % 32] = static_cast<uint8_t>(hmask[i % 32] | ((codes[i] >> 2) << (i / 32)));
}

/// 256 six-bit codes, as Q6_K keeps them.
inline void pack_codes_q6(const uint8_t codes[256], uint8_t ql[128], uint8_t qh[64]) {
  std::fill(ql, ql + 128, uint8_t{0});
  std::fill(qh, qh + 64, uint8_t{0});
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, quarter = i % 128 / 32, lane = i % 32;
    uint8_t& low = ql[64 * half + 32 * (quarter % 2) + lane];
    low = static_cast<uint8_t>(low | ((codes[i] & 15) << (quarter < 2 ? 0 : 4)));
    uint8_t& high = qh[32 * half + lane];
    high = static_cast<uint8_t>(high | ((codes[i] >> 4) << (2 * quarter)));
  }
}

/// Eight 6-bit scales and minima: the inverse of unpack_scales_k4.
inline void pack_scales_k4(const uint8_t scales[8], const uint8_t minima[8], uint8_t packed[12]) {
  for (int g = 0; g < 4; ++g) {
    packed[g] = static_cast<uint8_t>(scales[g] | ((scales[g + 4] >> 4) << 6));
    packed[g + 4] = static_cast<uint8_t>(minima[g] | ((minima[g + 4] >> 4) << 6));
    packed[g + 8] = static_cast<uint8_t>((scales[g + 4] & 15) | ((minima[g + 4] & 15) << 4));
  }
}

/// Sixteen scales of -32…31: the inverse of unpack_scales_k3.
inline void pack_scales_k3(const int8_t scales[16], uint8_t packed[12]) {
  std::fill(packed, packed + 12, uint8_t{0});
  for (int g = 0; g < 16; ++g) {
    const int code = scales[g] + 32;
    packed[g % 8] = static_cast<uint8_t>(packed[g % 8] | ((code & 15) << (g < 8 ? 0 : 4)));
    packed[8 + g % 4] = static_cast<uint8_t>(packed[8 + g % 4] | ((code >> 4) << (2 * (g / 4))));
  }
}

/// Eight scales of -32…31, as IQ4_XS keeps them: the inverse of scale_iq4_xs.
inline void pack_scales_iq4_xs(const int8_t scales[8], BlockIQ4_XS& block) {
  block.scales_h = 0;
  std::fill(block.scales_l, block.scales_l + 4, uint8_t{0});
  for (int g = 0; g < 8; ++g) {
    const int code = scales[g] + 32;
    block.scales_l[g / 2] = static_cast<uint8_t>(block.scales_l[g / 2] | ((code & 15) << (4 * (g % 2))));
    block.scales_h = static_cast<uint16_t>(block.scales_h | ((code >> 4) << (2 * g)));
  }
}

}  // namespace tessera

// Owns the byte layout of every block format in a GGUF file: one packed struct each, as it lies in the file (little-endian).
// Source: the block formats of the GGUF specification; "d" is the scale, "m"/"dmin" the minimum, as there. f16 fields hold bits (half.h).
//
// Blocks in a file have no alignment that a CPU promises to care about: copy them out (memcpy) rather than casting pointers.
#pragma once

#include <cstdint>

namespace tessera {

inline constexpr int kBlockWeights = 32;   ///< weights of a plain block
inline constexpr int kSuperWeights = 256;  ///< weights of a K-quant super-block

/// weight = d·(q - 8), q 0…15: symmetric about zero, range -8d…7d. 4.5 bits a weight.
/// Nibbles: byte i holds weight i (low) and weight i+16 (high).
struct BlockQ4_0 {
  uint16_t d;  ///< f16
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

/// weight = d·q + m, q 0…15. 5 bits a weight. Nibbles as Q4_0.
struct BlockQ4_1 {
  uint16_t d;  ///< f16
  uint16_t m;  ///< f16
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

/// weight = d·(q - 16), q 0…31. 5.5 bits a weight. Low four bits as Q4_0; bit 4 of weight i is bit i of qh, a little-endian word.
struct BlockQ5_0 {
  uint16_t d;  ///< f16
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

/// weight = d·q + m, q 0…31. 6 bits a weight. Bits as Q5_0.
struct BlockQ5_1 {
  uint16_t d;  ///< f16
  uint16_t m;  ///< f16
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

/// weight = d·q, q -127…127 (a file may hold -128). 8.5 bits a weight.
struct BlockQ8_0 {
  uint16_t d;  ///< f16
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

/// 16 groups of 16: weight = (d·sc)·q - dmin·mn, q 0…3; scales[g] holds sc (low nibble) and mn (high nibble). 2.625 bits a weight.
/// Two-bit codes: weight 32k+i (k 0…3, i 0…31) of half h (128 weights) is in bits 2k, 2k+1 of qs[32h + i].
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;     ///< f16
  uint16_t dmin;  ///< f16
};
static_assert(sizeof(BlockQ2_K) == 84);

/// 16 groups of 16: weight = (d·(sc - 32))·(q - 4), q 0…7, sc 6-bit per group (unpack_scales_k3 of block_fields.h). 3.4375 bits a weight.
/// Low two bits as Q2_K; bit 2 of weight 32k+i of half h is bit 4h+k of hmask[i].
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;  ///< f16
};
static_assert(sizeof(BlockQ3_K) == 110);

/// 8 groups of 32: weight = (d·sc)·q - dmin·mn, q 0…15, sc and mn 6-bit per group (unpack_scales_k4). 4.5 bits a weight.
/// Nibbles: bytes 32p…32p+31 hold group 2p (low) and group 2p+1 (high).
struct BlockQ4_K {
  uint16_t d;     ///< f16
  uint16_t dmin;  ///< f16
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

/// As Q4_K with q 0…31: bit 4 of weight i of group g is bit g of qh[i]. 5.5 bits a weight.
struct BlockQ5_K {
  uint16_t d;     ///< f16
  uint16_t dmin;  ///< f16
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

/// 16 groups of 16: weight = (d·sc)·(q - 32), q 0…63, sc int8 per group. 6.5625 bits a weight.
/// Each half h of 128 weights has 64 bytes of ql and 32 of qh; weight 32k+i of the half (k 0…3, i 0…31) has its low four bits
/// in byte 64h + 32(k mod 2) + i of ql (low nibble for k < 2) and its high two in bits 2k, 2k+1 of qh[32h + i].
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;  ///< f16
};
static_assert(sizeof(BlockQ6_K) == 210);

/// weight = d·q, q -127…127 (a file may hold -128); bsums are sums of 16 codes each, which the weights do not depend on.
/// 9.125 bits a weight. llama.cpp keeps activations in it; files with such tensors are rare.
struct BlockQ8_K {
  float d;
  int8_t qs[256];
  int16_t bsums[16];
};
static_assert(sizeof(BlockQ8_K) == 292);

/// The sixteen steps of IQ4_NL and IQ4_XS: finer around zero, where most weights are.
inline constexpr int8_t kNonLinear4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// weight = d·kNonLinear4[q]. 4.5 bits a weight. Nibbles as Q4_0.
struct BlockIQ4_NL {
  uint16_t d;  ///< f16
  uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

/// 8 groups of 32: weight = (d·(sc - 32))·kNonLinear4[q]; the 6 bits of sc: low four in nibble g of scales_l, high two in bits
/// 2g, 2g+1 of scales_h. 4.25 bits a weight. Bytes 16g…16g+15 are the nibbles of group g, as Q4_0.
struct BlockIQ4_XS {
  uint16_t d;  ///< f16
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

/// The sixteen values of a 4-bit float with 2 bits of exponent and 1 of mantissa (E2M1), doubled to be integers.
inline constexpr int8_t kDoubledE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// weight = 2^(e - 128)·kDoubledE2M1[q]; e = 255 is not a number. 4.25 bits a weight. Nibbles as Q4_0.
/// Source: OCP Microscaling Formats (MX) Specification 1.0, section 5.
struct BlockMXFP4 {
  uint8_t e;  ///< E8M0: a power of two
  uint8_t qs[16];
};
static_assert(sizeof(BlockMXFP4) == 17);

/// weight = d·(q - 1), q 0…2 as base-3 digits, five in a byte. 1.6875 bits a weight. Byte qs[j]: weights 32n + j (n 0…4) for
/// j < 32, 160 + 16n + (j - 32) after; byte qh[j]: weights 240 + 4n + j, n 0…3. Digits: ternary_digit of block_fields.h.
struct BlockTQ1_0 {
  uint8_t qs[48];
  uint8_t qh[4];
  uint16_t d;  ///< f16
};
static_assert(sizeof(BlockTQ1_0) == 54);

/// weight = d·(q - 1), q 0…2 (a file may hold 3). 2.0625 bits a weight. Two-bit codes as Q2_K.
struct BlockTQ2_0 {
  uint8_t qs[64];
  uint16_t d;  ///< f16
};
static_assert(sizeof(BlockTQ2_0) == 66);

/// The eight 6-bit scales and minima of Q4_K and Q5_K. Groups 0…3: low six bits of bytes g (scale) and g+4 (minimum);
/// groups 4…7: low four bits in byte g+4 (low nibble scale, high nibble minimum), top two bits in bits 6,7 of bytes g-4 and g.
inline void unpack_scales_k4(const uint8_t packed[12], uint8_t scales[8], uint8_t minima[8]) {
  for (int g = 0; g < 4; ++g) {
    scales[g] = packed[g] & 63;
    minima[g] = packed[g + 4] & 63;
    scales[g + 4] = static_cast<uint8_t>((packed[g + 8] & 15) | ((packed[g] >> 6) << 4));
    minima[g + 4] = static_cast<uint8_t>((packed[g + 8] >> 4) | ((packed[g + 4] >> 6) << 4));
  }
}

}  // namespace tessera

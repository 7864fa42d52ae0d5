// Owns the vocabulary that both WebAssembly kernel files share: 4 rows a tile in 128-bit vectors. See matmul_loops.h for the meaning.
#pragma once

#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#include <cstddef>
#include <cstdint>

namespace tessera {

struct WasmLanes {
  static constexpr int kRows = 4;
  using F32 = v128_t;
  using I32 = v128_t;
  using Bytes = v128_t;

  static F32 zero_f32() { return wasm_f32x4_const_splat(0.0f); }
  static I32 zero_i32() { return wasm_i32x4_const_splat(0); }
  static F32 splat_f32(float x) { return wasm_f32x4_splat(x); }
  static I32 splat_i32(int32_t x) { return wasm_i32x4_splat(x); }
  static F32 add(F32 a, F32 b) { return wasm_f32x4_add(a, b); }
  static F32 mul(F32 a, F32 b) { return wasm_f32x4_mul(a, b); }
  static F32 negate(F32 a) { return wasm_f32x4_neg(a); }
  static F32 abs(F32 a) { return wasm_f32x4_abs(a); }
  static F32 max(F32 a, F32 b) { return wasm_f32x4_pmax(b, a); }  // a > b ? a : b, as everywhere
  static I32 add_i32(I32 a, I32 b) { return wasm_i32x4_add(a, b); }
  static I32 sub_i32(I32 a, I32 b) { return wasm_i32x4_sub(a, b); }
  static I32 mul_i32(I32 a, I32 b) { return wasm_i32x4_mul(a, b); }
  static F32 to_float(I32 a) { return wasm_f32x4_convert_i32x4(a); }

  static Bytes load_bytes(const std::byte* at) { return wasm_v128_load(at); }
  static Bytes or_bytes(Bytes a, Bytes b) { return wasm_v128_or(a, b); }
  static Bytes low_nibbles(Bytes a) { return wasm_v128_and(a, wasm_i8x16_const_splat(0x0f)); }
  // 16-bit shifts: 8-bit ones are emulated on x86. The mask takes off what comes over from the neighbour byte.
  static Bytes high_nibbles(Bytes a) { return wasm_v128_and(wasm_u16x8_shr(a, 4), wasm_i8x16_const_splat(0x0f)); }
  template <int kBits>
  static Bytes high_bits(Bytes a, int group) {
    const int left = 4 - kBits * group;
    const v128_t moved = left >= 0 ? wasm_i16x8_shl(a, left) : wasm_u16x8_shr(a, -left);
    return wasm_v128_and(moved, wasm_i8x16_const_splat(kBits == 1 ? 0x10 : 0x30));
  }

  static F32 load_floats(const float* at) { return wasm_v128_load(at); }
  static F32 load_f32(const std::byte* at) { return wasm_v128_load(at); }
  static F32 load_bf16(const std::byte* at) { return wasm_i32x4_shl(wasm_u32x4_load16x4(at), 16); }
  // Exponent and mantissa moved to their f32 places, then scaled by 2^112: exact for normal and denormal halves. Infinity and NaN
  // (exponent 31) keep their meaning through the last step.
  static F32 load_f16(const std::byte* at) {
    const v128_t half = wasm_u32x4_load16x4(at);
    const v128_t magnitude = wasm_i32x4_shl(wasm_v128_and(half, wasm_i32x4_const_splat(0x7fff)), 13);
    const v128_t scaled = wasm_f32x4_mul(magnitude, wasm_f32x4_const_splat(0x1p112f));
    const v128_t special =
        wasm_v128_and(wasm_i32x4_ge(magnitude, wasm_i32x4_const_splat(0x7c00 << 13)), wasm_i32x4_const_splat(0x7f800000));
    const v128_t sign = wasm_i32x4_shl(wasm_v128_and(half, wasm_i32x4_const_splat(0x8000)), 16);
    return wasm_v128_or(wasm_v128_or(scaled, special), sign);
  }
  static F32 load_u8(const std::byte* at) {
    return to_float(wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(at))));
  }
  static I32 load_i8(const std::byte* at) { return wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(at))); }
  static void store(float* at, F32 a) { wasm_v128_store(at, a); }
};

}  // namespace tessera

#endif

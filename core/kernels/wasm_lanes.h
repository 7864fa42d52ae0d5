// Owns the vocabulary that both WebAssembly kernel files share: 4 rows a tile in 128-bit vectors. See matmul_loops.h for the meaning.
#pragma once

#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#include <cstddef>
#include <cstdint>

#include "core/base/math.h"

namespace tessera {

struct WasmLanes {
  static constexpr int kSignedOffset = 0;
  static constexpr int kRows = 4;
  static constexpr int kAttentionRegisters = 8;
  static constexpr int kKeyStreams = 1, kValueStreams = 1, kFetchAhead = 0;
  using F32 = v128_t;
  using I32 = v128_t;
  using Bytes = v128_t;
  using CodePairs = v128_t;
  // 16-bit codes of four bytes a row: a dot of pairs adds neighbours, so they are split into (0, 2) and (1, 3), and both land in the row's
  // lane. Activations in this form have the middle two of four changed about (KernelTable::code_bytes).
  struct Split {
    v128_t even;
    v128_t odd;
  };
  using ActCode = int8_t;

  static void keep_order(v128_t& sum) { asm volatile("" : "+r"(sum)); }
  // V8 makes a constant anew at each use, three instructions in the middle of a loop. What comes out of an assembler block, empty as it is,
  // is a value to both compilers, which is made before the loop.
  static v128_t kept(v128_t constant) {
    asm("" : "+r"(constant));
    return constant;
  }
  static F32 zero_f32() { return wasm_f32x4_const_splat(0.0f); }
  static I32 zero_i32() { return wasm_i32x4_const_splat(0); }
  static F32 splat_f32(float x) { return __builtin_constant_p(x) ? kept(wasm_f32x4_splat(x)) : wasm_f32x4_splat(x); }
  static I32 splat_i32(int32_t x) { return __builtin_constant_p(x) ? kept(wasm_i32x4_splat(x)) : wasm_i32x4_splat(x); }
  static F32 add(F32 a, F32 b) { return wasm_f32x4_add(a, b); }
  static F32 mul(F32 a, F32 b) { return wasm_f32x4_mul(a, b); }
  static F32 sub(F32 a, F32 b) { return wasm_f32x4_sub(a, b); }
  static F32 div(F32 a, F32 b) { return wasm_f32x4_div(a, b); }
  static F32 min(F32 a, F32 b) { return wasm_f32x4_pmin(b, a); }  // a < b ? a : b
  static float largest_lane(F32 a) {
    const v128_t pairs = wasm_f32x4_pmax(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(wasm_f32x4_pmax(pairs, wasm_i32x4_shuffle(pairs, pairs, 1, 0, 3, 2)), 0);
  }
  static F32 zero_unless_at_least(F32 a, F32 limit, F32 value) { return wasm_v128_and(value, wasm_f32x4_ge(a, limit)); }
  // a · 2^n, where `shifted` is n + kRoundMagic.
  static F32 add_exponent(F32 a, F32 shifted) { return wasm_i32x4_add(a, wasm_i32x4_shl(shifted, 23)); }
  static F32 negate(F32 a) { return wasm_f32x4_neg(a); }
  static F32 abs(F32 a) { return wasm_f32x4_abs(a); }
  static F32 max(F32 a, F32 b) { return wasm_f32x4_pmax(b, a); }  // a > b ? a : b, as everywhere
  static I32 add_i32(I32 a, I32 b) { return wasm_i32x4_add(a, b); }
  static I32 sub_i32(I32 a, I32 b) { return wasm_i32x4_sub(a, b); }
  static I32 mul_i32(I32 a, I32 b) { return wasm_i32x4_mul(a, b); }
  static F32 to_float(I32 a) { return wasm_f32x4_convert_i32x4(a); }
  static F32 take_magic(I32 a) { return wasm_f32x4_sub(a, kept(wasm_f32x4_const_splat(kRoundMagic))); }

  static Bytes load_bytes(const std::byte* at) { return wasm_v128_load(at); }
  static Bytes or_bytes(Bytes a, Bytes b) { return wasm_v128_or(a, b); }
  // 16-bit shifts: 8-bit ones are emulated on x86. The mask takes off what comes over from the neighbour byte.
  static Bytes move_bits(Bytes a, int from, int count, int to) {
    const int left = to - from;
    const v128_t moved = left >= 0 ? wasm_i16x8_shl(a, left) : wasm_u16x8_shr(a, -left);
    return wasm_v128_and(moved, kept(wasm_i8x16_splat(((1 << count) - 1) << to)));
  }
  template <int kNibble>
  static I32 nibble(I32 a) {
    return wasm_v128_and(wasm_u32x4_shr(a, 4 * kNibble), kept(wasm_i32x4_const_splat(15)));
  }

  static F32 load_floats(const float* at) { return wasm_v128_load(at); }
  static F32 load_f32(const std::byte* at) { return wasm_v128_load(at); }
  static F32 load_bf16(const std::byte* at) { return wasm_i32x4_shl(wasm_u32x4_load16x4(at), 16); }
  // Exponent and mantissa moved to their f32 places, then scaled by 2^112: exact for all finite halves. The sign comes along by
  // sign extension; its copies in the exponent are masked off.
  static F32 load_f16(const std::byte* at) {
    const v128_t moved =
        wasm_v128_and(wasm_i32x4_shl(wasm_i32x4_load16x4(at), 13), kept(wasm_i32x4_const_splat(static_cast<int>(0x8fffffffu))));
    return wasm_f32x4_mul(moved, kept(wasm_f32x4_const_splat(0x1p112f)));
  }
  // The same for all halves: infinity and NaN (exponent 31) get the f32 exponent that means the same.
  static F32 load_any_f16(const std::byte* at) {
    const v128_t exponent = wasm_v128_and(wasm_u32x4_load16x4(at), wasm_i32x4_const_splat(0x7c00));
    const v128_t special = wasm_v128_and(wasm_i32x4_eq(exponent, wasm_i32x4_const_splat(0x7c00)), wasm_i32x4_const_splat(0x7f800000));
    return wasm_v128_or(load_f16(at), special);
  }
  static void load_two_u8(const std::byte* at, F32 (&to)[2]) {
    const v128_t words = wasm_u16x8_load8x8(at);
    to[0] = to_float(wasm_u32x4_extend_low_u16x8(words));
    to[1] = to_float(wasm_u32x4_extend_high_u16x8(words));
  }
  static F32 load_power(const std::byte* at) {
    return wasm_i32x4_shl(wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(at))), 23);
  }
  static I32 load_i8(const std::byte* at) { return wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(at))); }
  static void load_two_i8(const std::byte* at, I32 (&to)[2]) {
    const v128_t words = wasm_i16x8_load8x8(at);
    to[0] = wasm_i32x4_extend_low_i16x8(words);
    to[1] = wasm_i32x4_extend_high_i16x8(words);
  }
  static void store(float* at, F32 a) { wasm_v128_store(at, a); }

  // Adding the rounding magic leaves the integer in the low bits.
  static I32 round(F32 x) {
    const v128_t magic = kept(wasm_f32x4_const_splat(kRoundMagic));
    return wasm_i32x4_sub(wasm_f32x4_add(x, magic), magic);
  }
  static v128_t round_to_words(F32 low, F32 high) { return wasm_i16x8_narrow_i32x4(round(low), round(high)); }

  static Split split_signed(Bytes a) { return {wasm_i16x8_shr(wasm_i16x8_shl(a, 8), 8), wasm_i16x8_shr(a, 8)}; }
  static Split load_split(const int16_t* at) { return {wasm_v128_load32_splat(at), wasm_v128_load32_splat(at + 2)}; }
  static v128_t dot_split(v128_t sum, const Split& codes, const Split& act) {
    return wasm_i32x4_add(wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(codes.even, act.even)), wasm_i32x4_dot_i16x8(codes.odd, act.odd));
  }
  static void store_split(v128_t words, int16_t* codes) {
    wasm_v128_store(codes, wasm_i16x8_shuffle(words, words, 0, 2, 1, 3, 4, 6, 5, 7));
  }

  static CodePairs load_pairs(const int16_t* at) { return wasm_v128_load(at); }
  // Once for every lane, as V8 loads one number into all lanes in two instructions.
  static constexpr int kPairCopies = 4;
  static void keep_pairs(const int16_t* from, int pairs, int16_t* to) {
    for (int i = 0; i < pairs; ++i) wasm_v128_store(to + 8 * i, wasm_v128_load32_splat(from + 2 * i));
  }
  static CodePairs splat_pair(const int16_t* at) { return wasm_v128_load(at); }
  static I32 dot_pairs(I32 sum, CodePairs a, CodePairs b) { return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(a, b)); }
  static void store_words(const F32 (&x)[4], int16_t* words) {
    wasm_v128_store(words, round_to_words(x[0], x[1]));
    wasm_v128_store(words + 8, round_to_words(x[2], x[3]));
  }

  // Weights and values as pairs of 16 bits, both pairs of four side by side: a lane's two sums come together at the end.
  struct ValueDots {
    using Code = int8_t;
    using Query = int16_t;
    struct Sum {
      v128_t low;
      v128_t high;
    };
    static constexpr int kLaneCodes = 4, kRowCodes = 8, kParts = 1, kMostSums = kAttentionRegisters / 2;
    static Sum load(const int8_t* at) { return {wasm_i16x8_load8x8(at), wasm_i16x8_load8x8(at + 8)}; }
    static v128_t load_query(const int16_t* at, int) { return wasm_v128_load(at); }
    static Sum zero() { return {zero_i32(), zero_i32()}; }
    static void add(Sum& sum, v128_t weights, const Sum& codes, int) {
      sum = {dot_pairs(sum.low, codes.low, weights), dot_pairs(sum.high, codes.high, weights)};
    }
    static I32 total(const Sum& sum) {
      return wasm_i32x4_add(wasm_i32x4_shuffle(sum.low, sum.high, 0, 2, 4, 6), wasm_i32x4_shuffle(sum.low, sum.high, 1, 3, 5, 7));
    }
    static void keep(const F32 (&x)[4], int16_t* to) {
      for (int i = 0; i < 2; ++i) {
        const v128_t words = round_to_words(x[2 * i], x[2 * i + 1]);
        wasm_v128_store(to + 16 * i, wasm_i64x2_shuffle(words, words, 0, 0));
        wasm_v128_store(to + 16 * i + 8, wasm_i64x2_shuffle(words, words, 1, 1));
      }
    }
  };

  // 16 values · factor, rounded to codes; returns the sum of the codes.
  static int32_t round_to_codes(const float* x, F32 factor, int8_t* codes) {
    const v128_t low = round_to_words(mul(load_floats(x), factor), mul(load_floats(x + 4), factor));
    const v128_t high = round_to_words(mul(load_floats(x + 8), factor), mul(load_floats(x + 12), factor));
    wasm_v128_store(codes, wasm_i8x16_narrow_i16x8(low, high));
    return sum_words(wasm_i16x8_add(low, high));
  }
  static int32_t sum_words(v128_t words) {
    v128_t sums = wasm_i32x4_dot_i16x8(words, wasm_i16x8_const_splat(1));
    sums = wasm_i32x4_add(sums, wasm_i32x4_shuffle(sums, sums, 2, 3, 0, 1));
    return wasm_i32x4_extract_lane(sums, 0) + wasm_i32x4_extract_lane(sums, 1);
  }
};

}  // namespace tessera

#endif

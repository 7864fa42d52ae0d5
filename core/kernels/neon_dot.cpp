// Owns the kernels for ARMv8.2 with the dot product extension: 4 rows a tile in 128-bit vectors, four byte products summed in one
// instruction.
#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

#include <arm_neon.h>

#include "core/kernels/matmul_loops.h"
#include "core/kernels/tables.h"
#include "core/kernels/vector_loops.h"

namespace tessera {
namespace {

struct NeonDot : SeparateLoads<NeonDot> {
  static constexpr int kRows = 4;
  static constexpr int kAttentionRegisters = 24;
  static constexpr int kKeyStreams = 1, kValueStreams = 1, kFetchAhead = 0;
  using F32 = float32x4_t;
  using I32 = int32x4_t;
  using Bytes = uint8x16_t;
  using CodePairs = int16x8_t;
  using Codes = int8x16_t;
  using Signed = int8x16_t;
  using ActCode = int8_t;
  using PanelForm = PlainForm<NeonDot>;
  using SignedPanelForm = PanelForm;
  using Act = int8x16_t;
  using Sum = int32x4_t;
  using SignedSum = int32x4_t;
  static constexpr int kSumLimit = 0;
  // SDOT takes two signed operands: every code as it is.
  static constexpr int kSignedOffset = 0;
  static constexpr int kGemmTokens = 12;

  static F32 zero_f32() { return vdupq_n_f32(0.0f); }
  static I32 zero_i32() { return vdupq_n_s32(0); }
  static F32 splat_f32(float x) { return vdupq_n_f32(x); }
  static I32 splat_i32(int32_t x) { return vdupq_n_s32(x); }
  static F32 add(F32 a, F32 b) { return vaddq_f32(a, b); }
  static F32 sub(F32 a, F32 b) { return vsubq_f32(a, b); }
  static F32 mul(F32 a, F32 b) { return vmulq_f32(a, b); }
  static F32 div(F32 a, F32 b) { return vdivq_f32(a, b); }
  static F32 negate(F32 a) { return vnegq_f32(a); }
  static F32 abs(F32 a) { return vabsq_f32(a); }
  // Compare and select: vmaxq_f32 and vminq_f32 treat NaN and signed zeros otherwise.
  static F32 max(F32 a, F32 b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }  // a > b ? a : b
  static F32 min(F32 a, F32 b) { return vbslq_f32(vcltq_f32(a, b), a, b); }  // a < b ? a : b
  static float largest_lane(F32 a) { return vmaxvq_f32(a); }
  static F32 zero_unless_at_least(F32 a, F32 limit, F32 value) {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(value), vcgeq_f32(a, limit)));
  }
  // a · 2^n, where `shifted` is n + kRoundMagic.
  static F32 add_exponent(F32 a, F32 shifted) {
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), vshlq_n_s32(vreinterpretq_s32_f32(shifted), 23)));
  }
  static I32 add_i32(I32 a, I32 b) { return vaddq_s32(a, b); }
  static I32 sub_i32(I32 a, I32 b) { return vsubq_s32(a, b); }
  static I32 mul_i32(I32 a, I32 b) { return vmulq_s32(a, b); }
  static F32 to_float(I32 a) { return vcvtq_f32_s32(a); }
  static F32 take_magic(I32 a) { return vsubq_f32(vreinterpretq_f32_s32(a), splat_f32(kRoundMagic)); }
  template <int kNibble>
  static I32 nibble(I32 a) {
    return vandq_s32(vshlq_s32(a, vdupq_n_s32(-4 * kNibble)), vdupq_n_s32(15));
  }

  static Bytes load_bytes(const std::byte* at) { return vld1q_u8(reinterpret_cast<const uint8_t*>(at)); }
  static Bytes or_bytes(Bytes a, Bytes b) { return vorrq_u8(a, b); }
  static Bytes move_bits(Bytes a, int from, int count, int to) {
    const uint8x16_t moved = vshlq_u8(a, vdupq_n_s8(static_cast<int8_t>(to - from)));  // negative: to the right
    return vandq_u8(moved, vdupq_n_u8(((1 << count) - 1) << to));
  }
  static Bytes look_up(Bytes a, const int8_t* table) { return vreinterpretq_u8_s8(vqtbl1q_s8(vld1q_s8(table), a)); }

  static Codes prepare(Bytes a) { return vreinterpretq_s8_u8(a); }
  static Signed prepare_signed(Bytes a) { return prepare(a); }
  static Act load_act(const int8_t* at) {
    int32_t word;
    __builtin_memcpy(&word, at, sizeof word);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
  }
  static void keep_order(Sum&) {}
  static Sum zero_sum() { return zero_i32(); }
  static SignedSum zero_signed_sum() { return zero_i32(); }
  static Sum dot(Sum sum, Codes codes, Act act) { return vdotq_s32(sum, codes, act); }
  static SignedSum dot_signed(SignedSum sum, Signed codes, Act act) { return dot(sum, codes, act); }
  static I32 widen(Sum sum) { return sum; }
  static I32 widen_signed(SignedSum sum) { return sum; }

  static F32 load_floats(const float* at) { return vld1q_f32(at); }
  static F32 load_f32(const std::byte* at) { return vld1q_f32(reinterpret_cast<const float*>(at)); }
  static F32 load_f16(const std::byte* at) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const uint16_t*>(at)))); }
  static F32 load_any_f16(const std::byte* at) { return load_f16(at); }
  static F32 load_bf16(const std::byte* at) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const uint16_t*>(at)), 16));
  }
  // Four bytes, one of each row, as words.
  static uint32x4_t load_four(const std::byte* at) {
    uint32_t word;
    __builtin_memcpy(&word, at, sizeof word);
    return vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(word))));
  }
  static F32 load_u8(const std::byte* at) { return vcvtq_f32_u32(load_four(at)); }
  static I32 load_i8(const std::byte* at) { return vshrq_n_s32(vreinterpretq_s32_u32(vshlq_n_u32(load_four(at), 24)), 24); }
  static F32 load_power(const std::byte* at) { return vreinterpretq_f32_u32(vshlq_n_u32(load_four(at), 23)); }
  static void store(float* at, F32 a) { vst1q_f32(at, a); }

  static CodePairs load_pairs(const int16_t* at) { return vld1q_s16(at); }
  static constexpr int kPairCopies = 1;
  static void keep_pairs(const int16_t* from, int pairs, int16_t* to) { __builtin_memcpy(to, from, 2 * sizeof *to * pairs); }
  static CodePairs splat_pair(const int16_t* at) {
    int32_t word;
    __builtin_memcpy(&word, at, sizeof word);
    return vreinterpretq_s16_s32(vdupq_n_s32(word));
  }
  static I32 dot_pairs(I32 sum, CodePairs a, CodePairs b) {
    return vaddq_s32(sum, vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b)));
  }
  // Four values. Adding the rounding magic leaves the integer in the low bits.
  static int16x4_t round(F32 x) {
    const F32 magic = splat_f32(kRoundMagic);
    return vqmovn_s32(vsubq_s32(vreinterpretq_s32_f32(add(x, magic)), vreinterpretq_s32_f32(magic)));
  }
  static void store_words(const F32 (&x)[4], int16_t* words) {
    for (int i = 0; i < 4; ++i) vst1_s16(words + 4 * i, round(x[i]));
  }

  // Weights of attention as their lower seven bits and those above.
  struct ValueDots {
    using Code = int8_t;
    using Query = int8_t;
    struct Sum {
      I32 parts[2];
    };
    static constexpr int kLaneCodes = 4, kRowCodes = 8, kParts = 2, kMostSums = kAttentionRegisters / 2;
    static int8x16_t load(const int8_t* at) { return vld1q_s8(at); }
    static int8x16_t load_query(const int8_t* at, int part) { return load_act(at + 4 * part); }
    static Sum zero() { return {{zero_i32(), zero_i32()}}; }
    static void add(Sum& sum, int8x16_t weights, int8x16_t codes, int part) { sum.parts[part] = dot(sum.parts[part], weights, codes); }
    static I32 total(const Sum& sum) { return add_i32(vshlq_n_s32(sum.parts[1], 7), sum.parts[0]); }
    static void keep(const F32 (&x)[4], int8_t* to) {
      for (int i = 0; i < 4; i += 2) {
        const int16x8_t words = vcombine_s16(round(x[i]), round(x[i + 1]));
        const int8x8_t low = vmovn_s16(vandq_s16(words, vdupq_n_s16(127))), high = vshrn_n_s16(words, 7);
        const int32x2x2_t both = vzip_s32(vreinterpret_s32_s8(low), vreinterpret_s32_s8(high));
        vst1q_s8(to + 8 * i, vreinterpretq_s8_s32(vcombine_s32(both.val[0], both.val[1])));
      }
    }
  };

  // 16 values · factor, rounded to codes; returns the sum of the codes.
  static int32_t round_to_codes(const float* x, F32 factor, int8_t* codes) {
    const int8x8_t low = vqmovn_s16(vcombine_s16(round(mul(load_floats(x), factor)), round(mul(load_floats(x + 4), factor))));
    const int8x8_t high = vqmovn_s16(vcombine_s16(round(mul(load_floats(x + 8), factor)), round(mul(load_floats(x + 12), factor))));
    const int8x16_t all = vcombine_s8(low, high);
    vst1q_s8(codes, all);
    return vaddlvq_s8(all);
  }
};

}  // namespace

const KernelTable kNeonDotKernels = simd_kernel_table<NeonDot>("neon_dot");

}  // namespace tessera

#endif

// Owns the kernels for x86-64 with AVX-512 and VNNI: 16 rows a tile in 512-bit vectors, four byte products summed in one instruction.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VNNI__)

#include <immintrin.h>

#include "core/kernels/matmul_loops.h"
#include "core/kernels/tables.h"
#include "core/kernels/vector_loops.h"

namespace tessera {
namespace {

struct Avx512Vnni : SeparateLoads<Avx512Vnni> {
  static constexpr int kRows = 16;
  static constexpr int kAttentionRegisters = 24;
  static constexpr int kKeyStreams = 4, kValueStreams = 2, kFetchAhead = 0;
  using F32 = __m512;
  using I32 = __m512i;
  using Bytes = __m512i;
  using CodePairs = __m512i;
  using Codes = __m512i;
  using Signed = __m512i;
  using ActCode = int8_t;
  using PanelForm = PlainForm<Avx512Vnni>;
  using SignedPanelForm = PanelForm;
  using Act = __m512i;
  using Sum = __m512i;  // i32x16
  using SignedSum = __m512i;
  static constexpr int kSumLimit = 0;
  // The first operand of a dot is unsigned: signed codes are moved up by 128, which leaves as 128 · Σ activations.
  static constexpr int kSignedOffset = 128;
  static constexpr int kGemmTokens = 12;

  static F32 zero_f32() { return _mm512_setzero_ps(); }
  static I32 zero_i32() { return _mm512_setzero_si512(); }
  static F32 splat_f32(float x) { return _mm512_set1_ps(x); }
  static I32 splat_i32(int32_t x) { return _mm512_set1_epi32(x); }
  static F32 add(F32 a, F32 b) { return _mm512_add_ps(a, b); }
  static F32 sub(F32 a, F32 b) { return _mm512_sub_ps(a, b); }
  static F32 mul(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
  static F32 div(F32 a, F32 b) { return _mm512_div_ps(a, b); }
  static F32 negate(F32 a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
  static F32 abs(F32 a) { return _mm512_abs_ps(a); }
  static F32 max(F32 a, F32 b) { return _mm512_max_ps(a, b); }  // a > b ? a : b
  static F32 min(F32 a, F32 b) { return _mm512_min_ps(a, b); }  // a < b ? a : b
  static float largest_lane(F32 a) { return _mm512_reduce_max_ps(a); }
  static F32 zero_unless_at_least(F32 a, F32 limit, F32 value) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, limit, _CMP_GE_OQ), value);
  }
  // a · 2^n, where `shifted` is n + kRoundMagic.
  static F32 add_exponent(F32 a, F32 shifted) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(_mm512_castps_si512(shifted), 23)));
  }
  static I32 add_i32(I32 a, I32 b) { return _mm512_add_epi32(a, b); }
  static I32 sub_i32(I32 a, I32 b) { return _mm512_sub_epi32(a, b); }
  static I32 mul_i32(I32 a, I32 b) { return _mm512_mullo_epi32(a, b); }
  static F32 to_float(I32 a) { return _mm512_cvtepi32_ps(a); }
  static F32 take_magic(I32 a) { return sub(_mm512_castsi512_ps(a), splat_f32(kRoundMagic)); }

  static Bytes load_bytes(const std::byte* at) { return _mm512_loadu_si512(at); }
  static Bytes or_bytes(Bytes a, Bytes b) { return _mm512_or_si512(a, b); }
  static Bytes move_bits(Bytes a, int from, int count, int to) {
    const int left = to - from;
    const __m512i moved =
        left >= 0 ? _mm512_slli_epi16(a, static_cast<unsigned>(left)) : _mm512_srli_epi16(a, static_cast<unsigned>(-left));
    return _mm512_and_si512(moved, _mm512_set1_epi8(((1 << count) - 1) << to));
  }
  static Bytes look_up(Bytes a, const int8_t* table) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))), a);
  }
  template <int kNibble>
  static I32 nibble(I32 a) {
    return _mm512_and_si512(_mm512_srli_epi32(a, 4 * kNibble), _mm512_set1_epi32(15));
  }

  static Codes prepare(Bytes a) { return a; }
  static Signed prepare_signed(Bytes a) { return _mm512_xor_si512(a, _mm512_set1_epi8(static_cast<char>(0x80))); }
  static Act load_act(const int8_t* at) {
    int32_t word;
    __builtin_memcpy(&word, at, sizeof word);
    return _mm512_set1_epi32(word);
  }
  static void keep_order(Sum&) {}
  static Sum zero_sum() { return _mm512_setzero_si512(); }
  static SignedSum zero_signed_sum() { return _mm512_setzero_si512(); }
  static Sum dot(Sum sum, Codes codes, Act act) { return _mm512_dpbusd_epi32(sum, codes, act); }
  static SignedSum dot_signed(SignedSum sum, Signed codes, Act act) { return dot(sum, codes, act); }
  static I32 widen(Sum sum) { return sum; }
  static I32 widen_signed(SignedSum sum) { return sum; }

  static F32 load_floats(const float* at) { return _mm512_loadu_ps(at); }
  static F32 load_f32(const std::byte* at) { return _mm512_loadu_ps(at); }
  static F32 load_f16(const std::byte* at) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at))); }
  static F32 load_power(const std::byte* at) {
    const __m512i exponents = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(exponents, 23));
  }
  static F32 load_any_f16(const std::byte* at) { return load_f16(at); }
  static F32 load_bf16(const std::byte* at) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static F32 load_u8(const std::byte* at) { return to_float(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)))); }
  static I32 load_i8(const std::byte* at) { return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))); }
  static void store(float* at, F32 a) { _mm512_storeu_ps(at, a); }

  static CodePairs load_pairs(const int16_t* at) { return _mm512_loadu_si512(at); }
  static constexpr int kPairCopies = 1;
  static void keep_pairs(const int16_t* from, int pairs, int16_t* to) { __builtin_memcpy(to, from, 2 * sizeof *to * pairs); }
  static CodePairs splat_pair(const int16_t* at) {
    int32_t word;
    __builtin_memcpy(&word, at, sizeof word);
    return _mm512_set1_epi32(word);
  }
  static I32 dot_pairs(I32 sum, CodePairs a, CodePairs b) { return _mm512_dpwssd_epi32(sum, a, b); }
  // Adding the rounding magic leaves the integer in the low bits.
  static I32 round(F32 x) {
    const __m512 magic = splat_f32(kRoundMagic);
    return _mm512_sub_epi32(_mm512_castps_si512(add(x, magic)), _mm512_castps_si512(magic));
  }
  static void store_words(const F32 (&x)[1], int16_t* words) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), _mm512_cvtsepi32_epi16(round(x[0])));
  }

  // Weights of attention as their lower seven bits and those above, twice, as packing within 128-bit quarters leaves them.
  struct ValueDots {
    using Code = int8_t;
    using Query = int8_t;
    struct Sum {
      __m512i parts[2];
    };
    static constexpr int kLaneCodes = 4, kRowCodes = 16, kParts = 2, kMostSums = kAttentionRegisters / 2;
    static __m512i load(const int8_t* at) { return _mm512_loadu_si512(at); }
    static __m512i load_query(const int8_t* at, int part) { return load_act(at + 4 * part); }
    static Sum zero() { return {{zero_i32(), zero_i32()}}; }
    static void add(Sum& sum, __m512i weights, __m512i codes, int part) { sum.parts[part] = dot(sum.parts[part], weights, codes); }
    static I32 total(const Sum& sum) { return add_i32(_mm512_slli_epi32(sum.parts[1], 7), sum.parts[0]); }
    static void keep(const F32 (&x)[1], int8_t* to) {
      const __m512i words = round(x[0]);
      const __m512i both = _mm512_packus_epi32(_mm512_and_si512(words, _mm512_set1_epi32(127)), _mm512_srli_epi32(words, 7));
      _mm512_storeu_si512(to, _mm512_packus_epi16(both, both));
    }
  };

  // 16 values · factor, rounded to codes; returns the sum of the codes.
  static int32_t round_to_codes(const float* x, F32 factor, int8_t* codes) {
    const __m512i rounded = round(mul(load_floats(x), factor));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtsepi32_epi8(rounded));
    return _mm512_reduce_add_epi32(rounded);
  }
};

}  // namespace

const KernelTable kAvx512VnniKernels = simd_kernel_table<Avx512Vnni>("avx512_vnni");

}  // namespace tessera

#endif

// Owns the kernels for x86-64 with AVX2 and F16C: 8 rows a tile in 256-bit vectors, unsigned × signed byte products.
#if defined(__AVX2__) && defined(__F16C__)

#include <immintrin.h>

#include "core/kernels/matmul_loops.h"
#include "core/kernels/tables.h"
#include "core/kernels/vector_loops.h"

namespace tessera {
namespace {

struct Avx2 : SeparateLoads<Avx2> {
  static constexpr int kSignedOffset = 0;
  static constexpr int kRows = 8;
  static constexpr int kAttentionRegisters = 12;
  static constexpr int kKeyStreams = 1, kValueStreams = 1, kFetchAhead = 2048;
  using F32 = __m256;
  using I32 = __m256i;
  using Bytes = __m256i;
  using CodePairs = __m256i;
  using Codes = __m256i;
  using ActCode = int8_t;
  using PanelForm = PlainForm<Avx2>;
  using SignedPanelForm = PanelForm;
  using Act = __m256i;
  using Sum = __m256i;        // i16x16: two partial sums a row
  using SignedSum = __m256i;  // i32x8
  // maddubs needs one unsigned operand, so signed weights lend their sign to the activation.
  struct Signed {
    __m256i magnitude;
    __m256i original;
  };
  // One product of a pair is at most 2·127·max_code; an i16 holds kSumLimit / max_code of them.
  static constexpr int kSumLimit = 32767 / (2 * 127);
  static constexpr int kGemmTokens = 6;

  static F32 zero_f32() { return _mm256_setzero_ps(); }
  static I32 zero_i32() { return _mm256_setzero_si256(); }
  static F32 splat_f32(float x) { return _mm256_set1_ps(x); }
  static I32 splat_i32(int32_t x) { return _mm256_set1_epi32(x); }
  static F32 add(F32 a, F32 b) { return _mm256_add_ps(a, b); }
  static F32 mul(F32 a, F32 b) { return _mm256_mul_ps(a, b); }
  static F32 sub(F32 a, F32 b) { return _mm256_sub_ps(a, b); }
  static F32 div(F32 a, F32 b) { return _mm256_div_ps(a, b); }
  static F32 min(F32 a, F32 b) { return _mm256_min_ps(a, b); }  // a < b ? a : b
  static float largest_lane(F32 a) {
    __m128 values = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    values = _mm_max_ps(values, _mm_movehl_ps(values, values));
    return _mm_cvtss_f32(_mm_max_ss(values, _mm_movehdup_ps(values)));
  }
  static F32 zero_unless_at_least(F32 a, F32 limit, F32 value) { return _mm256_and_ps(value, _mm256_cmp_ps(a, limit, _CMP_GE_OQ)); }
  // a · 2^n, where `shifted` is n + kRoundMagic.
  static F32 add_exponent(F32 a, F32 shifted) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(shifted), 23)));
  }
  static F32 negate(F32 a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
  static F32 abs(F32 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static F32 max(F32 a, F32 b) { return _mm256_max_ps(a, b); }  // a > b ? a : b
  static I32 add_i32(I32 a, I32 b) { return _mm256_add_epi32(a, b); }
  static I32 sub_i32(I32 a, I32 b) { return _mm256_sub_epi32(a, b); }
  static I32 mul_i32(I32 a, I32 b) { return _mm256_mullo_epi32(a, b); }
  static F32 to_float(I32 a) { return _mm256_cvtepi32_ps(a); }

  static Bytes load_bytes(const std::byte* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
  static Bytes or_bytes(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }
  static Bytes move_bits(Bytes a, int from, int count, int to) {
    const int left = to - from;
    const __m256i moved = left >= 0 ? _mm256_slli_epi16(a, left) : _mm256_srli_epi16(a, -left);
    return _mm256_and_si256(moved, _mm256_set1_epi8(((1 << count) - 1) << to));
  }
  static Bytes look_up(Bytes a, const int8_t* table) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))), a);
  }
  template <int kNibble>
  static I32 nibble(I32 a) {
    return _mm256_and_si256(_mm256_srli_epi32(a, 4 * kNibble), _mm256_set1_epi32(15));
  }

  static Codes prepare(Bytes a) { return a; }
  static Signed prepare_signed(Bytes a) { return {_mm256_abs_epi8(a), a}; }
  static Act load_act(const int8_t* at) {
    int32_t word;
    __builtin_memcpy(&word, at, sizeof word);
    return _mm256_set1_epi32(word);
  }
  static void keep_order(Sum&) {}
  static Sum zero_sum() { return _mm256_setzero_si256(); }
  static SignedSum zero_signed_sum() { return _mm256_setzero_si256(); }
  static Sum dot(Sum sum, Codes codes, Act act) { return _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, act)); }
  static SignedSum dot_signed(SignedSum sum, const Signed& codes, Act act) {
    return _mm256_add_epi32(sum, widen(_mm256_maddubs_epi16(codes.magnitude, _mm256_sign_epi8(act, codes.original))));
  }
  static I32 widen(Sum sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }
  static I32 widen_signed(SignedSum sum) { return sum; }

  static F32 load_floats(const float* at) { return _mm256_loadu_ps(at); }
  static F32 load_f32(const std::byte* at) { return _mm256_loadu_ps(reinterpret_cast<const float*>(at)); }
  static F32 load_f16(const std::byte* at) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))); }
  static F32 load_bf16(const std::byte* at) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  static F32 load_u8(const std::byte* at) { return to_float(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)))); }
  static I32 load_i8(const std::byte* at) { return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at))); }
  static F32 load_power(const std::byte* at) {
    const __m256i exponents = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponents, 23));
  }
  static F32 load_any_f16(const std::byte* at) { return load_f16(at); }
  static void store(float* at, F32 a) { _mm256_storeu_ps(at, a); }

  static CodePairs load_pairs(const int16_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
  static constexpr int kPairCopies = 1;
  static void keep_pairs(const int16_t* from, int pairs, int16_t* to) { __builtin_memcpy(to, from, 2 * sizeof *to * pairs); }
  static CodePairs splat_pair(const int16_t* at) {
    int32_t word;
    __builtin_memcpy(&word, at, sizeof word);
    return _mm256_set1_epi32(word);
  }
  static I32 dot_pairs(I32 sum, CodePairs a, CodePairs b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
  // Adding the rounding magic leaves the integer in the low bits.
  static I32 round(F32 x) {
    const __m256 magic = splat_f32(kRoundMagic);
    return _mm256_sub_epi32(_mm256_castps_si256(add(x, magic)), _mm256_castps_si256(magic));
  }
  // Packing works within 128-bit halves: the quarters come out as 0, 2, 1, 3.
  static __m256i pack_words(I32 low, I32 high) { return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8); }
  static void store_words(const F32 (&x)[2], int16_t* words) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), pack_words(round(x[0]), round(x[1])));
  }

  // Weights and values as pairs of 16 bits, both pairs of four side by side: a lane's two sums come together at the end.
  struct ValueDots {
    using Code = int8_t;
    using Query = int16_t;
    struct Sum {
      __m256i low;
      __m256i high;
    };
    static constexpr int kLaneCodes = 4, kRowCodes = 4, kParts = 1, kMostSums = kAttentionRegisters / 2;
    static __m256i widened(const int8_t* at) { return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))); }
    static Sum load(const int8_t* at) { return {widened(at), widened(at + 16)}; }
    static __m256i load_query(const int16_t* at, int) {
      int64_t words;
      __builtin_memcpy(&words, at, sizeof words);
      return _mm256_set1_epi64x(words);
    }
    static Sum zero() { return {zero_i32(), zero_i32()}; }
    static void add(Sum& sum, __m256i weights, const Sum& codes, int) {
      sum = {dot_pairs(sum.low, weights, codes.low), dot_pairs(sum.high, weights, codes.high)};
    }
    // Neighbours are added within 128-bit halves, as pack_words packs.
    static I32 total(const Sum& sum) { return _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum.low, sum.high), 0xd8); }
    static void keep(const F32 (&x)[2], int16_t* to) { store_words(x, to); }
  };

  // 16 values · factor, rounded to codes; returns the sum of the codes.
  static int32_t round_to_codes(const float* x, F32 factor, int8_t* codes) {
    const __m256i words = pack_words(round(mul(load_floats(x), factor)), round(mul(load_floats(x + 8), factor)));
    const __m128i low = _mm256_castsi256_si128(words), high = _mm256_extracti128_si256(words, 1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm_packs_epi16(low, high));
    __m128i sums = _mm_madd_epi16(_mm_add_epi16(low, high), _mm_set1_epi16(1));
    sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0x4e));
    return _mm_cvtsi128_si32(sums) + _mm_extract_epi32(sums, 1);
  }
};

}  // namespace

const KernelTable kAvx2Kernels = simd_kernel_table<Avx2>("avx2");

}  // namespace tessera

#endif

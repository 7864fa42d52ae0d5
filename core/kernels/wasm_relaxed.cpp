// Owns the kernels of WebAssembly relaxed SIMD: 8-bit dots, summed in 16 or in 32 bits. The second operand of a dot is 0…127, that of a
// swizzle 0…15, where every engine must give the same bits; only where this engine was asked what it makes of others may it be more.
#if defined(__wasm_relaxed_simd__)

#include "core/kernels/matmul_loops.h"
#include "core/kernels/tables.h"
#include "core/kernels/vector_loops.h"
#include "core/kernels/wasm_lanes.h"

namespace tessera {
namespace {

// Each word of four codes once for every lane. V8 loads one number into all lanes in two instructions, since it adds the offset to the
// memory's base in one of its own; of what lies there as a vector it takes the offset along.
struct SpreadForm {
  static constexpr bool kInPlace = false;
  using Code = int32_t;
  static void make(const int8_t* codes, int32_t* out) {
#pragma GCC unroll 8
    for (int i = 0; i < kActivationBlock; i += 4) wasm_v128_store(out + i, wasm_v128_load32_splat(codes + i));
  }
  static v128_t load(const int32_t* at) { return wasm_v128_load(at); }
};

// 16-bit codes for dots of pairs.
struct SplitForm {
  static constexpr bool kInPlace = false;
  using Code = int16_t;
  static void make(const int8_t* codes, int16_t* out) {
    for (int i = 0; i < kActivationBlock; i += 8) WasmLanes::store_split(wasm_i16x8_load8x8(codes + i), out + i);
  }
  static WasmLanes::Split load(const int16_t* at) { return WasmLanes::load_split(at); }
};

struct Relaxed : WasmLanes {
  using Codes = v128_t;
  // Where weights have a sign, the 0…127 operand would hold their magnitudes and each dot would have to move the signs to the activations:
  // dots of 16-bit pairs are faster by 40 %.
  using Signed = Split;
  using PanelForm = SpreadForm;
  using SignedPanelForm = SplitForm;
  using Act = v128_t;
  using Sum = v128_t;        // i16x8: two partial sums a row
  using SignedSum = v128_t;  // i32x4
  // One product of a pair is at most 2·127·max_code; an i16 holds kSumLimit / max_code of them.
  static constexpr int kSumLimit = 32767 / (2 * 127);
  static constexpr int kGemmTokens = 12;

  static Bytes look_up(Bytes a, const int8_t* table) { return wasm_i8x16_relaxed_swizzle(wasm_v128_load(table), a); }
  static Codes prepare(Bytes a) { return a; }
  static Signed prepare_signed(Bytes a) { return split_signed(a); }
  static Act load_act(const int8_t* at) { return wasm_v128_load32_splat(at); }
  static Sum zero_sum() { return wasm_i32x4_const_splat(0); }
  static SignedSum zero_signed_sum() { return wasm_i32x4_const_splat(0); }
  static Sum dot(Sum sum, Codes codes, Act act) { return wasm_i16x8_add(sum, wasm_i16x8_relaxed_dot_i8x16_i7x16(act, codes)); }
  static SignedSum dot_signed(SignedSum sum, const Split& codes, const Split& act) { return dot_split(sum, codes, act); }
  static I32 widen(Sum sum) { return wasm_i32x4_extadd_pairwise_i16x8(sum); }
  static I32 widen_signed(SignedSum sum) { return sum; }
};

// The same with dots of four bytes summed in 32 bits from the start: more instructions on most x86-64, fewer where the processor has them
// (ARM's SDOT, AVX-VNNI). Which of the two is faster is tried on the device (core/engine/tune.h).
struct RelaxedI32 : Relaxed {
  // Weights with a sign become a magnitude for the 0…127 operand and a mask (0 or -1) that moves their sign to the activation.
  struct SignedCodes {
    v128_t magnitude;
    v128_t mask;
  };
  using Signed = SignedCodes;
  using SignedPanelForm = SpreadForm;
  static constexpr int kSumLimit = 0;
  static Signed prepare_signed(Bytes a) { return {wasm_i8x16_abs(a), wasm_i8x16_shr(a, 7)}; }
  static Sum dot(Sum sum, Codes codes, Act act) { return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(act, codes, sum); }
  static SignedSum dot_signed(SignedSum sum, const SignedCodes& codes, Act act) {
    const v128_t turned = wasm_i8x16_sub(wasm_v128_xor(act, codes.mask), codes.mask);
    return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(turned, codes.magnitude, sum);
  }
  static I32 widen(Sum sum) { return sum; }

  // Weights of attention as their lower seven bits and those above: two dots of four bytes instead of two of pairs with their sums.
  struct ValueDots {
    using Code = int8_t;
    using Query = int8_t;
    struct Sum {
      I32 parts[2];
    };
    static constexpr int kLaneCodes = 4, kRowCodes = 32, kParts = 2, kMostSums = 6;  // of two registers each
    static v128_t load(const int8_t* at) { return wasm_v128_load(at); }
    static v128_t load_query(const int8_t* at, int part) { return wasm_v128_load(at + 16 * part); }
    static Sum zero() { return {{zero_i32(), zero_i32()}}; }
    static void add(Sum& sum, v128_t weights, v128_t codes, int part) {
      sum.parts[part] = dot(sum.parts[part], weights, codes);
      keep_order(sum.parts[part]);
    }
    static I32 total(const Sum& sum) { return add_i32(wasm_i32x4_shl(sum.parts[1], 7), sum.parts[0]); }
    static void keep(const F32 (&x)[4], int8_t* to) {
      const v128_t first = round_to_words(x[0], x[1]), second = round_to_words(x[2], x[3]);
      const v128_t mask = kept(wasm_i16x8_const_splat(127));
      spread_words(wasm_i8x16_narrow_i16x8(wasm_v128_and(first, mask), wasm_v128_and(second, mask)), to);
      spread_words(wasm_i8x16_narrow_i16x8(wasm_u16x8_shr(first, 7), wasm_u16x8_shr(second, 7)), to + 16);
    }
    // Each word once for every lane, a row after the other.
    static void spread_words(v128_t words, int8_t* to) {
      wasm_v128_store(to, wasm_i32x4_shuffle(words, words, 0, 0, 0, 0));
      wasm_v128_store(to + kRowCodes, wasm_i32x4_shuffle(words, words, 1, 1, 1, 1));
      wasm_v128_store(to + 2 * kRowCodes, wasm_i32x4_shuffle(words, words, 2, 2, 2, 2));
      wasm_v128_store(to + 3 * kRowCodes, wasm_i32x4_shuffle(words, words, 3, 3, 3, 3));
    }
  };
};

// What an engine makes of an operand that is not 0…127 is its own choice, but always the same one (WebAssembly 3.0, relaxed operators).
// Where that is a number with a sign (SDOT), weights with one go in as they are; where it is 0…255 and no sum saturates on the way
// (AVX-VNNI), moved up by 128.
struct RelaxedSigned : RelaxedI32 {
  using Signed = v128_t;
  static Signed prepare_signed(Bytes a) { return a; }
  static SignedSum dot_signed(SignedSum sum, Signed codes, Act act) { return dot(sum, codes, act); }
};
struct RelaxedUnsigned : RelaxedSigned {
  static constexpr int kSignedOffset = 128;
  static Signed prepare_signed(Bytes a) { return wasm_v128_xor(a, kept(wasm_i8x16_const_splat(-128))); }
};

// Only products of block formats and attention over codes differ: for models in floats there is nothing to try. Q8_K keeps its dots of
// 16-bit pairs: no model is written in it (llama.cpp's activations are), and three more loops for it are 8 KB gzip.
constexpr KernelTable with_i32_sums(KernelTable table) {
  table.name = "wasm_relaxed_i32";
  const MatmulFn of_pairs = table.matmul[static_cast<uint32_t>(DType::kQ8_K)];
  set_block_matmuls<RelaxedI32>(table.matmul);
  table.matmul[static_cast<uint32_t>(DType::kQ8_K)] = of_pairs;
  table.attend_segment = QuantizedAttention<RelaxedI32>::attend;
  return table;
}
// IQ4_XS is left to the loops for all: two more are 4 KB gzip of the download.
template <class Isa>
constexpr KernelTable with_signed_dots(KernelTable table) {
  set_matmuls<Isa, DType::kQ8_0, DType::kIQ4_NL>(table.matmul);
  return table;
}
constexpr KernelTable kTable = simd_kernel_table<Relaxed>("wasm_relaxed");
constexpr KernelTable kI32Table = with_i32_sums(kTable);
constexpr KernelTable kSignedTable = with_signed_dots<RelaxedSigned>(kI32Table);
constexpr KernelTable kUnsignedTable = with_signed_dots<RelaxedUnsigned>(kI32Table);

// A lane of the dot of four equal products. The operands are not known to the compiler, which would answer for a machine of its own.
int32_t dot_of(int first, int second) {
  v128_t a = wasm_i8x16_splat(static_cast<int8_t>(first)), b = wasm_i8x16_splat(static_cast<int8_t>(second));
  asm volatile("" : "+r"(a), "+r"(b));
  return wasm_i32x4_extract_lane(wasm_i32x4_relaxed_dot_i8x16_i7x16_add(a, b, wasm_i32x4_const_splat(0)), 0);
}
// Whether the dots of the largest activations with the lowest and the highest code of a byte are what these numbers make them.
bool dots_take(int low, int high) {
  return dot_of(127, 0x80) == 4 * 127 * low && dot_of(-127, 0x80) == -4 * 127 * low && dot_of(127, 0xff) == 4 * 127 * high &&
         dot_of(-127, 0xff) == -4 * 127 * high;
}
// Whether a · a + b is rounded once.
bool fuses() {
  v128_t a = wasm_f32x4_splat(1.0f + 0x1p-12f), b = wasm_f32x4_splat(-1.0f - 0x1p-11f);
  asm volatile("" : "+r"(a), "+r"(b));
  return wasm_f32x4_extract_lane(wasm_f32x4_relaxed_madd(a, a, b), 0) != 0.0f;
}

const KernelTable& i32_table() {
  if (dots_take(-128, -1)) return kSignedTable;
  if (dots_take(128, 255)) return kUnsignedTable;
  return kI32Table;
}

}  // namespace

const KernelTable* const* wasm_relaxed_kernels() {
  static const KernelTable* tables[3] = {};
  int count = 0;
  // V8 (seen in 13.6, no longer in that of Chromium 156) overwrites an operand of some 16-bit dots on an x86-64 without AVX. Such
  // processors have no fused multiply-add either, as all have whose 16-bit dots are worth choosing.
  if (fuses()) tables[count++] = &kTable;
  tables[count] = &i32_table();
  return tables;
}

}  // namespace tessera

#endif

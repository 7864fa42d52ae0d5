// Owns the kernels of WebAssembly relaxed SIMD: 8-bit dots, summed in 16 or in 32 bits. The second operand of a dot is always 0…127, that
// of a swizzle 0…15, where every engine must give the same bits.
#if defined(__wasm_relaxed_simd__)

#include "core/kernels/matmul_loops.h"
#include "core/kernels/tables.h"
#include "core/kernels/vector_loops.h"
#include "core/kernels/wasm_lanes.h"

namespace tessera {
namespace {

struct Relaxed : WasmLanes {
  using Codes = v128_t;
  // Where weights have a sign, the 0…127 operand would hold their magnitudes and each dot would have to move the signs to the activations:
  // dots of 16-bit pairs are faster by 40 %.
  using Signed = Split;
  using SignedCode = int16_t;
  using Act = v128_t;
  using Sum = v128_t;        // i16x8: two partial sums a row
  using SignedSum = v128_t;  // i32x4
  // One product of a pair is at most 2·127·max_code; an i16 holds kSumLimit / max_code of them.
  static constexpr int kSumLimit = 32767 / (2 * 127);
  static constexpr int kGemmTokens = 8;

  static Bytes look_up(Bytes a, const int8_t* table) { return wasm_i8x16_relaxed_swizzle(wasm_v128_load(table), a); }
  static Codes prepare(Bytes a) { return a; }
  static Signed prepare_signed(Bytes a) { return split_signed(a); }
  static void signed_codes(const int8_t* codes, int16_t* split) {
    for (int i = 0; i < 32; i += 8) store_split(wasm_i16x8_load8x8(codes + i), split + i);
  }
  static Split load_signed_act(const int16_t* at) { return load_split(at); }
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
  using SignedCode = int8_t;
  static constexpr int kSumLimit = 0;
  static Signed prepare_signed(Bytes a) { return {wasm_i8x16_abs(a), wasm_i8x16_shr(a, 7)}; }
  static Sum dot(Sum sum, Codes codes, Act act) { return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(act, codes, sum); }
  static SignedSum dot_signed(SignedSum sum, const SignedCodes& codes, Act act) {
    const v128_t turned = wasm_i8x16_sub(wasm_v128_xor(act, codes.mask), codes.mask);
    return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(turned, codes.magnitude, sum);
  }
  static I32 widen(Sum sum) { return sum; }
};

// Only products of block formats differ: for models in floats there is nothing to try.
constexpr KernelTable with_i32_sums(KernelTable table) {
  table.name = "wasm_relaxed_i32";
  set_block_matmuls<RelaxedI32>(table.matmul);
  return table;
}
constexpr KernelTable kTable = simd_kernel_table<Relaxed>("wasm_relaxed");

}  // namespace

const KernelTable kWasmRelaxedKernels = kTable;
const KernelTable kWasmRelaxedI32Kernels = with_i32_sums(kTable);

}  // namespace tessera

#endif

// Owns the kernels of plain WebAssembly SIMD: i32x4.dot_i16x8 on codes split into even and odd bytes.
#if defined(__wasm_simd128__)

#include "core/kernels/matmul_loops.h"
#include "core/kernels/tables.h"
#include "core/kernels/vector_loops.h"
#include "core/kernels/wasm_lanes.h"

namespace tessera {
namespace {

struct Simd128 : WasmLanes {
  using Codes = Split;
  using Signed = Split;
  using Act = Split;
  using ActCode = int16_t;  // split beforehand: each code of an activation is read once for every tile
  using PanelForm = PlainForm<Simd128>;
  using SignedPanelForm = PanelForm;
  using Sum = v128_t;
  using SignedSum = v128_t;
  static constexpr int kSumLimit = 0;
  static constexpr int kGemmTokens = 12;

  static Bytes look_up(Bytes a, const int8_t* table) { return wasm_i8x16_swizzle(wasm_v128_load(table), a); }
  static Codes prepare(Bytes a) { return {wasm_v128_and(a, kept(wasm_i16x8_const_splat(0xff))), wasm_u16x8_shr(a, 8)}; }
  static Signed prepare_signed(Bytes a) { return split_signed(a); }
  static Act load_act(const int16_t* at) { return load_split(at); }
  static int32_t round_to_codes(const float* x, F32 factor, int16_t* codes) {
    v128_t sum = wasm_i16x8_const_splat(0);
    for (int i = 0; i < 16; i += 8) {
      const v128_t words = round_to_words(mul(load_floats(x + i), factor), mul(load_floats(x + i + 4), factor));
      store_split(words, codes + i);
      sum = wasm_i16x8_add(sum, words);
    }
    return sum_words(sum);
  }
  static Sum zero_sum() { return wasm_i32x4_const_splat(0); }
  static SignedSum zero_signed_sum() { return zero_sum(); }
  static Sum dot(Sum sum, const Split& codes, const Split& act) { return dot_split(sum, codes, act); }
  static SignedSum dot_signed(SignedSum sum, const Split& codes, const Split& act) { return dot_split(sum, codes, act); }
  static I32 widen(Sum sum) { return sum; }
  static I32 widen_signed(SignedSum sum) { return sum; }
};

}  // namespace

const KernelTable kWasmSimd128Kernels = simd_kernel_table<Simd128>("wasm_simd128");

}  // namespace tessera

#endif

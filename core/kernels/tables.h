// Owns the names of the kernel tables and how a SIMD file fills one from its vocabulary. Only core/kernels/*.cpp include it.
#pragma once

#include "core/kernels/kernels.h"
#include "core/kernels/matmul_loops.h"
#include "core/kernels/quantized_attention.h"
#include "core/kernels/vector_loops.h"

namespace tessera {

extern const KernelTable kScalarKernels;
extern const KernelTable kAvx512VnniKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kNeonDotKernels;
extern const KernelTable kWasmSimd128Kernels;
/// Those that suit what this engine makes of relaxed instructions, best first; then null. To be asked once.
const KernelTable* const* wasm_relaxed_kernels();

/// Every loop instantiated for one Isa.
template <class Isa>
constexpr KernelTable simd_kernel_table(std::string_view name) {
  using Vector = VectorLoops<Isa>;
  return {
      .name = name,
      .tile_rows = Isa::kRows,
      .code_bytes = sizeof(typename Isa::ActCode),
      .quantize_row = Vector::quantize_row,
      .matmul = matmul_table<Isa>(),
      .rms_norm = Vector::rms_norm,
      .silu_mul = Vector::silu_mul,
      .gelu_mul = Vector::gelu_mul,
      .clamped_swiglu = Vector::clamped_swiglu,
      .attend = Vector::attend,
      .quantize_words = QuantizedAttention<Isa>::quantize_words,
      .attend_segment = QuantizedAttention<Isa>::attend,
      .widen_f16 = Vector::widen_f16,
  };
}

}  // namespace tessera

// Owns what a WebAssembly module of kernels exports: its tables.
#if defined(__EMSCRIPTEN__)

#include <emscripten/em_macros.h>

#include "core/kernels/tables.h"

namespace tessera {

/// As loaded_kernel_tables of registry.cpp.
extern "C" EMSCRIPTEN_KEEPALIVE const KernelTable* const* kernel_tables() {
  static constexpr const KernelTable* kTables[] = {
#if defined(__wasm_relaxed_simd__)
      &kWasmRelaxedKernels, &kWasmRelaxedI32Kernels,
#else
      &kWasmSimd128Kernels,
#endif
      nullptr};
  return kTables;
}

}  // namespace tessera

#endif

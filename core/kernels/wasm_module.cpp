// Owns what a WebAssembly module of kernels exports: its tables.
#if defined(__EMSCRIPTEN__)

#include <emscripten/em_macros.h>

#include "core/kernels/tables.h"

namespace tessera {

/// As loaded_kernel_tables of registry.cpp, which asks once.
extern "C" EMSCRIPTEN_KEEPALIVE const KernelTable* const* kernel_tables() {
#if defined(__wasm_relaxed_simd__)
  return wasm_relaxed_kernels();
#else
  static constexpr const KernelTable* kTables[] = {&kWasmSimd128Kernels, nullptr};
  return kTables;
#endif
}

}  // namespace tessera

#endif

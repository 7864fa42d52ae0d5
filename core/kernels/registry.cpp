// Owns the list of kernel tables, best first, and the question which of them this machine can run.
#include <string>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include "core/kernels/kernels.h"
#include "core/kernels/tables.h"

namespace tessera {

#if defined(__EMSCRIPTEN__)

/// The tables of the module that was loaded beside this one for the browser's instructions (wasm/kernel-module.js), best first; then null.
extern "C" const KernelTable* const* loaded_kernel_tables();

std::span<const KernelTable* const> available_kernels() {
  static const std::span<const KernelTable* const> list = [] {
    const KernelTable* const* tables = loaded_kernel_tables();
    size_t count = 0;
    while (tables[count] != nullptr) ++count;
    return std::span(tables, count);
  }();
  return list;
}

#else

namespace {

struct Entry {
  const KernelTable* table;
  bool (*runs_here)();
};

#if defined(__x86_64__)
bool has_avx512_vnni() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }
#elif defined(__aarch64__) && defined(__linux__)
bool has_neon_dot() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#elif defined(__aarch64__)
bool has_neon_dot() { return true; }  // every ARM processor of Apple's computers
#endif
bool always() { return true; }

constexpr Entry kEntries[] = {
#if defined(__x86_64__)
    {&kAvx512VnniKernels, has_avx512_vnni},
    {&kAvx2Kernels, has_avx2},
#elif defined(__aarch64__)
    {&kNeonDotKernels, has_neon_dot},
#endif
    {&kScalarKernels, always},
};

}  // namespace

std::span<const KernelTable* const> available_kernels() {
  struct List {
    std::array<const KernelTable*, std::size(kEntries)> tables{};
    size_t count = 0;
    List() {
      for (const Entry& entry : kEntries) {
        if (entry.runs_here()) tables[count++] = entry.table;
      }
    }
  };
  static const List list;
  return {list.tables.data(), list.count};
}

#endif

const KernelTable* find_kernels(std::string_view name) {
  for (const KernelTable* table : available_kernels()) {
    if (name.empty() || table->name == name) return table;
  }
  return nullptr;
}

}  // namespace tessera

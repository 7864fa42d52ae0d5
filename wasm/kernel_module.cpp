// Owns the core's side of the kernel module: where its constants lie, and the question for its tables.
#include <emscripten/em_js.h>

#include <cstddef>

namespace {
constexpr size_t kDataBytes = 2048;
alignas(64) std::byte data[kDataBytes];
}  // namespace

/// Memory for the constants of a kernel module, at one address for all threads and there before anything is allocated. All zeros until
/// a module is loaded into it; null if it needs more.
extern "C" EMSCRIPTEN_KEEPALIVE std::byte* kernel_data(size_t bytes) { return bytes <= kDataBytes ? data : nullptr; }

/// As core/kernels/registry.cpp declares it.
EM_JS(const void*, loaded_kernel_tables, (), { return kernels.kernel_tables(); });

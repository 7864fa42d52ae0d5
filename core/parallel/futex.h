// Owns waiting for a 32-bit word: Linux futex, WebAssembly atomic.wait, std::atomic elsewhere.
#pragma once

#include <atomic>
#include <cstdint>

#if defined(__linux__) && !defined(__EMSCRIPTEN__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#endif

namespace tessera {

/// Between two looks at a word that another thread is about to change.
inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Sleeps while `word` holds `value`; may wake without cause.
inline void futex_wait(std::atomic<uint32_t>& word, uint32_t value) {
#if defined(__EMSCRIPTEN__)
  // libc++ polls here instead of sleeping, so the instruction is used directly. Not allowed on a page's main thread; the engine lives in a
  // worker.
  __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int*>(&word), static_cast<int>(value), -1);
#elif defined(__linux__)
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
#else
  word.wait(value);
#endif
}

/// Wakes every thread that sleeps on `word`.
inline void futex_wake_all(std::atomic<uint32_t>& word) {
#if defined(__EMSCRIPTEN__)
  __builtin_wasm_memory_atomic_notify(reinterpret_cast<int*>(&word), 0xffffffffu);
#elif defined(__linux__)
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
#else
  word.notify_all();
#endif
}

}  // namespace tessera

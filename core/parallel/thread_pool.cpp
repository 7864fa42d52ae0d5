#include "core/parallel/thread_pool.h"

#include <algorithm>
#include <chrono>

#include "core/parallel/futex.h"

namespace tessera {
namespace {

// Longer than the gap between two phases of a layer, short enough to cost nothing when idle.
constexpr double kSpinSeconds = 50e-6;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// How many looks at a word fit into kSpinSeconds on this machine: WebAssembly has no pause instruction, processors differ in theirs.
int measure_spins() {
  using Clock = std::chrono::steady_clock;
  const std::atomic<uint32_t> word{0};
  uint32_t changed = 0;  // stays 0; that it is used keeps the compiler from dropping the looks
  // A tab's clock may tick in steps of 5 microseconds, so several spins are measured; the loop ends in any case.
  for (int looks = 1024; looks < (1 << 22); looks *= 2) {
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < looks; ++i) {
      changed += word.load(std::memory_order_acquire);
      pause_cpu();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (seconds >= 4 * kSpinSeconds) return std::max(1, static_cast<int>(looks * (kSpinSeconds / seconds)) + static_cast<int>(changed));
  }
  return 1 << 20;
}

}  // namespace

ThreadPool::ThreadPool(int threads) : spins_(threads > 1 ? measure_spins() : 0) {
  for (int i = 1; i < threads; ++i) {
    pthread_t worker;
    auto* entry = +[](void* pool) -> void* {
      static_cast<ThreadPool*>(pool)->worker_loop();
      return nullptr;
    };
    // pthreads instead of std::thread: a refusal comes back as a number, not as an exception.
    if (pthread_create(&worker, nullptr, entry, this) != 0) break;
    workers_.push_back(worker);
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1);
  wake(epoch_);
  for (pthread_t worker : workers_) pthread_join(worker, nullptr);
}

// Spins first, then sleeps, until `word` differs from `value`. Sleeping is announced before the last look at the word and
// wake() looks after the word was changed (both sequentially consistent), so no wake-up is lost.
void ThreadPool::wait_for_change(std::atomic<uint32_t>& word, uint32_t value) {
  for (int spin = 0; spin < spins_; ++spin) {
    if (word.load(std::memory_order_acquire) != value) return;
    pause_cpu();
  }
  sleepers_.fetch_add(1);
  while (word.load() == value) futex_wait(word, value);
  sleepers_.fetch_sub(1);
}

void ThreadPool::wake(std::atomic<uint32_t>& word) {
  if (sleepers_.load() > 0) futex_wake_all(word);
}

void ThreadPool::run_erased(int tasks, TaskFn fn, const void* context) {
  if (workers_.empty() || tasks <= 1) {
    for (int task = 0; task < tasks; ++task) fn(context, task);
    return;
  }
  fn_ = fn;
  context_ = context;
  tasks_ = static_cast<uint32_t>(tasks);
  unfinished_.store(tasks_, std::memory_order_relaxed);
  const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(job << 32 | tasks_, std::memory_order_release);
  epoch_.fetch_add(1);
  wake(epoch_);
  work();
  for (uint32_t left = unfinished_.load(std::memory_order_acquire); left != 0; left = unfinished_.load(std::memory_order_acquire)) {
    wait_for_change(unfinished_, left);
  }
}

// Takes tasks until none is left, in order of their numbers.
void ThreadPool::work() {
  uint32_t finished = 0;
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(ticket) != 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    fn_(context_, static_cast<int>(tasks_ - static_cast<uint32_t>(ticket)));
    ++finished;
    ticket = ticket_.load(std::memory_order_acquire);
  }
  // What this thread did is reported at once at the end: until then the job cannot be over.
  if (finished > 0 && unfinished_.fetch_sub(finished) == finished) wake(unfinished_);
}

void ThreadPool::worker_loop() {
  uint32_t seen = 0;
  while (true) {
    wait_for_change(epoch_, seen);
    seen = epoch_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    work();
  }
}

}  // namespace tessera

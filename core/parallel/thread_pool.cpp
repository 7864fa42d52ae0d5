#include "core/parallel/thread_pool.h"

#include "core/parallel/futex.h"

namespace tessera {
namespace {

// About 20-50 microseconds: longer than the gap between two phases of a layer, short enough to cost nothing when idle.
constexpr int kSpins = 10000;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
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
  for (int spin = 0; spin < kSpins; ++spin) {
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
  tasks_ = tasks;
  next_task_.store(0, std::memory_order_relaxed);
  working_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1);
  wake(epoch_);
  work();
  // Every worker reports each epoch, so none can still be reading this job when the next one is written.
  for (uint32_t left = working_.load(std::memory_order_acquire); left != 0; left = working_.load(std::memory_order_acquire)) {
    wait_for_change(working_, left);
  }
}

void ThreadPool::work() {
  for (int task = next_task_.fetch_add(1, std::memory_order_relaxed); task < tasks_;
       task = next_task_.fetch_add(1, std::memory_order_relaxed)) {
    fn_(context_, task);
  }
}

void ThreadPool::worker_loop() {
  uint32_t seen = 0;
  while (true) {
    wait_for_change(epoch_, seen);
    seen = epoch_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    work();
    if (working_.fetch_sub(1) == 1) wake(working_);
  }
}

}  // namespace tessera

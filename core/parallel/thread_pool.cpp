#include "core/parallel/thread_pool.h"

#include <algorithm>
#include <chrono>

#include "core/parallel/futex.h"

namespace tessera {
namespace {

// Longer than the gap between two phases of a layer, short enough to cost nothing when idle.
constexpr std::chrono::microseconds kSpin{50};

// Looks at a word between two at the clock.
constexpr int kLooks = 256;

}  // namespace

ThreadPool::ThreadPool(int threads) : active_(static_cast<uint32_t>(std::max(threads, 1))) {
  workers_.reserve(static_cast<size_t>(active_.load()) - 1);
  shares_ = std::make_unique<Share[]>(active_.load());
  for (int i = 1; i < threads; ++i) {
    workers_.push_back({this, i, {}});
    auto* entry = +[](void* worker) -> void* {
      static_cast<Worker*>(worker)->pool->worker_loop(static_cast<Worker*>(worker)->index);
      return nullptr;
    };
    // pthreads instead of std::thread: a refusal comes back as a number, not as an exception.
    if (pthread_create(&workers_.back().thread, nullptr, entry, &workers_.back()) != 0) {
      workers_.pop_back();
      break;
    }
  }
  use(threads);
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  epoch_.fetch_add(1);
  use(team());
  futex_wake_all(epoch_);
  for (const Worker& worker : workers_) pthread_join(worker.thread, nullptr);
}

void ThreadPool::use(int threads) {
  active_.store(static_cast<uint32_t>(std::clamp(threads, 1, team())));
  futex_wake_all(active_);
}

// Spins first, then sleeps, until `word` differs from `value`. The time of spinning is taken from the clock: a count of looks would
// depend on how well a browser has compiled this loop so far. Sleeping is announced before the last look at the word and wake()
// looks after the word was changed (both sequentially consistent), so no wake-up is lost.
void ThreadPool::wait_for_change(std::atomic<uint32_t>& word, uint32_t value) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point end{};
  do {
    for (int look = 0; look < kLooks; ++look) {
      if (word.load(std::memory_order_acquire) != value) return;
      pause_cpu();
    }
    if (end == Clock::time_point{}) end = Clock::now() + kSpin;
  } while (Clock::now() < end);
  sleepers_.fetch_add(1);
  while (word.load() == value) futex_wait(word, value);
  sleepers_.fetch_sub(1);
}

void ThreadPool::wake(std::atomic<uint32_t>& word) {
  if (sleepers_.load() > 0) futex_wake_all(word);
}

void ThreadPool::run_erased(int tasks, const Task& task, const Task& own) {
  const bool alone = own.fn == nullptr;
  if (size() == 1 || tasks <= (alone ? 1 : 0)) {
    if (!alone) own.fn(own.context, 0);
    for (int i = 0; i < tasks; ++i) task.fn(task.context, i);
    return;
  }
  task_ = task;
  ++job_;
  unfinished_.store(static_cast<uint32_t>(tasks), std::memory_order_relaxed);
  const int threads = size();
  for (int i = 0, begin = 0; i < threads; ++i) {
    const auto end = static_cast<int>(int64_t{tasks} * (i + 1) / threads);
    shares_[i].end = static_cast<uint32_t>(end);
    shares_[i].ticket.store(uint64_t{job_} << 32 | static_cast<uint32_t>(end - begin), std::memory_order_release);
    begin = end;
  }
  epoch_.fetch_add(1);
  wake(epoch_);
  if (!alone) own.fn(own.context, 0);
  work(0);
  for (uint32_t left = unfinished_.load(std::memory_order_acquire); left != 0; left = unfinished_.load(std::memory_order_acquire)) {
    wait_for_change(unfinished_, left);
  }
}

// Takes tasks until none is left: those of its own share in order, then those of the next threads.
void ThreadPool::work(int index) {
  uint32_t finished = 0;
  const int threads = size();
  for (int i = 0; i < threads; ++i) {
    Share& share = shares_[(index + i) % threads];
    uint64_t ticket = share.ticket.load(std::memory_order_acquire);
    while (static_cast<uint32_t>(ticket) != 0) {
      if (!share.ticket.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      task_.fn(task_.context, static_cast<int>(share.end - static_cast<uint32_t>(ticket)));
      ++finished;
      ticket = share.ticket.load(std::memory_order_acquire);
    }
  }
  // What this thread did is reported at once at the end: until then the job cannot be over.
  if (finished > 0 && unfinished_.fetch_sub(finished) == finished) wake(unfinished_);
}

void ThreadPool::worker_loop(int index) {
  uint32_t seen = 0;
  while (true) {
    // Who is not in use sleeps apart from those that wait for work, so that waking these costs nothing more.
    for (uint32_t active = active_.load(); static_cast<uint32_t>(index) >= active && !stop_.load(); active = active_.load()) {
      futex_wait(active_, active);
    }
    wait_for_change(epoch_, seen);
    seen = epoch_.load(std::memory_order_acquire);
    if (stop_.load()) return;
    if (static_cast<uint32_t>(index) < active_.load(std::memory_order_relaxed)) work(index);
  }
}

}  // namespace tessera

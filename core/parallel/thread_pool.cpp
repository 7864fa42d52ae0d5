#include "core/parallel/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/parallel/futex.h"

namespace tessera {
namespace {

// Longer than the gap between two phases of a layer, short enough to cost nothing when idle.
constexpr std::chrono::microseconds kSpin{50};

// Looks between two at the clock. A browser's takes 0.4 µs, in which nobody looks, and a look there a nanosecond.
#if defined(__EMSCRIPTEN__)
constexpr int kLooks = 4096;
#else
constexpr int kLooks = 256;
#endif

}  // namespace

int usual_threads() { return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads); }

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
  use(team());
  for (const Worker& worker : workers_) pthread_join(worker.thread, nullptr);
}

void ThreadPool::use(int threads) {
  active_.store(static_cast<uint32_t>(std::clamp(threads, 1, team())));
  futex_wake_all(active_);
  wake_sleepers();
}

// Spins first, then sleeps, until over() says so. The time of spinning is taken from the clock: a count of looks would depend on how well
// a browser has compiled this loop so far. Sleeping is announced before the last look, and wake_sleepers() looks for sleepers after the
// change (all of it sequentially consistent), so no wake-up is lost.
template <class Over>
void ThreadPool::wait_until(const Over& over) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point end{};
  do {
    for (int look = 0; look < kLooks; ++look) {
      if (over()) return;
      pause_cpu();
    }
    if (end == Clock::time_point{}) end = Clock::now() + kSpin;
  } while (Clock::now() < end);
  sleepers_.fetch_add(1);
  for (uint32_t seen = changes_.load(); !over(); seen = changes_.load()) futex_wait(changes_, seen);
  sleepers_.fetch_sub(1);
}

void ThreadPool::wake_sleepers() {
  if (sleepers_.load() == 0) return;
  changes_.fetch_add(1);
  futex_wake_all(changes_);
}

void ThreadPool::run_erased(int tasks, const Task& task, const Task& own) {
  const bool alone = own.fn == nullptr;
  if (size() == 1 || tasks <= (alone ? 1 : 0)) {
    if (!alone) own.fn(own.context, 0);
    for (int i = 0; i < tasks; ++i) task.fn(task.context, i);
    return;
  }
  ++job_;
  goal_ += static_cast<uint32_t>(tasks);
  const int threads = size();
  for (int i = threads - 1; i >= 0; --i) {  // the caller, who is here already, last
    const int64_t begin = int64_t{tasks} * i / threads, end = int64_t{tasks} * (i + 1) / threads;
    Share& share = shares_[i];
    share.task = task;
    share.end = static_cast<uint32_t>(end);
    share.goal = goal_;
    share.ticket.store(uint64_t{job_} << 32 | static_cast<uint32_t>(end - begin));
  }
  wake_sleepers();
  if (!alone) own.fn(own.context, 0);
  work(0);
  wait_until([this] { return done_.load() == goal_; });
}

// Takes tasks until none is left: those of its own share in order, then those of the next threads.
void ThreadPool::work(int index) {
  uint32_t finished = 0, goal = 0;
  const int threads = size();
  for (int i = 0; i < threads; ++i) {
    Share& share = shares_[(index + i) % threads];
    uint64_t ticket = share.ticket.load(std::memory_order_acquire);
    while (static_cast<uint32_t>(ticket) != 0) {
      if (!share.ticket.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      goal = share.goal;
      share.task.fn(share.task.context, static_cast<int>(share.end - static_cast<uint32_t>(ticket)));
      ++finished;
      ticket = share.ticket.load(std::memory_order_acquire);
    }
  }
  // What this thread did is reported at once at the end: until then the job cannot be over.
  if (finished > 0 && done_.fetch_add(finished) + finished == goal) wake_sleepers();
}

void ThreadPool::worker_loop(int index) {
  const std::atomic<uint64_t>& ticket = shares_[index].ticket;
  const auto job = [&ticket] { return static_cast<uint32_t>(ticket.load() >> 32); };
  uint32_t seen = 0;
  while (true) {
    // Who is not in use sleeps apart from those that wait for work, so that waking these costs nothing more.
    for (uint32_t active = active_.load(); static_cast<uint32_t>(index) >= active && !stop_.load(); active = active_.load()) {
      futex_wait(active_, active);
    }
    wait_until([&] { return job() != seen || static_cast<uint32_t>(index) >= active_.load() || stop_.load(); });
    if (stop_.load()) return;
    if (static_cast<uint32_t>(index) >= active_.load()) continue;
    seen = job();
    work(index);
  }
}

}  // namespace tessera

// Owns the worker threads of one Engine and the only way work is spread over them.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace tessera {

/// As many threads as may be asked for.
inline constexpr int kMaxThreads = 64;
/// As many as the system names processors, 1…kMaxThreads.
int usual_threads();

/// A fixed team of threads: the caller and size() - 1 workers. Idle workers spin for some microseconds, then sleep in the
/// kernel (no CPU). run() waits for tasks, not for threads: a worker that the system keeps from running holds nobody up unless it
/// has a task. One run() at a time; run() may not be called from inside a task.
class ThreadPool {
 public:
  /// `threads` ≥ 1 in all; fewer are used when the system refuses to start one.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Threads that take part in run().
  int size() const { return static_cast<int>(active_.load(std::memory_order_relaxed)); }
  /// Threads there are.
  int team() const { return static_cast<int>(workers_.size()) + 1; }
  /// From now on the caller and `threads` - 1 of the workers take part (1…team(), more or less is clamped); the others sleep. Not
  /// during a run().
  void use(int threads);

  /// Calls fn(task) for every task in [0, tasks), each once, in any order and on any thread of the team; returns when all are
  /// done. What a task computes must not depend on who runs it. With one thread it is a plain loop.
  template <class Fn>
  void run(int tasks, const Fn& fn) {
    run_erased(tasks, {[](const void* context, int task) { (*static_cast<const Fn*>(context))(task); }, &fn}, {});
  }

  /// The same, and own() once on the calling thread, before it takes tasks: what only that thread may do, beside the others' work.
  template <class Fn, class Own>
  void run_beside(int tasks, const Fn& fn, const Own& own) {
    run_erased(tasks, {[](const void* context, int task) { (*static_cast<const Fn*>(context))(task); }, &fn},
               {[](const void* context, int) { (*static_cast<const Own*>(context))(); }, &own});
  }

 private:
  struct Task {
    void (*fn)(const void* context, int task) = nullptr;
    const void* context = nullptr;
  };
  void run_erased(int tasks, const Task& task, const Task& own);
  void work(int index);
  void worker_loop(int index);
  template <class Over>
  void wait_until(const Over& over);
  void wake_sleepers();

  struct Worker {
    ThreadPool* pool;
    int index;  ///< 1…; 0 is the caller
    pthread_t thread;
  };
  std::vector<Worker> workers_;  ///< never moves: each thread holds a pointer to its own

  /// A stretch of the current job's tasks. Each thread begins with a stretch of its own, so that what neighbouring tasks read (the rows
  /// of a matrix) is one stream of memory for it; who is done takes from the others. One cache line: the only one that its thread, which
  /// looks at the ticket while it waits, has to fetch before it begins.
  struct alignas(64) Share {
    /// Job number (upper half) and tasks not yet taken (lower half). Taking a task exchanges the whole word, so a thread that comes
    /// late, with the number of a job that is over, gets none.
    std::atomic<uint64_t> ticket{0};
    // Written while nobody holds a task of the job before, read only by holders of a task of this one.
    Task task;
    uint32_t end = 0;   ///< the task behind the last one
    uint32_t goal = 0;  ///< what done_ is at the end of the job
  };
  std::unique_ptr<Share[]> shares_;  ///< [team()]

  uint32_t job_ = 0;
  uint32_t goal_ = 0;  ///< all tasks of all jobs so far, modulo 2^32

  alignas(64) std::atomic<uint32_t> done_{0};     ///< tasks of all jobs that are done, modulo 2^32; run() waits for goal_
  alignas(64) std::atomic<uint32_t> changes_{0};  ///< grows when something has changed that a sleeper waits for
  std::atomic<uint32_t> active_;                  ///< threads in use; the others wait for the change
  std::atomic<uint32_t> sleepers_{0};             ///< threads in the kernel; nobody is woken when it is zero
  std::atomic<bool> stop_{false};
};

}  // namespace tessera

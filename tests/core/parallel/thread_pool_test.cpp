// Every task runs exactly once, whatever the number of threads and tasks; pools start, sleep and stop cleanly.
#include "core/parallel/thread_pool.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "doctest/doctest.h"

namespace tessera {

TEST_CASE("each task runs once for any number of threads and tasks") {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    for (int tasks : {0, 1, 2, 5, 64, 1000}) {
      std::vector<std::atomic<int>> runs(tasks);
      pool.run(tasks, [&](int task) { runs[task].fetch_add(1); });
      for (const auto& count : runs) REQUIRE(count.load() == 1);
    }
  }
}

TEST_CASE("what the caller does itself is done once, on its own thread, while others work") {
  for (int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    for (int tasks : {0, 1, 2, 100}) {
      CAPTURE(tasks);
      int own = 0;
      std::atomic<int> runs{0};
      pool.run_beside(
          tasks, [&](int) { runs.fetch_add(1); },
          [&, caller = std::this_thread::get_id()] { own += std::this_thread::get_id() == caller; });
      CHECK(own == 1);
      CHECK(runs.load() == tasks);
    }
  }
  ThreadPool pool(2);
  std::atomic<bool> done{false};
  pool.run_beside(
      1, [&](int) { done.store(true); },
      [&] {
        while (!done.load()) std::this_thread::yield();  // ends only if somebody else does the task
      });
  CHECK(done.load());
}

TEST_CASE("results of one run are visible to the next, over many short runs") {
  ThreadPool pool(3);
  std::vector<int> values(17, 0);
  for (int round = 0; round < 20000; ++round) pool.run(17, [&](int task) { values[task] += 1; });
  for (int value : values) CHECK(value == 20000);
}

TEST_CASE("only the threads in use take part, and the others come back") {
  ThreadPool pool(4);
  CHECK(pool.team() == 4);
  for (const int threads : {4, 1, 3, 2, 4}) {
    CAPTURE(threads);
    pool.use(threads);
    CHECK(pool.size() == threads);
    for (int round = 0; round < 50; ++round) {
      std::mutex mutex;
      std::set<std::thread::id> seen;
      pool.run(64, [&](int) {
        const std::lock_guard lock(mutex);
        seen.insert(std::this_thread::get_id());
      });
      REQUIRE(seen.size() <= static_cast<size_t>(threads));
    }
  }
  pool.use(2);
  std::atomic<int> together{0};
  pool.run(2, [&](int) {  // each waits for the other: one thread alone would never end this
    together.fetch_add(1);
    while (together.load() < 2) std::this_thread::yield();
  });
  pool.use(0);
  CHECK(pool.size() == 1);
  pool.use(9);
  CHECK(pool.size() == 4);
  pool.use(1);  // and ends while three of them sleep
}

TEST_CASE("sleeping workers wake up") {
  ThreadPool pool(2);
  std::atomic<int> count{0};
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // longer than any spin
    pool.run(4, [&](int) { count.fetch_add(1); });
  }
  CHECK(count.load() == 20);
}

}  // namespace tessera

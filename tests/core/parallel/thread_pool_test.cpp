// Every task runs exactly once, whatever the number of threads and tasks; pools start, sleep and stop cleanly.
#include "core/parallel/thread_pool.h"

#include <atomic>
#include <chrono>
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

TEST_CASE("results of one run are visible to the next, over many short runs") {
  ThreadPool pool(3);
  std::vector<int> values(17, 0);
  for (int round = 0; round < 20000; ++round) pool.run(17, [&](int task) { values[task] += 1; });
  for (int value : values) CHECK(value == 20000);
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

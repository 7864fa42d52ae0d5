#include "core/engine/tune.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/engine/token_products.h"
#include "core/kernels/kernels.h"
#include "core/parallel/thread_pool.h"

namespace tessera {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBatch = 8;  // tokens of the batch that stands for reading a prompt
constexpr double kKernelMs = 50, kKernelWarmUpMs = 25, kThreadsMs = 20;
// Too many threads have no good round. But up to half of the rounds with just enough are bad ones while a model loads for the first time,
// as the browser still compiles and draws then.
constexpr double kThreadsRank = 0.25;
constexpr int kWarmUpRounds = 6, kLeastRounds = 5, kMostRounds = 31;
constexpr int kMostChoices = 8;
constexpr uint64_t kStreamBytes = uint64_t{48} << 20;
constexpr int kStreamRounds = 4;
// A choice that comes later in the list must be this much faster than the best before it: a trial is not exact.
constexpr double kMargin = 0.95;
// So much for more threads than processors. While another program wants them too, they get more of the processors between them, and are
// slower than just enough as soon as it is gone; where a browser names fewer processors than there are, they gain more than that.
constexpr double kWideMargin = 0.75;

double milliseconds_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

// What one choice took, round by round, milliseconds.
struct Times {
  std::array<double, kMostRounds> batch, token;
};

// The value of that rank among the first `count`, 0 = least. (std::sort would be two kilobytes of a downloaded module.)
double ranked(const std::array<double, kMostRounds>& values, int count, int rank) {
  for (int i = 0; i < count; ++i) {
    int smaller = 0;
    for (int j = 0; j < count; ++j) smaller += values[j] < values[i] || (values[j] == values[i] && j < i);
    if (smaller == rank) return values[i];
  }
  return 0;
}

void measure(Session& session, Times& times, int round) {
  const Clock::time_point start = Clock::now();
  session.rehearse(kBatch, 1);
  times.batch[round] = milliseconds_since(start);
  session.rehearse(1, 4);
  times.token[round] = milliseconds_since(start) - times.batch[round];
}

// Lets the choices take turns until `milliseconds` are over; use(i) switches to one of them. Returns the one with the least sum of both
// times, each relative to that of the first; the first of those that are about as good. `rank` says which of its times counts, from the
// best, 0, to the worst, 1. Choices from `unlikely` on must be clearly better.
int try_all(Session& session, int choices, double milliseconds, double rank, const std::function<void(int)>& use,
            int unlikely = kMostChoices) {
  std::array<Times, kMostChoices> times;
  const Clock::time_point start = Clock::now();
  int round = 0;
  for (; round < kLeastRounds || (round < kMostRounds && milliseconds_since(start) < milliseconds); ++round) {
    for (int i = 0; i < choices; ++i) {
      use(i);
      measure(session, times[i], round);
    }
  }
  const auto time = [&](const std::array<double, kMostRounds>& all) { return ranked(all, round, static_cast<int>(rank * round)); };
  int best = 0;
  double least = 2;
  for (int i = 1; i < choices; ++i) {
    const double sum = time(times[i].batch) / time(times[0].batch) + time(times[i].token) / time(times[0].token);
    if (!(sum < (i < unlikely ? kMargin : kWideMargin) * least)) continue;  // nor when a coarse clock saw no time pass
    best = i;
    least = sum;
  }
  return best;
}

void try_kernels(Engine& engine, Session& session) {
  const std::vector<std::string> names = engine.kernel_choices();
  const int choices = std::min(static_cast<int>(names.size()), kMostChoices);
  if (choices < 2) return;
  const int threads = engine.info().threads;
  const auto use = [&](int i) { (void)engine.use(names[i], 1); };
  // A browser compiles a kernel well only when it has run for some milliseconds.
  const Clock::time_point start = Clock::now();
  Times warm_up;
  for (int round = 0; round < kWarmUpRounds || milliseconds_since(start) < kKernelWarmUpMs; ++round) {
    use(round % choices);
    measure(session, warm_up, 0);
  }
  const int best = try_all(session, choices, kKernelMs - kKernelWarmUpMs, 0, use);
  (void)engine.use(names[best], threads);
}

// As many threads as there are processors, one less (a core for everybody else), then halves. The fewest are the first choice, so more of
// them must help. More threads than that are tried last, as they disturb what runs after them.
void try_threads(Engine& engine, Session& session, int processors) {
  const int all = engine.info().threads;
  const int usual = std::min(all, processors);
  std::array<int, kMostChoices> room{usual};
  int count = 1;
  if (usual - 1 > usual / 2) room[count++] = usual - 1;
  for (int half = usual / 2; half > 0; half /= 2) room[count++] = half;
  const std::span<int> upwards(room.data(), count);
  std::ranges::reverse(upwards);
  const auto use = [&](int threads) { (void)engine.use(engine.info().kernels, threads); };
  // The best of these numbers; from `unlikely` on they must be clearly better.
  const auto best_of = [&](std::span<const int> threads, int unlikely) {
    const int choices = static_cast<int>(threads.size());
    return threads[try_all(session, choices, kThreadsMs * choices, kThreadsRank, [&](int i) { use(threads[i]); }, unlikely)];
  };
  // The choice is kept for a while: what is not usual must win twice, since another program may have had the processors in the first trial.
  int best = usual;
  if (count > 1) best = best_of(upwards, count);
  if (best < usual) best = std::max(best, best_of(upwards, count));
  if (usual < all) {
    const int pair[] = {best, all};
    if (best_of(pair, 1) == all) best = best_of(pair, 1);
  }
  use(best);
}

// Whether several streams of weights are faster than one is a matter of the processor's caches and of what fetches ahead, so weights are
// read that no cache holds. Where that is too little to tell, several stay, as they do when a coarse clock saw no time pass.
Result<void> try_streams(Engine& engine) {
  const Result<TokenProducts> products = TokenProducts::create(engine, kStreamBytes);
  if (!products) return products.error();
  if (products.value().bytes() < kStreamBytes) return {};
  std::array<double, 2> best{1e9, 1e9};
  for (int round = 0; round <= kStreamRounds; ++round) {
    for (const int choice : {0, 1}) {
      engine.use_streams(choice == 0 ? kMostStreams : 1);
      const Clock::time_point start = Clock::now();
      products.value().run();
      if (round > 0) best[choice] = std::min(best[choice], milliseconds_since(start));  // the first is compiled meanwhile
    }
  }
  engine.use_streams(best[1] < kMargin * best[0] ? 1 : kMostStreams);
  return {};
}

}  // namespace

Result<void> tune(Engine& engine, Session& session, const TuneOptions& options) {
  if (options.streams != 0 && options.streams != 1 && options.streams != kMostStreams) {
    return Error{ErrorCode::kInvalidArgument,
                 "streams is " + std::to_string(options.streams) + ", expected 1 or " + std::to_string(kMostStreams) + ", or 0 to try both",
                 ""};
  }
  const std::string kernels = options.kernels.empty() ? engine.info().kernels : options.kernels;
  if (Result<void> used = engine.use(kernels, options.threads > 0 ? options.threads : engine.pool().team()); !used) {
    return used;
  }
  if (options.streams > 0) engine.use_streams(options.streams);
  if (options.kernels.empty()) try_kernels(engine, session);
  if (options.threads == 0) try_threads(engine, session, options.processors > 0 ? options.processors : usual_threads());
  return options.streams > 0 ? Result<void>() : try_streams(engine);
}

}  // namespace tessera

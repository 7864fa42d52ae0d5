#include "core/engine/roofline.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "core/engine/token_products.h"
#include "core/model/model.h"
#include "core/ops/read_rate.h"

namespace tessera {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLeastPasses = 8;
// Passes over a tiny model are shorter than another program keeps a core.
constexpr std::chrono::milliseconds kLeastTime{20};

double best_rate(const std::function<void()>& pass) {
  const Clock::time_point begin = Clock::now();
  double best = 0;
  for (int i = 0; i < kLeastPasses || Clock::now() - begin < kLeastTime; ++i) {
    const Clock::time_point start = Clock::now();
    pass();
    best = std::max(best, 1.0 / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

Result<Roofline> measure_roofline(const Engine& engine) {
  const Result<TokenProducts> products = TokenProducts::create(engine);
  if (!products) return products.error();
  Roofline roofline;
  roofline.token_bytes = products.value().bytes();
  if (roofline.token_bytes == 0) return roofline;
  roofline.products_tps = best_rate([&] { products.value().run(); });
  // The weights lie in one block; as much of it as a token reads.
  const AlignedBuffer& storage = engine.model().weights.storage;
  const std::span<const std::byte> bytes(storage.as<std::byte>(), storage.size());
  volatile uint64_t sum = 0;
  roofline.reading_tps =
      best_rate([&] { sum = sum + read_all(engine.pool(), bytes.first(std::min<size_t>(bytes.size(), roofline.token_bytes))); });
  return roofline;
}

}  // namespace tessera

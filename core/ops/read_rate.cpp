#include "core/ops/read_rate.h"

#include <algorithm>
#include <atomic>

namespace tessera {

uint64_t read_all(ThreadPool& pool, std::span<const std::byte> bytes) {
  constexpr size_t kPieceWords = 1 << 15;
  const auto* words = reinterpret_cast<const uint64_t*>(bytes.data());
  const size_t count = bytes.size() / sizeof(uint64_t);
  std::atomic<uint64_t> total{0};
  pool.run(static_cast<int>((count + kPieceWords - 1) / kPieceWords), [&](int piece) {
    const size_t first = static_cast<size_t>(piece) * kPieceWords, end = std::min(count, first + kPieceWords);
    uint64_t sums[8] = {};  // several, so that no addition waits for the one before
    size_t i = first;
    for (; i + 8 <= end; i += 8) {
      for (int j = 0; j < 8; ++j) sums[j] += words[i + static_cast<size_t>(j)];
    }
    for (; i < end; ++i) sums[0] += words[i];
    uint64_t sum = 0;
    for (const uint64_t part : sums) sum += part;
    total.fetch_add(sum, std::memory_order_relaxed);
  });
  return total.load();
}

}  // namespace tessera

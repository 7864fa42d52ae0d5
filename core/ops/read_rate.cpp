#include "core/ops/read_rate.h"

#include <algorithm>
#include <atomic>

#include "core/kernels/kernels.h"

namespace tessera {

uint64_t read_all(ThreadPool& pool, std::span<const std::byte> bytes) {
  constexpr size_t kPieceWords = 1 << 15;
  const auto* words = reinterpret_cast<const uint64_t*>(bytes.data());
  const size_t count = bytes.size() / sizeof(uint64_t);
  std::atomic<uint64_t> total{0};
  pool.run(static_cast<int>((count + kPieceWords - 1) / kPieceWords), [&](int piece) {
    const size_t first = static_cast<size_t>(piece) * kPieceWords, end = std::min(count, first + kPieceWords);
    // In streams, as products read them, and with sums of their own, so that no addition waits for the one before.
    constexpr size_t kStreams = kMostStreams, kWords = 2;
    uint64_t sums[kStreams][kWords] = {};
    const size_t stretch = (end - first) / (kStreams * kWords) * kWords;
    for (size_t i = first; i < first + stretch; i += kWords) {
      for (size_t stream = 0; stream < kStreams; ++stream) {
        for (size_t j = 0; j < kWords; ++j) sums[stream][j] += words[i + stream * stretch + j];
      }
    }
    uint64_t sum = 0;
    for (size_t i = first + kStreams * stretch; i < end; ++i) sum += words[i];
    for (const auto& stream : sums) {
      for (const uint64_t part : stream) sum += part;
    }
    total.fetch_add(sum, std::memory_order_relaxed);
  });
  return total.load();
}

}  // namespace tessera

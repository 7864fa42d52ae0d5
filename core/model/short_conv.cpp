#include "core/model/short_conv.h"

#include <algorithm>

namespace tessera {
namespace {

// Without the promise the compiler would have to expect that one row overlaps another.
void multiply(const float* __restrict a, const float* __restrict b, int64_t n, float* __restrict out) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] * b[i];
}

void add_product(const float* __restrict a, const float* __restrict b, int64_t n, float* __restrict sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] = sums[i] + a[i] * b[i];
}

void scale(const float* __restrict factors, int64_t n, float* __restrict values) {
  for (int64_t i = 0; i < n; ++i) values[i] = factors[i] * values[i];
}

}  // namespace

void short_conv(const Config& config, KvCache& cache, const ShortConvBatch& batch, int64_t begin, int64_t end) {
  const int64_t width = config.width, n = end - begin;
  for (int t = 0; t < batch.tokens; ++t) {
    const int position = batch.first + t, oldest = position - config.conv_length + 1;
    const float* b = batch.mixed + t * 3 * width + begin;
    const float *c = b + width, *x = c + width;
    float* y = batch.out + t * width + begin;
    multiply(b, x, n, cache.conv_input(batch.layer, position) + begin);
    std::fill_n(y, n, 0.0f);
    for (int seen = std::max(0, oldest); seen <= position; ++seen) {
      add_product(batch.taps + (seen - oldest) * width + begin, cache.conv_input(batch.layer, seen) + begin, n, y);
    }
    scale(c, n, y);
  }
}

}  // namespace tessera

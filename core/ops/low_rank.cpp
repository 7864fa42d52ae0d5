#include "core/ops/low_rank.h"

#include <algorithm>

namespace tessera {

void low_rank_inner(const LowRank& term, const float* x, float* t) {
  std::fill_n(t, term.rank, 0.0f);
  const float* column = term.a;
  for (int64_t i = 0; i < term.width; ++i, column += term.rank) {
    for (int k = 0; k < term.rank; ++k) t[k] = t[k] + column[k] * x[i];
  }
}

void low_rank_add(const LowRank& term, const float* t, float scale, int64_t first, int64_t end, float* y) {
  constexpr int64_t kSpan = 64;  // sums that stay in registers or the nearest cache
  for (int64_t at = first; at < end; at += kSpan) {
    const int count = static_cast<int>(std::min(kSpan, end - at));
    float sums[kSpan] = {};
    for (int k = 0; k < term.rank; ++k) {
      const float* line = term.b + k * term.rows + at;
      for (int r = 0; r < count; ++r) sums[r] = sums[r] + line[r] * t[k];
    }
    for (int r = 0; r < count; ++r) y[at + r] = y[at + r] + scale * sums[r];
  }
}

}  // namespace tessera

// Owns the gated short convolution that takes attention's place in some layers (LFM2, Liquid AI 2025).
//
// The arithmetic, part of the one arithmetic of kernels.h. At position p each channel's input u = b · x goes into the history, then
//   s = 0;  s = s + taps[j] · u[p - length + 1 + j] for j = 0 … length - 1, without positions before the first;  y = c · s
// with each product and sum rounded on its own. A channel depends on no other, so tasks may take any range of them.
#pragma once

#include <cstdint>

#include "core/model/config.h"
#include "core/model/kv_cache.h"

namespace tessera {

/// What a short convolution reads and writes for one batch.
struct ShortConvBatch {
  int layer = 0;
  int first = 0;  ///< position of the first token
  int tokens = 0;
  const float* taps = nullptr;   ///< [conv_length][width]
  const float* mixed = nullptr;  ///< [tokens][b, c, x][width]
  float* out = nullptr;          ///< [tokens][width]
};

/// Channels [begin, end) of all tokens. Their inputs go into the cache; those of the positions before are there.
void short_conv(const Config& config, KvCache& cache, const ShortConvBatch& batch, int64_t begin, int64_t end);

}  // namespace tessera

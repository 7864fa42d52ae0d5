// Owns the measure that decoding is held against: the same weights multiplied, and only read, with nothing in between.
#pragma once

#include "core/base/result.h"
#include "core/engine/engine.h"

namespace tessera {

/// Passes over the weights that a decoded token reads, per second, with the engine's kernels and threads.
struct Roofline {
  double products_tps = 0;   ///< every matrix of the layers, in one phase, then the output matrix, times one quantised row
  double reading_tps = 0;    ///< the same bytes only read
  uint64_t token_bytes = 0;  ///< of those weights
};

/// The best of some passes, as nothing makes a pass too fast. All zeros for models with experts, whose tokens read different weights.
/// kOutOfMemory.
Result<Roofline> measure_roofline(const Engine& engine);

}  // namespace tessera

// Owns the border between two ranges of layers of one model: how the later one hears of what the earlier one computed.
#pragma once

#include <cstdint>
#include <span>

namespace tessera {

/// The layers before those of this memory (LayerRange), with K and V of their own, in another memory. Used by one thread.
class Upstream {
 public:
  virtual ~Upstream() = default;

  /// Begins a batch, and forgets one that is not done: `tokens` (1…Workspace::kMaxBatch) at the positions from `position` on, whose
  /// predecessors it has computed. It forgets what it knows of later positions.
  virtual void begin(int position, std::span<const int32_t> tokens) = 0;

  /// Computes the next of its layers, the ones before them among these.
  virtual void step() = 0;

  /// After as many steps as there are layers before those of this memory: copies the residual stream behind them into x [tokens][width].
  virtual void read(std::span<float> x) = 0;
};

}  // namespace tessera

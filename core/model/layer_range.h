// Owns which layers of a model one memory holds.
#pragma once

#include <algorithm>
#include <limits>

namespace tessera {

/// Layers [first, end) of a model. A model that is too large for one memory lies in several, each with a range of its own: the one with
/// the first layers has the token embedding, the one with the last layers the output matrix.
struct LayerRange {
  int first = 0;
  int end = std::numeric_limits<int>::max();  ///< beyond the model's last layer: all that follow `first`

  bool holds(int layer) const { return layer >= first && layer < end; }
  int end_in(int layers) const { return std::min(end, layers); }  ///< of a model with so many
  bool has_embedding() const { return first == 0; }
  bool has_output(int layers) const { return end >= layers; }
};

}  // namespace tessera

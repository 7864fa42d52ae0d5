// Owns the matrix products of a single token with nothing between them, over an input that means nothing: what rooflines and trials run.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/result.h"
#include "core/engine/engine.h"
#include "core/ops/linear.h"

namespace tessera {

class TokenProducts {
 public:
  /// The matrices of the layers and the output matrix, in this order, up to the one with which they have `most_bytes`. None of a model with
  /// experts, whose tokens read different weights. Not for longer than the engine. kOutOfMemory.
  static Result<TokenProducts> create(const Engine& engine, uint64_t most_bytes = UINT64_MAX);

  /// Of the packed weights.
  uint64_t bytes() const { return bytes_; }
  /// Computes all of them: those of the layers in one phase, then that of the output matrix, whose many rows are tasks of their own.
  void run() const;

 private:
  explicit TokenProducts(const Engine& engine) : engine_(&engine) {}
  const Engine* engine_;
  std::vector<Product> products_;
  size_t layers_ = 0;  ///< of the products, those of layers
  uint64_t bytes_ = 0;
  AlignedBuffer floats_;  ///< the input row and the results
  InputBuffer input_;
};

}  // namespace tessera

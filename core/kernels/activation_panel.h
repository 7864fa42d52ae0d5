// Owns the two forms in which a product reads activations: one token where it lies, or a few tokens side by side.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/kernels/kernels.h"

namespace tessera {

/// What the tails of all formats need to know of a block of one token's activations.
struct ActivationBlock {
  float scale;
  float scaled_sum;
  int32_t half_sums[2];
};

/// One token, in place. Blocks count from the start of its row.
template <class ActCode>
class OneToken {
 public:
  static constexpr int kTokens = 1;

  OneToken(const Activations& x, int token)
      : codes_(reinterpret_cast<const ActCode*>(x.codes) + token * x.width),
        scales_(x.scales + token * (x.width / kActivationBlock)),
        scaled_sums_(x.scaled_sums + token * (x.width / kActivationBlock)),
        half_sums_(x.half_sums + 2 * token * (x.width / kActivationBlock)) {}

  const ActCode* codes(int64_t block, int) const { return codes_ + block * kActivationBlock; }
  ActivationBlock tail(int64_t block, int) const {
    return {scales_[block], scaled_sums_[block], {half_sums_[2 * block], half_sums_[2 * block + 1]}};
  }

 private:
  const ActCode* codes_;
  const float* scales_;
  const float* scaled_sums_;
  const int32_t* half_sums_;
};

/// Some blocks of kCount tokens, with the codes as `Dots` wants them, laid out so that all of them are read through one pointer: with four
/// pointers a token, processors that have sixteen registers spent a tenth of a product on fetching pointers. Blocks count from the first
/// that was taken.
template <class Dots, int kCount>
class ActivationPanel {
 public:
  using Code = typename Dots::PanelCode;
  static constexpr int kTokens = kCount;
  /// A multiple of every super-block. 24 KB of 8-bit codes, which stay in the processor's first cache.
  static constexpr int kMaxBlocks = 512 / kTokens;

  /// Takes blocks [first, end) of tokens [token, token + kTokens) of `x`.
  void take(const Activations& x, int token, int64_t first, int64_t end) {
    const int64_t row = x.width / kActivationBlock;
    for (int64_t b = first; b < end; ++b) {
      Block& block = blocks_[b - first];
      for (int t = 0; t < kTokens; ++t) {
        const int64_t at = (token + t) * row + b;
        Dots::panel_codes(reinterpret_cast<const typename Dots::ActCode*>(x.codes) + at * kActivationBlock, block.codes[t]);
        block.tails[t] = {x.scales[at], x.scaled_sums[at], {x.half_sums[2 * at], x.half_sums[2 * at + 1]}};
      }
    }
  }

  const Code* codes(int64_t block, int token) const { return blocks_[block].codes[token]; }
  const ActivationBlock& tail(int64_t block, int token) const { return blocks_[block].tails[token]; }

 private:
  struct Block {
    Code codes[kTokens][kActivationBlock];
    ActivationBlock tails[kTokens];
  };
  Block blocks_[kMaxBlocks];
};

}  // namespace tessera

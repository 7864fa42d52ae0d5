// Owns the two forms in which a product reads activations: one token where it lies, or a few tokens side by side.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/kernels/kernels.h"

namespace tessera {

/// What the products of all formats need to know of a block of one token's activations, beside its codes.
struct ActivationBlock {
  float scale;
  float scaled_sum;
  /// Of the codes of each half, or of all in the first where a block's halves have one scale. Where the weights' codes have an offset,
  /// times minus that: what their dots begin with or get added (BlockLoops).
  int32_t sums[2];
};

/// One token, in place, for the BlockLoops of a format. Blocks count from the start of its row.
template <class Loops>
class OneToken {
 public:
  using ActCode = typename Loops::Plain::Code;
  static constexpr int kTokens = 1;

  OneToken(const Activations& x, int token)
      : codes_(reinterpret_cast<const ActCode*>(x.codes) + token * x.width),
        scales_(x.scales + token * (x.width / kActivationBlock)),
        scaled_sums_(x.scaled_sums + token * (x.width / kActivationBlock)),
        half_sums_(x.half_sums + 2 * token * (x.width / kActivationBlock)) {}

  /// Activations 4·word … 4·word+3 of a block.
  auto act(int64_t block, int, int word) const { return Loops::Plain::load(codes_ + block * kActivationBlock + 4 * word); }
  ActivationBlock tail(int64_t block, int) const {
    return Loops::activation_block(scales_[block], scaled_sums_[block], half_sums_ + 2 * block);
  }

 private:
  const ActCode* codes_;
  const float* scales_;
  const float* scaled_sums_;
  const int32_t* half_sums_;
};

/// Some blocks of kCount tokens, with the codes in the form that the dots of `Loops` want, laid out so that all of them are read through
/// one pointer: with four pointers a token, processors that have sixteen registers spent a tenth of a product on fetching pointers. Blocks
/// count from the first that was taken.
template <class Loops, int kCount>
class ActivationPanel {
  using Form = typename Loops::Dots::PanelForm;
  struct Block {
    typename Form::Code codes[kCount][kActivationBlock];
    ActivationBlock tails[kCount];
  };

 public:
  static constexpr int kTokens = kCount;
  /// A multiple of every super-block. Most of so many bytes stays in the processor's first cache.
  static constexpr size_t kMostBytes = sizeof(typename Form::Code) > 2 ? 42 << 10 : 28 << 10;
  static constexpr int kMaxBlocks = static_cast<int>(kMostBytes / sizeof(Block) / 8 * 8);

  /// Takes blocks [first, end) of tokens [token, token + count) of `x`; the last one again and again in place of those beyond.
  void take(const Activations& x, int token, int count, int64_t first, int64_t end) {
    const int64_t row = x.width / kActivationBlock;
    for (int64_t b = first; b < end; ++b) {
      Block& block = blocks_[b - first];
      for (int t = 0; t < kTokens; ++t) {
        const int64_t at = (token + std::min(t, count - 1)) * row + b;
        Form::make(reinterpret_cast<const typename Loops::Plain::Code*>(x.codes) + at * kActivationBlock, block.codes[t]);
        block.tails[t] = Loops::activation_block(x.scales[at], x.scaled_sums[at], x.half_sums + 2 * at);
      }
    }
  }

  auto act(int64_t block, int token, int word) const { return Form::load(blocks_[block].codes[token] + 4 * word); }
  const ActivationBlock& tail(int64_t block, int token) const { return blocks_[block].tails[token]; }

 private:
  Block blocks_[kMaxBlocks];
};

}  // namespace tessera

// Owns what layers keep of the positions a session has computed: keys and values, or inputs of a short convolution.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/result.h"
#include "core/kernels/kernels.h"
#include "core/model/config.h"
#include "core/model/kv_type.h"
#include "core/model/layer_range.h"

namespace tessera {

/// K and V of every position and layer, or of a range of layers: [layer][kv_head][block][K, V], which attention reads from one end to the
/// other: with K and V apart it waited for memory twice as long. A block is kAttentionChunk positions in the panels of CacheChunk, or in a
/// Q16_8 cache kAttentionSegment positions in those of QuantizedSegment. A sliding-window layer has a ring of blocks: its window and
/// kMargin positions. A layer that shares K and V reads those of Config::kv_layer. A short convolution has a ring of f32 rows instead: what
/// it sees before a batch and kMargin positions. Rows are written once, in position order; truncate() only forgets. Writing different
/// positions from several threads (of different panels, which share cache lines) and reading written ones is safe.
class KvCache {
 public:
  /// Longest heads that F16 and Q8_0 caches take, so that callers can keep their scratch rows on the stack.
  static constexpr int kMaxWidenedHeadDim = 512;

  /// Positions that a ring keeps besides what its layer sees, so that a batch can be written before it is read and a timeline can be
  /// taken back a little: the longest batch, and the least that truncate() can always forget.
  static constexpr int kMargin = 256;

  /// kOutOfMemory with the number of bytes; kUnsupported when the heads' length does not fit the type.
  static Result<KvCache> create(const Config& config, int capacity, KvType type, const LayerRange& range = {});
  static uint64_t bytes(const Config& config, int capacity, KvType type, const LayerRange& range = {});
  /// kUnsupported when the heads' length does not fit the type.
  static Result<void> check(const Config& config, KvType type);

  int capacity() const { return capacity_; }
  int size() const { return size_; }  ///< positions held
  KvType type() const { return type_; }

  /// Must come before the rows of positions up to `end` are written, at most kMargin of them behind size().
  void prepare(int end) { written_ = end > written_ ? end : written_; }
  /// Writes one head of a token: k and v [head_dim] of KV head `kv_head` of `layer`, which has its own, at `position` ≥ size(). Heads may
  /// be written by several threads; so may positions that do not lie in the same 16.
  void write(const KernelTable& kernels, int layer, int position, int kv_head, const float* k, const float* v);
  /// The input [width] of a layer's short convolution at one position: to be written, or written before. Channels may be written apart.
  float* conv_input(int layer, int position);
  /// All layers of the positions up to `size` are written now.
  void commit(int size) { size_ = size; }
  /// Forgets the positions from `size` on. Needs holds(size).
  void truncate(int size);
  /// Whether everything that a token at position `size` sees is still there: rings may have overwritten it, those that another
  /// memory holds included, as long as that has been written in the same order.
  bool holds(int size) const;

  /// The chunk of one head that begins at `first`, a multiple of kAttentionChunk. F32 caches give their own memory; others are
  /// widened into `scratch` [2 · kAttentionChunk · head_dim].
  CacheChunk chunk(const KernelTable& kernels, int layer, int kv_head, int first, float* scratch) const;

  /// Q16_8 caches: the segment of one head that begins at `first`, a multiple of kAttentionSegment.
  QuantizedSegment segment(int layer, int kv_head, int first) const;
  /// Q16_8 caches: the largest code of a layer's keys, and of the queries that attend to them.
  int score_code(int layer) const { return layers_[layer].score_code; }

 private:
  enum Side { kKeys, kValues };
  // Where a layer's blocks lie, and of what length they are.
  struct LayerRing {
    uint64_t at;  // byte of the cache; of no meaning outside the range
    int blocks;   // of each KV head's K, and of its V; rows of a short convolution
    int head_dim, score_code;
  };
  KvCache(const Config& config, int capacity, KvType type, const LayerRange& range);
  std::byte* block_at(int layer, Side side, int kv_head, int position) const;
  void write_codes(const KernelTable& kernels, const LayerRing& ring, const float* k, const float* v, int slot, std::byte* keys,
                   std::byte* values) const;
  void write_row(const KernelTable& kernels, const float* from, int head_dim, Side side, int slot, std::byte* chunk) const;
  void widen(const KernelTable& kernels, const std::byte* chunk, int head_dim, Side side, float* out) const;

  int capacity_, size_ = 0, written_ = 0;  // written_: end of the positions ever written since the cache was empty
  int window_, window_blocks_ = 0;         // ring of the window layers; 0 blocks: they keep everything
  int conv_length_, conv_rows_ = 0;        // ring of the short convolutions; 0 rows: there are none
  std::vector<LayerRing> layers_;
  KvType type_;
  int width_;
  AlignedBuffer memory_;
};

}  // namespace tessera

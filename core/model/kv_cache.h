// Owns the keys and values of the positions a session has computed.
#pragma once

#include <cstdint>

#include "core/base/aligned_buffer.h"
#include "core/base/result.h"
#include "core/kernels/kernels.h"
#include "core/model/config.h"
#include "core/model/kv_type.h"

namespace tessera {

/// K and V of every layer and position: [layer][K, V][kv_head][chunk], a chunk being kAttentionChunk positions in the
/// panels of CacheChunk. Rows are written once, in position order; truncate() only forgets. Writing different positions from several
/// threads and reading written ones is safe.
class KvCache {
 public:
  /// Longest heads that F16 and Q8_0 caches take, so that callers can keep their scratch rows on the stack.
  static constexpr int kMaxWidenedHeadDim = 256;

  /// kOutOfMemory with the number of bytes; kUnsupported when head_dim does not fit the type.
  static Result<KvCache> create(const Config& config, int capacity, KvType type);
  static uint64_t bytes(const Config& config, int capacity, KvType type);

  int capacity() const { return capacity_; }
  int size() const { return size_; }  ///< positions held
  KvType type() const { return type_; }

  /// Writes the rows of one token: k and v [kv_heads · head_dim] of `layer` at `position` ≥ size().
  void write(const KernelTable& kernels, int layer, int position, const float* k, const float* v);
  /// All layers of the positions up to `size` are written now.
  void commit(int size) { size_ = size; }
  void truncate(int size) { size_ = size < size_ ? size : size_; }

  /// The chunk of one head that begins at `first`, a multiple of kAttentionChunk. F32 caches give their own memory; others are
  /// widened into `scratch` [2 · kAttentionChunk · head_dim].
  CacheChunk chunk(const KernelTable& kernels, int layer, int kv_head, int first, float* scratch) const;

 private:
  KvCache(int capacity, KvType type, int kv_heads, int head_dim)
      : capacity_(capacity), type_(type), kv_heads_(kv_heads), head_dim_(head_dim) {}
  enum Side { kKeys, kValues };
  std::byte* chunk_at(int layer, Side side, int kv_head, int position) const;
  void write_row(const KernelTable& kernels, const float* from, Side side, int slot, std::byte* chunk) const;
  void widen(const KernelTable& kernels, const std::byte* chunk, Side side, float* out) const;

  int capacity_, size_ = 0;
  KvType type_;
  int kv_heads_, head_dim_;
  AlignedBuffer memory_;
};

}  // namespace tessera

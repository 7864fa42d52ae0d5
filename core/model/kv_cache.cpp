#include "core/model/kv_cache.h"

#include <algorithm>

#include "core/base/half.h"

namespace tessera {
namespace {

// Bytes of one position. A Q8_0 chunk has its codes in the panels of CacheChunk, then the f32 scale of each 32 values of a position:
// [head_dim / 32][32 positions] for K and V.
uint64_t row_size(KvType type, int head_dim) {
  switch (type) {
    case KvType::kF32: return 4ull * head_dim;
    case KvType::kF16: return 2ull * head_dim;
    case KvType::kQ8_0: return head_dim + head_dim / 32 * 4ull;
  }
  return 0;
}

int all_chunks(int capacity) { return (capacity + kAttentionChunk - 1) / kAttentionChunk; }

// Chunks of a layer's K of one head. The positions a batch needs, window - 1 before it and kMargin of its own, may begin anywhere in one.
int layer_chunks(const Config& config, int capacity, int layer) {
  const int all = all_chunks(capacity);
  if (!config.is_local(layer)) return all;
  const int64_t ring = (config.window - 1ll + KvCache::kMargin + kAttentionChunk - 2) / kAttentionChunk + 1;
  return static_cast<int>(std::min<int64_t>(all, ring));
}

}  // namespace

std::string_view kv_type_name(KvType type) {
  switch (type) {
    case KvType::kF32: return "f32";
    case KvType::kF16: return "f16";
    case KvType::kQ8_0: return "q8_0";
  }
  return "f32";
}

std::optional<KvType> kv_type_from_name(std::string_view name) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    if (kv_type_name(type) == name) return type;
  }
  return std::nullopt;
}

uint64_t KvCache::bytes(const Config& config, int capacity, KvType type) {
  uint64_t chunks = 0;
  for (int layer = 0; layer < config.layers; ++layer) chunks += layer_chunks(config, capacity, layer);
  return 2ull * config.kv_heads * chunks * kAttentionChunk * row_size(type, config.head_dim);
}

KvCache::KvCache(const Config& config, int capacity, KvType type)
    : capacity_(capacity), window_(config.window), type_(type), kv_heads_(config.kv_heads), head_dim_(config.head_dim) {
  uint64_t next = 0;
  for (int layer = 0; layer < config.layers; ++layer) {
    const int chunks = layer_chunks(config, capacity, layer);
    layers_.push_back({next, chunks});
    next += 2ull * kv_heads_ * chunks;
    if (chunks < all_chunks(capacity)) window_chunks_ = chunks;
  }
}

void KvCache::truncate(int size) {
  if (size >= size_) return;
  size_ = size;
  if (size == 0) written_ = 0;
}

bool KvCache::holds(int size) const {
  if (size <= 0 || window_chunks_ == 0) return true;
  const int last_chunk = (written_ - 1) / kAttentionChunk, oldest = (last_chunk - window_chunks_ + 1) * kAttentionChunk;
  return std::max(0, size - window_ + 1) >= oldest;
}

Result<void> KvCache::check(const Config& config, KvType type) {
  if (type != KvType::kF32 && (config.head_dim % 32 != 0 || config.head_dim > kMaxWidenedHeadDim)) {
    return Error{ErrorCode::kUnsupported,
                 "a " + std::string(kv_type_name(type)) + " KV cache needs heads of 32, 64, … " + std::to_string(kMaxWidenedHeadDim) +
                     " values, this model's have " + std::to_string(config.head_dim),
                 "use an f32 cache"};
  }
  return {};
}

Result<KvCache> KvCache::create(const Config& config, int capacity, KvType type) {
  if (const auto fits = check(config, type); !fits) return fits.error();
  KvCache cache(config, capacity, type);
  auto memory = AlignedBuffer::allocate(bytes(config, capacity, type), "the KV cache of " + std::to_string(capacity) + " tokens");
  if (!memory) return memory.error();
  cache.memory_ = std::move(*memory);
  return cache;
}

std::byte* KvCache::chunk_at(int layer, Side side, int kv_head, int position) const {
  const LayerRing& ring = layers_[layer];
  const uint64_t row = static_cast<uint64_t>(side) * kv_heads_ + kv_head;
  const uint64_t index = ring.first + row * ring.chunks + position / kAttentionChunk % ring.chunks;
  return memory_.data() + index * kAttentionChunk * row_size(type_, head_dim_);
}

void KvCache::write(const KernelTable& kernels, int layer, int position, const float* k, const float* v) {
  const int slot = position % kAttentionChunk;
  for (int head = 0; head < kv_heads_; ++head) {
    write_row(kernels, k + head * head_dim_, kKeys, slot, chunk_at(layer, kKeys, head, position));
    write_row(kernels, v + head * head_dim_, kValues, slot, chunk_at(layer, kValues, head, position));
  }
}

void KvCache::write_row(const KernelTable& kernels, const float* from, Side side, int slot, std::byte* chunk) const {
  // Element of the chunk that holds dimension i of this position.
  const auto at = [&](int i) {
    return side == kKeys ? (slot / kAttentionPanel * head_dim_ + i) * kAttentionPanel + slot % kAttentionPanel
                         : (i / kAttentionPanel * kAttentionChunk + slot) * kAttentionPanel + i % kAttentionPanel;
  };
  switch (type_) {
    case KvType::kF32: {
      auto* to = reinterpret_cast<float*>(chunk);
      for (int i = 0; i < head_dim_; ++i) to[at(i)] = from[i];
      break;
    }
    case KvType::kF16: {
      auto* to = reinterpret_cast<uint16_t*>(chunk);
      for (int i = 0; i < head_dim_; ++i) to[at(i)] = f32_to_f16(from[i]);
      break;
    }
    case KvType::kQ8_0: {
      int8_t codes[kMaxWidenedHeadDim];
      float scales[kMaxWidenedHeadDim / kActivationBlock], scaled_sums[kMaxWidenedHeadDim / kActivationBlock];
      int32_t half_sums[kMaxWidenedHeadDim / 16];
      kernels.quantize_row(from, head_dim_, codes, scales, half_sums, scaled_sums);
      auto* to = reinterpret_cast<int8_t*>(chunk);
      auto* scales_to = reinterpret_cast<float*>(chunk + kAttentionChunk * head_dim_) + slot;
      for (int i = 0; i < head_dim_; ++i) to[at(i)] = codes[i];
      for (int b = 0; b < head_dim_ / kActivationBlock; ++b) scales_to[b * kAttentionChunk] = scales[b];
      break;
    }
  }
}

CacheChunk KvCache::chunk(const KernelTable& kernels, int layer, int kv_head, int first, float* scratch) const {
  const std::byte* keys = chunk_at(layer, kKeys, kv_head, first);
  const std::byte* values = chunk_at(layer, kValues, kv_head, first);
  if (type_ == KvType::kF32) return {reinterpret_cast<const float*>(keys), reinterpret_cast<const float*>(values)};
  float* wide_values = scratch + kAttentionChunk * head_dim_;
  widen(kernels, keys, kKeys, scratch);
  widen(kernels, values, kValues, wide_values);
  return {scratch, wide_values};
}

void KvCache::widen(const KernelTable& kernels, const std::byte* chunk, Side side, float* out) const {
  const int count = kAttentionChunk * head_dim_;
  if (type_ == KvType::kF16) {
    kernels.widen_f16(reinterpret_cast<const uint16_t*>(chunk), count, out);
    return;
  }
  const auto* codes = reinterpret_cast<const int8_t*>(chunk);
  const auto* scales = reinterpret_cast<const float*>(chunk + count);
  // Row after row of a panel: 16 codes that share a dimension (K, one scale a position) or a position (V, one scale for all).
  for (int row = 0; row < count / kAttentionPanel; ++row, codes += kAttentionPanel, out += kAttentionPanel) {
    if (side == kKeys) {
      const int panel = row / head_dim_, dimension = row % head_dim_;
      const float* of_positions = scales + dimension / kActivationBlock * kAttentionChunk + panel * kAttentionPanel;
      for (int i = 0; i < kAttentionPanel; ++i) out[i] = static_cast<float>(codes[i]) * of_positions[i];
    } else {
      const int dimension = row / kAttentionChunk * kAttentionPanel, position = row % kAttentionChunk;
      const float scale = scales[dimension / kActivationBlock * kAttentionChunk + position];
      for (int i = 0; i < kAttentionPanel; ++i) out[i] = static_cast<float>(codes[i]) * scale;
    }
  }
}

}  // namespace tessera

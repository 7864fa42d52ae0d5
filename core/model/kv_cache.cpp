#include "core/model/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "core/base/half.h"
#include "core/base/math.h"

namespace tessera {
namespace {

// Bytes of one position in K, and in V. A Q16_8 block has all its scales in K, as KeyPanel draws. A Q8_0 chunk has its codes in the panels
// of CacheChunk, then the f32 scale of each 32 values of a position: [head_dim / 32][32 positions] for K and V.
uint64_t row_size(KvType type, int head_dim, bool keys) {
  switch (type) {
    case KvType::kF32: return 4ull * head_dim;
    case KvType::kF16: return 2ull * head_dim;
    case KvType::kQ8_0: return head_dim + head_dim / 32 * 4ull;
    case KvType::kQ16_8: return keys ? key_panel_bytes(head_dim) / kAttentionPanel : head_dim;
  }
  return 0;
}

uint64_t position_size(KvType type, int head_dim) { return row_size(type, head_dim, true) + row_size(type, head_dim, false); }

int block_positions(KvType type) { return type == KvType::kQ16_8 ? kAttentionSegment : kAttentionChunk; }
int all_blocks(int capacity, KvType type) { return (capacity + block_positions(type) - 1) / block_positions(type); }

// Blocks of a layer's K of one head. The positions a batch needs, window - 1 before it and kMargin of its own, may begin anywhere in one.
int layer_blocks(const Config& config, int capacity, KvType type, int layer) {
  const int all = all_blocks(capacity, type), positions = block_positions(type);
  if (!config.is_local(layer)) return all;
  const int64_t ring = (config.window - 1ll + KvCache::kMargin + positions - 2) / positions + 1;
  return static_cast<int>(std::min<int64_t>(all, ring));
}

// Rows of a short convolution's ring.
int conv_rows(const Config& config, int capacity) { return std::min(capacity, config.conv_length - 1 + KvCache::kMargin); }

uint64_t layer_bytes(const Config& config, int capacity, KvType type, int layer) {
  if (config.kv_layer(layer) != layer) return 0;
  if (!config.is_conv(layer)) {
    const uint64_t positions = uint64_t{1} * layer_blocks(config, capacity, type, layer) * block_positions(type);
    return config.kv_heads_of(layer) * positions * position_size(type, config.head_dim_of(layer));
  }
  const uint64_t bytes = uint64_t{sizeof(float)} * conv_rows(config, capacity) * config.width, line = AlignedBuffer::kAlignment;
  return (bytes + line - 1) / line * line;
}

}  // namespace

std::string_view kv_type_name(KvType type) {
  switch (type) {
    case KvType::kF32: return "f32";
    case KvType::kF16: return "f16";
    case KvType::kQ8_0: return "q8_0";
    case KvType::kQ16_8: return "q16_8";
  }
  return "f32";
}

std::optional<KvType> kv_type_from_name(std::string_view name) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0, KvType::kQ16_8}) {
    if (kv_type_name(type) == name) return type;
  }
  return std::nullopt;
}

uint64_t KvCache::bytes(const Config& config, int capacity, KvType type, const LayerRange& range) {
  uint64_t sum = 0;
  for (int layer = range.first; layer < range.end_in(config.layers); ++layer) sum += layer_bytes(config, capacity, type, layer);
  return sum;
}

KvCache::KvCache(const Config& config, int capacity, KvType type, const LayerRange& range)
    : capacity_(capacity), window_(config.window), conv_length_(config.conv_length), type_(type), width_(config.width) {
  uint64_t next = 0;
  for (int layer = 0; layer < config.layers; ++layer) {
    if (const int source = config.kv_layer(layer); source != layer) {
      layers_.push_back(layers_[source]);
      continue;
    }
    const bool conv = config.is_conv(layer);
    const int blocks = conv ? conv_rows(config, capacity) : layer_blocks(config, capacity, type, layer);
    const int head_dim = config.head_dim_of(layer);
    layers_.push_back({next, blocks, head_dim, max_score_code(head_dim)});
    if (range.holds(layer)) next += layer_bytes(config, capacity, type, layer);
    if (conv) {
      conv_rows_ = blocks;
    } else if (blocks < all_blocks(capacity, type)) {
      window_blocks_ = blocks;
    }
  }
}

void KvCache::truncate(int size) {
  if (size >= size_) return;
  size_ = size;
  if (size == 0) written_ = 0;
}

bool KvCache::holds(int size) const {
  if (size <= 0) return true;
  const auto reaches = [size](int seen, int oldest) { return std::max(0, size - seen + 1) >= oldest; };
  if (conv_rows_ > 0 && !reaches(conv_length_, written_ - conv_rows_)) return false;
  if (window_blocks_ == 0) return true;
  const int positions = block_positions(type_), last_block = (written_ - 1) / positions;
  return reaches(window_, (last_block - window_blocks_ + 1) * positions);
}

Result<void> KvCache::check(const Config& config, KvType type) {
  if (type == KvType::kF32) return {};
  const int step = type == KvType::kQ16_8 ? kAttentionPanel : 32,
            longest = type == KvType::kQ16_8 ? kMaxQuantizedHeadDim : kMaxWidenedHeadDim;
  for (const int head_dim : {config.head_dim, config.local_head_dim}) {
    if (head_dim % step == 0 && head_dim <= longest) continue;
    return Error{ErrorCode::kUnsupported,
                 "a " + std::string(kv_type_name(type)) + " KV cache needs heads of " + std::to_string(step) + ", " +
                     std::to_string(2 * step) + ", … " + std::to_string(longest) + " values, this model's have " + std::to_string(head_dim),
                 "use an f32 cache"};
  }
  return {};
}

Result<KvCache> KvCache::create(const Config& config, int capacity, KvType type, const LayerRange& range) {
  if (const auto fits = check(config, type); !fits) return fits.error();
  KvCache cache(config, capacity, type, range);
  auto memory = AlignedBuffer::allocate(bytes(config, capacity, type, range), "the KV cache of " + std::to_string(capacity) + " tokens");
  if (!memory) return memory.error();
  cache.memory_ = std::move(*memory);
  return cache;
}

std::byte* KvCache::block_at(int layer, Side side, int kv_head, int position) const {
  const LayerRing& ring = layers_[layer];
  const uint64_t positions = block_positions(type_);
  const uint64_t block = static_cast<uint64_t>(kv_head) * ring.blocks + position / positions % ring.blocks;
  std::byte* keys = memory_.data() + ring.at + block * positions * position_size(type_, ring.head_dim);
  return side == kKeys ? keys : keys + positions * row_size(type_, ring.head_dim, true);
}

void KvCache::write(const KernelTable& kernels, int layer, int position, int kv_head, const float* k, const float* v) {
  const LayerRing& ring = layers_[layer];
  const int slot = position % block_positions(type_);
  std::byte* keys = block_at(layer, kKeys, kv_head, position);
  std::byte* values = block_at(layer, kValues, kv_head, position);
  if (type_ == KvType::kQ16_8) {
    write_codes(kernels, ring, k, v, slot, keys, values);
  } else {
    write_row(kernels, k, ring.head_dim, kKeys, slot, keys);
    write_row(kernels, v, ring.head_dim, kValues, slot, values);
  }
}

float* KvCache::conv_input(int layer, int position) {
  const LayerRing& ring = layers_[layer];
  return reinterpret_cast<float*>(memory_.data() + ring.at) + int64_t{position % ring.blocks} * width_;
}

void KvCache::write_codes(const KernelTable& kernels, const LayerRing& ring, const float* k, const float* v, int slot, std::byte* keys,
                          std::byte* values) const {
  const int head_dim = ring.head_dim;
  int16_t codes[kMaxQuantizedHeadDim];
  const int column = slot % kAttentionPanel;
  const KeyPanel panel = key_panel(keys, slot, head_dim);
  panel.key_scales[column] = kernels.quantize_words(k, head_dim, ring.score_code, codes);
  for (int i = 0; i < head_dim; i += 2) std::memcpy(panel.codes + 2 * column + i * kAttentionPanel, codes + i, 2 * sizeof(int16_t));

  auto* value_codes = reinterpret_cast<int8_t*>(values);
  const float value_scale = kernels.quantize_words(v, head_dim, kMaxValueCode, codes);
  panel.value_log2[column] = static_cast<float>(log_f64(value_scale)) * kLog2E;
  panel.value_inverses[column] = 1.0f / value_scale;
  for (int i = 0; i < head_dim; ++i) value_codes[value_index(slot, i)] = static_cast<int8_t>(codes[i]);
}

void KvCache::write_row(const KernelTable& kernels, const float* from, int head_dim, Side side, int slot, std::byte* chunk) const {
  // Element of the chunk that holds dimension i of this position.
  const auto at = [&](int i) {
    return side == kKeys ? (slot / kAttentionPanel * head_dim + i) * kAttentionPanel + slot % kAttentionPanel
                         : (i / kAttentionPanel * kAttentionChunk + slot) * kAttentionPanel + i % kAttentionPanel;
  };
  switch (type_) {
    case KvType::kF32: {
      auto* to = reinterpret_cast<float*>(chunk);
      for (int i = 0; i < head_dim; ++i) to[at(i)] = from[i];
      break;
    }
    case KvType::kF16: {
      auto* to = reinterpret_cast<uint16_t*>(chunk);
      for (int i = 0; i < head_dim; ++i) to[at(i)] = f32_to_f16(from[i]);
      break;
    }
    case KvType::kQ8_0: {
      auto* to = reinterpret_cast<int8_t*>(chunk);
      auto* scales_to = reinterpret_cast<float*>(chunk + kAttentionChunk * head_dim) + slot;
      for (int first = 0; first < head_dim; first += 32, scales_to += kAttentionChunk) {
        int16_t codes[32];
        *scales_to = kernels.quantize_words(from + first, 32, 127, codes);
        for (int i = 0; i < 32; ++i) to[at(first + i)] = static_cast<int8_t>(codes[i]);
      }
      break;
    }
    case KvType::kQ16_8: break;  // write_codes
  }
}

CacheChunk KvCache::chunk(const KernelTable& kernels, int layer, int kv_head, int first, float* scratch) const {
  const std::byte* keys = block_at(layer, kKeys, kv_head, first);
  const std::byte* values = block_at(layer, kValues, kv_head, first);
  if (type_ == KvType::kF32) return {reinterpret_cast<const float*>(keys), reinterpret_cast<const float*>(values)};
  const int head_dim = layers_[layer].head_dim;
  float* wide_values = scratch + kAttentionChunk * head_dim;
  widen(kernels, keys, head_dim, kKeys, scratch);
  widen(kernels, values, head_dim, kValues, wide_values);
  return {scratch, wide_values};
}

QuantizedSegment KvCache::segment(int layer, int kv_head, int first) const {
  return {block_at(layer, kKeys, kv_head, first), reinterpret_cast<const int8_t*>(block_at(layer, kValues, kv_head, first))};
}

void KvCache::widen(const KernelTable& kernels, const std::byte* chunk, int head_dim, Side side, float* out) const {
  const int count = kAttentionChunk * head_dim;
  if (type_ == KvType::kF16) {
    kernels.widen_f16(reinterpret_cast<const uint16_t*>(chunk), count, out);
    return;
  }
  const auto* codes = reinterpret_cast<const int8_t*>(chunk);
  const auto* scales = reinterpret_cast<const float*>(chunk + count);
  // Row after row of a panel: 16 codes that share a dimension (K, one scale a position) or a position (V, one scale for all).
  for (int row = 0; row < count / kAttentionPanel; ++row, codes += kAttentionPanel, out += kAttentionPanel) {
    if (side == kKeys) {
      const int panel = row / head_dim, dimension = row % head_dim;
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

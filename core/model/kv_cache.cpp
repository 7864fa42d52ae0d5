#include "core/model/kv_cache.h"

#include <cstring>

#include "core/base/half.h"

namespace tessera {
namespace {

// Q8_0 rows: head_dim codes, then head_dim/32 f32 scales.
uint64_t row_size(KvType type, int head_dim) {
  switch (type) {
    case KvType::kF32: return 4ull * head_dim;
    case KvType::kF16: return 2ull * head_dim;
    case KvType::kQ8_0: return head_dim + head_dim / 32 * 4ull;
  }
  return 0;
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
  return 2ull * config.layers * config.kv_heads * capacity * row_size(type, config.head_dim);
}

Result<KvCache> KvCache::create(const Config& config, int capacity, KvType type) {
  if (type != KvType::kF32 && (config.head_dim % 32 != 0 || config.head_dim > kMaxWidenedHeadDim)) {
    return Error{ErrorCode::kUnsupported,
                 "a " + std::string(kv_type_name(type)) + " KV cache needs heads of 32, 64, … " + std::to_string(kMaxWidenedHeadDim) +
                     " values, this model's have " + std::to_string(config.head_dim),
                 "use an f32 cache"};
  }
  KvCache cache(capacity, type, config.kv_heads, config.head_dim);
  auto memory = AlignedBuffer::allocate(bytes(config, capacity, type), "the KV cache of " + std::to_string(capacity) + " tokens");
  if (!memory) return memory.error();
  cache.memory_ = std::move(*memory);
  return cache;
}

std::byte* KvCache::row(int layer, int which, int kv_head, int position) const {
  const uint64_t index = ((2ull * layer + which) * kv_heads_ + kv_head) * capacity_ + position;
  return memory_.data() + index * row_size(type_, head_dim_);
}

void KvCache::write(const KernelTable& kernels, int layer, int position, const float* k, const float* v) {
  for (int head = 0; head < kv_heads_; ++head) {
    write_row(kernels, k + head * head_dim_, row(layer, 0, head, position));
    write_row(kernels, v + head * head_dim_, row(layer, 1, head, position));
  }
}

void KvCache::write_row(const KernelTable& kernels, const float* from, std::byte* to) {
  switch (type_) {
    case KvType::kF32: std::memcpy(to, from, row_size(type_, head_dim_)); break;
    case KvType::kF16:
      for (int i = 0; i < head_dim_; ++i) {
        const uint16_t half = f32_to_f16(from[i]);
        std::memcpy(to + 2 * i, &half, 2);
      }
      break;
    case KvType::kQ8_0: {
      int32_t half_sums[kMaxWidenedHeadDim / 16];
      float scaled_sums[kMaxWidenedHeadDim / 32];
      kernels.quantize_row(from, head_dim_, reinterpret_cast<int8_t*>(to), reinterpret_cast<float*>(to + head_dim_), half_sums,
                           scaled_sums);
      break;
    }
  }
}

CacheRows KvCache::read(const KernelTable& kernels, const std::byte* from, int count, float* scratch) const {
  if (type_ == KvType::kF32) return {reinterpret_cast<const float*>(from), head_dim_};
  if (type_ == KvType::kF16) {
    kernels.widen_f16(reinterpret_cast<const uint16_t*>(from), static_cast<int64_t>(count) * head_dim_, scratch);
    return {scratch, head_dim_};
  }
  for (int c = 0; c < count; ++c, from += row_size(type_, head_dim_)) {
    const auto* codes = reinterpret_cast<const int8_t*>(from);
    const auto* scales = reinterpret_cast<const float*>(from + head_dim_);
    for (int i = 0; i < head_dim_; ++i) scratch[c * head_dim_ + i] = static_cast<float>(codes[i]) * scales[i / 32];
  }
  return {scratch, head_dim_};
}

CacheRows KvCache::keys(const KernelTable& kernels, int layer, int kv_head, int first, int count, float* scratch) const {
  return read(kernels, row(layer, 0, kv_head, first), count, scratch);
}

CacheRows KvCache::values(const KernelTable& kernels, int layer, int kv_head, int first, int count, float* scratch) const {
  return read(kernels, row(layer, 1, kv_head, first), count, scratch);
}

}  // namespace tessera

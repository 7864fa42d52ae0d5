// Owns the operands of the kernel tests: random rows of every format, packed matrices, quantised activations.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/half.h"
#include "core/base/rng.h"
#include "core/kernels/pack.h"
#include "doctest/doctest.h"

namespace tessera {

inline std::vector<float> random_floats(Rng& rng, int64_t n, float scale) {
  std::vector<float> values(n);
  for (float& value : values) value = (rng.uniform() * 2.0f - 1.0f) * scale;
  return values;
}

// Offsets of the f16 scales and minima in a block of the file.
inline std::vector<size_t> half_fields(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K: return {0, 2};
    case DType::kQ2_K: return {80, 82};
    case DType::kQ3_K: return {108};
    case DType::kQ6_K: return {208};
    case DType::kTQ1_0: return {52};
    case DType::kTQ2_0: return {64};
    case DType::kF32:
    case DType::kQ8_K:
    case DType::kMXFP4: return {};
    default: return {0};
  }
}

// Random bytes with every f16 scale field made finite: all code bits are exercised, also those no quantiser would write.
inline std::vector<std::byte> random_rows(Rng& rng, DType dtype, int64_t width, int64_t rows) {
  std::vector<std::byte> bytes(rows * row_bytes(dtype, width));
  if (dtype == DType::kF32) {
    const auto values = random_floats(rng, rows * width, 1.0f);
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.next());
  const DTypeTraits& facts = traits(dtype);
  for (size_t at = 0; at < bytes.size(); at += facts.block_bytes) {
    const auto put = [&](size_t offset) {
      const uint16_t bits = dtype == DType::kBF16 ? f32_to_bf16(rng.uniform() - 0.5f) : f32_to_f16(rng.uniform() * 0.1f - 0.03f);
      std::memcpy(bytes.data() + at + offset, &bits, 2);
    };
    for (const size_t offset : half_fields(dtype)) put(offset);
    // Among the powers of two also the two smallest, which no normal f32 holds.
    if (dtype == DType::kMXFP4) bytes[at] = static_cast<std::byte>(rng.next() % 3 == 0 ? rng.next() % 2 : 100 + rng.next() % 30);
    if (dtype == DType::kQ8_K) {
      const float scale = rng.uniform() * 0.1f - 0.03f;
      std::memcpy(bytes.data() + at, &scale, 4);
    }
    if (dtype == DType::kQ8_0 || dtype == DType::kQ8_K) {
      for (uint32_t i = dtype == DType::kQ8_0 ? 2 : 4; i < facts.block_bytes; ++i) {
        if (bytes[at + i] == std::byte{0x80}) bytes[at + i] = std::byte{0x81};
      }
    }
  }
  return bytes;
}

struct Packed {
  AlignedBuffer buffer;
  PackedMatrix matrix;
};

inline Packed pack(DType dtype, const std::vector<std::byte>& bytes, int64_t width, int64_t rows, int tile_rows) {
  Packed packed;
  PackedMatrix& m = packed.matrix;
  m = {.dtype = dtype, .rows = rows, .width = width, .tile_rows = tile_rows, .tile_bytes = packed_tile_bytes(dtype, width, tile_rows)};
  packed.buffer = std::move(AlignedBuffer::allocate(m.tiles() * m.tile_bytes, "test matrix").value());
  m.data = packed.buffer.data();
  for (int64_t tile = 0; tile < m.tiles(); ++tile) {
    const int64_t first = tile * tile_rows;
    const bool finite =
        pack_tile(dtype, bytes.data() + first * row_bytes(dtype, width), width,
                  static_cast<int>(std::min<int64_t>(tile_rows, rows - first)), tile_rows, packed.buffer.data() + tile * m.tile_bytes);
    REQUIRE(finite);
  }
  return packed;
}

struct Input {
  std::vector<float> values, scales, scaled_sums;
  std::vector<std::byte> codes;
  std::vector<int32_t> half_sums;
  Activations view;
};

inline Input quantize(const KernelTable& kernels, std::vector<float> values, int tokens, int64_t width) {
  Input in;
  in.values = std::move(values);
  in.codes.resize(tokens * width * kernels.code_bytes);
  in.scales.resize(tokens * width / 32);
  in.scaled_sums.resize(tokens * width / 32);
  in.half_sums.resize(tokens * width / 16);
  for (int t = 0; t < tokens; ++t) {
    kernels.quantize_row(in.values.data() + t * width, width, in.codes.data() + t * width * kernels.code_bytes,
                         in.scales.data() + t * width / 32, in.half_sums.data() + t * width / 16, in.scaled_sums.data() + t * width / 32);
  }
  in.view = {
      tokens, width, in.values.data(), in.codes.data(), in.scales.data(), in.half_sums.data(), in.scaled_sums.data(), kernels.code_bytes};
  return in;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline const KernelTable& scalar() { return *find_kernels("scalar"); }

/// out [tokens][rows] = x · weightsᵀ, with as many tiles as there can be side by side, or one tile after the other.
inline void multiply(const KernelTable& kernels, const PackedMatrix& weights, const Activations& x, bool side_by_side, float* out) {
  const int64_t stride = side_by_side ? weights.tiles() / kMostStreams : 0;
  const MatmulFn matmul = kernels.matmul_for(weights.dtype);
  if (stride > 0) matmul(weights, x, {0, stride, stride}, out, weights.rows);
  matmul(weights, x, {kMostStreams * stride, weights.tiles()}, out, weights.rows);
}

}  // namespace tessera

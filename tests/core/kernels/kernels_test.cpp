// Every available kernel table against the scalar one, bit for bit, over formats and odd shapes; packing against the reference
// dequantisation.
#include "core/kernels/kernels.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/half.h"
#include "core/base/rng.h"
#include "core/kernels/pack.h"
#include "core/tensor/dequantize.h"
#include "doctest/doctest.h"

namespace tessera {
namespace {

std::vector<float> random_floats(Rng& rng, int64_t n, float scale) {
  std::vector<float> values(n);
  for (float& value : values) value = (rng.uniform() * 2.0f - 1.0f) * scale;
  return values;
}

// Random bytes with every f16 scale field made finite: all code bits are exercised, also those no quantiser would write.
std::vector<std::byte> random_rows(Rng& rng, DType dtype, int64_t width, int64_t rows) {
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
    if (dtype == DType::kQ6_K) {
      put(208);
    } else {
      put(0);
      if (facts.block_bytes > 2 && dtype != DType::kQ4_0 && dtype != DType::kQ5_0 && dtype != DType::kQ8_0) put(2);
    }
    if (dtype == DType::kQ8_0) {
      for (int i = 2; i < 34; ++i) {
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

Packed pack(DType dtype, const std::vector<std::byte>& bytes, int64_t width, int64_t rows, int tile_rows) {
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
  std::vector<int8_t> codes;
  std::vector<int32_t> half_sums;
  Activations view;
};

Input quantize(const KernelTable& kernels, std::vector<float> values, int tokens, int64_t width) {
  Input in;
  in.values = std::move(values);
  in.codes.resize(tokens * width);
  in.scales.resize(tokens * width / 32);
  in.scaled_sums.resize(tokens * width / 32);
  in.half_sums.resize(tokens * width / 16);
  for (int t = 0; t < tokens; ++t) {
    kernels.quantize_row(in.values.data() + t * width, width, in.codes.data() + t * width, in.scales.data() + t * width / 32,
                         in.half_sums.data() + t * width / 16, in.scaled_sums.data() + t * width / 32);
  }
  in.view = {tokens, width, in.values.data(), in.codes.data(), in.scales.data(), in.half_sums.data(), in.scaled_sums.data()};
  return in;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

const KernelTable& scalar() { return *find_kernels("scalar"); }

}  // namespace

TEST_CASE("packed rows unpack to the reference dequantisation, bit for bit") {
  Rng rng(1);
  for (const DTypeTraits& facts : all_dtypes()) {
    CAPTURE(facts.name);
    for (int tile_rows : {1, 4, 8, 16}) {
      const int64_t width = 512, rows = 19;
      const auto bytes = random_rows(rng, facts.dtype, width, rows);
      const Packed packed = pack(facts.dtype, bytes, width, rows, tile_rows);
      std::vector<float> expected(width), found(width);
      for (int64_t row = 0; row < rows; ++row) {
        dequantize_row(facts.dtype, bytes.data() + row * row_bytes(facts.dtype, width), width, expected.data());
        unpack_row(packed.matrix, row, found.data());
        REQUIRE(same_bits(expected, found));
      }
    }
  }
}

TEST_CASE("every kernel table equals scalar bit for bit on odd shapes") {
  Rng rng(2);
  for (const KernelTable* kernels : available_kernels()) {
    CAPTURE(kernels->name);
    for (const DTypeTraits& facts : all_dtypes()) {
      CAPTURE(facts.name);
      for (int64_t rows : {1, 3, 8, 37}) {
        for (int64_t blocks : {1, 2, 3}) {
          const int64_t width = blocks * std::max<int64_t>(32, facts.block_weights);
          const auto bytes = random_rows(rng, facts.dtype, width, rows);
          const Packed mine = pack(facts.dtype, bytes, width, rows, kernels->tile_rows);
          const Packed reference = pack(facts.dtype, bytes, width, rows, scalar().tile_rows);
          for (int tokens : {1, 2, 5, 8, 13, 33}) {
            const auto values = random_floats(rng, tokens * width, 3.0f);
            const Input in = quantize(*kernels, values, tokens, width);
            std::vector<float> found(tokens * rows, NAN), expected(tokens * rows, NAN);
            kernels->matmul_for(facts.dtype)(mine.matrix, in.view, 0, mine.matrix.tiles(), found.data(), rows);
            scalar().matmul_for(facts.dtype)(reference.matrix, quantize(scalar(), values, tokens, width).view, 0, reference.matrix.tiles(),
                                             expected.data(), rows);
            CAPTURE(rows);
            CAPTURE(width);
            CAPTURE(tokens);
            REQUIRE(same_bits(expected, found));
          }
        }
      }
    }
  }
}

TEST_CASE("extreme codes do not overflow the narrow sums") {
  for (const KernelTable* kernels : available_kernels()) {
    CAPTURE(kernels->name);
    for (const DTypeTraits& facts : all_dtypes()) {
      if (facts.block_weights == 1) continue;
      CAPTURE(facts.name);
      const int64_t width = 256, rows = 8;
      // All code bits set (largest code everywhere), scale 1: the largest sums a file can cause.
      std::vector<std::byte> bytes(rows * row_bytes(facts.dtype, width),
                                   std::byte{facts.dtype == DType::kQ8_0 ? uint8_t{0x7f} : uint8_t{0xff}});
      for (size_t at = 0; at < bytes.size(); at += facts.block_bytes) {
        const uint16_t one = f32_to_f16(1.0f);
        std::memcpy(bytes.data() + at + (facts.dtype == DType::kQ6_K ? 208 : 0), &one, 2);
        if (facts.dtype != DType::kQ6_K && facts.dtype != DType::kQ8_0) std::memcpy(bytes.data() + at + 2, &one, 2);
      }
      for (float value : {1.0f, -1.0f}) {
        const std::vector<float> values(2 * width, value);
        const Packed mine = pack(facts.dtype, bytes, width, rows, kernels->tile_rows);
        const Packed reference = pack(facts.dtype, bytes, width, rows, scalar().tile_rows);
        std::vector<float> found(2 * rows), expected(2 * rows);
        const Input in = quantize(*kernels, values, 2, width);
        kernels->matmul_for(facts.dtype)(mine.matrix, in.view, 0, mine.matrix.tiles(), found.data(), rows);
        scalar().matmul_for(facts.dtype)(reference.matrix, in.view, 0, reference.matrix.tiles(), expected.data(), rows);
        REQUIRE(same_bits(expected, found));
      }
    }
  }
}

TEST_CASE("products are close to the float reference") {
  Rng rng(3);
  for (const DTypeTraits& facts : all_dtypes()) {
    CAPTURE(facts.name);
    const int64_t width = 768, rows = 16;
    const auto bytes = random_rows(rng, facts.dtype, width, rows);
    const KernelTable& kernels = *find_kernels("");
    const Packed packed = pack(facts.dtype, bytes, width, rows, kernels.tile_rows);
    const Input in = quantize(kernels, random_floats(rng, width, 1.0f), 1, width);
    std::vector<float> found(rows), weights(width);
    kernels.matmul_for(facts.dtype)(packed.matrix, in.view, 0, packed.matrix.tiles(), found.data(), rows);
    for (int64_t row = 0; row < rows; ++row) {
      dequantize_row(facts.dtype, bytes.data() + row * row_bytes(facts.dtype, width), width, weights.data());
      double expected = 0, magnitude = 0;
      for (int64_t k = 0; k < width; ++k) {
        expected += static_cast<double>(weights[k]) * in.values[k];
        magnitude += static_cast<double>(weights[k]) * weights[k];
      }
      // An 8-bit activation is off by at most 1/254 of its block's largest value; the errors add like a random walk.
      CHECK(std::fabs(found[row] - expected) < 5.0 / 254.0 * std::sqrt(magnitude));
    }
  }
}

TEST_CASE("vector kernels equal scalar bit for bit") {
  Rng rng(4);
  for (const KernelTable* kernels : available_kernels()) {
    CAPTURE(kernels->name);
    for (int64_t n : {1, 15, 16, 64, 100, 576}) {
      const auto x = random_floats(rng, n, 2.0f), w = random_floats(rng, n, 1.0f);
      std::vector<float> found(n), expected(n);
      kernels->rms_norm(x.data(), w.data(), n, 1e-5f, found.data());
      scalar().rms_norm(x.data(), w.data(), n, 1e-5f, expected.data());
      CHECK(same_bits(expected, found));
      for (auto act : {&KernelTable::silu_mul, &KernelTable::gelu_mul}) {
        auto mine = x, reference = x;
        (kernels->*act)(mine.data(), w.data(), n);
        (scalar().*act)(reference.data(), w.data(), n);
        CHECK(same_bits(reference, mine));
      }
    }
  }
}

TEST_CASE("attention kernels equal scalar bit for bit") {
  Rng rng(5);
  struct Range {
    int begin, end;
  };
  for (const KernelTable* kernels : available_kernels()) {
    CAPTURE(kernels->name);
    for (int head_dim : {16, 64, 80, 256}) {
      for (int heads : {1, 2, 3, 4, 5, 8}) {
        CAPTURE(head_dim);
        CAPTURE(heads);
        const float softcap = heads % 2 == 0 ? 5.0f : 0.0f;
        const auto queries = random_floats(rng, heads * head_dim, 1.0f);
        std::vector<float> found(heads * head_dim), expected(heads * head_dim);
        std::vector<AttentionState> mine(heads, {-std::numeric_limits<float>::infinity(), 0}), reference = mine;
        for (const Range range : {Range{0, 32}, Range{0, 7}, Range{31, 32}, Range{5, 29}}) {
          auto keys = random_floats(rng, 32 * head_dim, 1.0f);
          const auto values = random_floats(rng, 32 * head_dim, 1.0f);
          // Nothing may come from a position that is not asked for.
          for (int i = 0; i < 32 * head_dim; ++i) {
            const int position = i / (kAttentionPanel * head_dim) * kAttentionPanel + i % kAttentionPanel;
            if (position < range.begin || position >= range.end) keys[i] = NAN;
          }
          const CacheChunk chunk{keys.data(), values.data()};
          kernels->attend(queries.data(), heads, chunk, range.begin, range.end, head_dim, softcap, mine.data(), found.data());
          scalar().attend(queries.data(), heads, chunk, range.begin, range.end, head_dim, softcap, reference.data(), expected.data());
        }
        CHECK(same_bits(expected, found));
        CHECK(std::memcmp(mine.data(), reference.data(), heads * sizeof(AttentionState)) == 0);
      }
    }
  }
}

TEST_CASE("f16 widening is exact for all 65,536 bit patterns but NaN") {
  std::vector<uint16_t> halves(65536);
  for (int i = 0; i < 65536; ++i) halves[i] = static_cast<uint16_t>(i);
  for (const KernelTable* kernels : available_kernels()) {
    CAPTURE(kernels->name);
    std::vector<float> found(65536);
    kernels->widen_f16(halves.data(), 65536, found.data());
    for (int i = 0; i < 65536; ++i) {
      const float expected = f16_to_f32(halves[i]);
      if (!std::isnan(expected)) REQUIRE(std::bit_cast<uint32_t>(found[i]) == std::bit_cast<uint32_t>(expected));
    }
  }
}

TEST_CASE("a block scale that is not finite is refused") {
  const std::vector<std::byte> zeros(18);
  auto bytes = zeros;
  const uint16_t infinity = 0x7c00;
  std::memcpy(bytes.data(), &infinity, 2);
  std::vector<std::byte> out(packed_tile_bytes(DType::kQ4_0, 32, 4));
  CHECK(pack_tile(DType::kQ4_0, zeros.data(), 32, 1, 4, out.data()));
  CHECK_FALSE(pack_tile(DType::kQ4_0, bytes.data(), 32, 1, 4, out.data()));
}

}  // namespace tessera

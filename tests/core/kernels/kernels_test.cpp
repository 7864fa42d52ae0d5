// Every available kernel table against the scalar one, bit for bit, over formats and odd shapes; packing against the reference
// dequantisation.
#include "core/kernels/kernels.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/base/half.h"
#include "core/base/rng.h"
#include "core/kernels/pack.h"
#include "core/tensor/dequantize.h"
#include "doctest/doctest.h"
#include "tests/core/kernels/operands.h"
#include "tests/core/kernels/segment_operands.h"

namespace tessera {
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
      for (const auto& [rows, side_by_side] :
           {std::pair<int64_t, bool>{1, true}, {3, false}, {8, false}, {37, true}, {37, false}, {150, true}}) {
        // The widest do not fit into one ActivationPanel.
        for (int64_t blocks : {1, 2, 3, facts.block_weights > 32 ? 18 : 65}) {
          const int64_t width = blocks * std::max<int64_t>(32, facts.block_weights);
          const auto bytes = random_rows(rng, facts.dtype, width, rows);
          const Packed mine = pack(facts.dtype, bytes, width, rows, kernels->tile_rows);
          const Packed reference = pack(facts.dtype, bytes, width, rows, scalar().tile_rows);
          for (int tokens : {1, 2, 5, 8, 13, 33}) {
            if (rows == 150 && tokens > 1) break;
            const auto values = random_floats(rng, tokens * width, 3.0f);
            const Input in = quantize(*kernels, values, tokens, width);
            std::vector<float> found(tokens * rows, NAN), expected(tokens * rows, NAN);
            multiply(*kernels, mine.matrix, in.view, side_by_side, found.data());
            scalar().matmul_for(facts.dtype)(reference.matrix, quantize(scalar(), values, tokens, width).view,
                                             {0, reference.matrix.tiles()}, expected.data(), rows);
            CAPTURE(rows);
            CAPTURE(side_by_side);
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
      // All code bits set or clear (the largest or smallest code everywhere), scale 1: the largest sums a file can cause.
      const bool bytes_are_codes = facts.dtype == DType::kQ8_0 || facts.dtype == DType::kQ8_K;
      for (const uint8_t pattern :
           {bytes_are_codes ? uint8_t{0x7f} : uint8_t{0xff}, bytes_are_codes ? uint8_t{0x81} : uint8_t{0}, uint8_t{0x77}}) {
        std::vector<std::byte> bytes(rows * row_bytes(facts.dtype, width), std::byte{pattern});
        for (size_t at = 0; at < bytes.size(); at += facts.block_bytes) {
          const uint16_t one = f32_to_f16(1.0f);
          const float whole_one = 1.0f;
          for (const size_t offset : half_fields(facts.dtype)) std::memcpy(bytes.data() + at + offset, &one, 2);
          if (facts.dtype == DType::kQ8_K) std::memcpy(bytes.data() + at, &whole_one, 4);
          if (facts.dtype == DType::kMXFP4) bytes[at] = std::byte{127};
        }
        for (float value : {1.0f, -1.0f}) {
          const std::vector<float> values(2 * width, value);
          const Packed mine = pack(facts.dtype, bytes, width, rows, kernels->tile_rows);
          const Packed reference = pack(facts.dtype, bytes, width, rows, scalar().tile_rows);
          std::vector<float> found(2 * rows), expected(2 * rows);
          const Input in = quantize(*kernels, values, 2, width);
          kernels->matmul_for(facts.dtype)(mine.matrix, in.view, {0, mine.matrix.tiles()}, found.data(), rows);
          scalar().matmul_for(facts.dtype)(reference.matrix, in.view, {0, reference.matrix.tiles()}, expected.data(), rows);
          REQUIRE(same_bits(expected, found));
        }
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
    kernels.matmul_for(facts.dtype)(packed.matrix, in.view, {0, packed.matrix.tiles()}, found.data(), rows);
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
      const auto x = random_floats(rng, n, 6.0f), w = random_floats(rng, n, 6.0f);
      std::vector<float> found(n), expected(n);
      kernels->rms_norm(x.data(), w.data(), n, 1e-5f, found.data());
      scalar().rms_norm(x.data(), w.data(), n, 1e-5f, expected.data());
      CHECK(same_bits(expected, found));
      for (auto act : {&KernelTable::silu_mul, &KernelTable::gelu_mul, &KernelTable::clamped_swiglu}) {
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

TEST_CASE("16-bit codes are near their values and their sums fit 32 bits") {
  Rng rng(7);
  for (const KernelTable* kernels : available_kernels()) {
    CAPTURE(kernels->name);
    for (const int n : {16, 80, 256, 1024}) {
      const int limit = max_score_code(n);
      CHECK(int64_t{n} * limit * limit < (int64_t{1} << 31));
      CHECK(int64_t{n} * (limit + 1) * (limit + 1) >= (int64_t{1} << 31));
      for (const float size : {1e-38f, 1e-20f, 1.0f, 1e20f}) {
        const auto x = random_floats(rng, n, size);
        std::vector<int16_t> codes(n), expected(n);
        const float scale = kernels->quantize_words(x.data(), n, limit, codes.data());
        const float same = scalar().quantize_words(x.data(), n, limit, expected.data());
        CHECK(std::bit_cast<uint32_t>(scale) == std::bit_cast<uint32_t>(same));
        REQUIRE(codes == expected);
        for (int i = 0; i < n; ++i) {
          REQUIRE(std::abs(codes[i]) <= limit);
          REQUIRE(std::fabs(codes[i] * scale - x[i]) <= 0.5001f * scale);
        }
      }
    }
  }
}

TEST_CASE("attention over codes equals scalar bit for bit and float attention nearly") {
  Rng rng(8);
  for (const KernelTable* kernels : available_kernels()) {
    CAPTURE(kernels->name);
    for (int head_dim : {16, 64, 80, 256}) {
      for (int heads : {1, 2, 3, 4, 5, 7, 8}) {
        CAPTURE(head_dim);
        CAPTURE(heads);
        const float softcap = heads % 2 == 0 ? 5.0f : 0.0f;
        for (const SegmentRange range : {SegmentRange{0, 128}, {0, 1}, {0, 7}, {127, 128}, {31, 33}, {37, 101}, {64, 96}}) {
          CAPTURE(range.begin);
          SegmentOperands in = random_segment(rng, heads, head_dim);
          in.spoil_outside(range);
          std::vector<float> found(heads * head_dim, NAN), expected(heads * head_dim, NAN);
          std::vector<AttentionState> mine(heads), reference(heads);
          scalar().attend_segment(in.queries_view(), heads, in.view(), range.begin, range.end, head_dim, softcap, reference.data(),
                                  expected.data());
          for (const bool in_streams : {false, true}) {
            QuantizedSegment segment = in.view();
            segment.in_streams = in_streams;
            kernels->attend_segment(in.queries_view(), heads, segment, range.begin, range.end, head_dim, softcap, mine.data(),
                                    found.data());
            REQUIRE(same_bits(expected, found));
            REQUIRE(std::memcmp(mine.data(), reference.data(), heads * sizeof(AttentionState)) == 0);
          }
          for (int h = 0; h < heads; ++h) {
            const auto plain = in.attend_plainly(h, range, softcap);
            for (int d = 0; d < head_dim; ++d) REQUIRE(std::fabs(found[h * head_dim + d] / mine[h].sum - plain[d]) < 2e-3);
          }
        }
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

TEST_CASE("a block scale that is not finite is refused in every format") {
  Rng rng(6);
  for (const DTypeTraits& facts : all_dtypes()) {
    if (facts.block_weights == 1) continue;
    CAPTURE(facts.name);
    const int64_t width = 512;
    const auto good = random_rows(rng, facts.dtype, width, 1);
    std::vector<std::byte> out(packed_tile_bytes(facts.dtype, width, 4));
    REQUIRE(pack_tile(facts.dtype, good.data(), width, 1, 4, out.data()));
    const auto refused = [&](size_t offset, const void* value, size_t size) {
      auto bytes = good;
      std::memcpy(bytes.data() + bytes.size() - facts.block_bytes + offset, value, size);
      return !pack_tile(facts.dtype, bytes.data(), width, 1, 4, out.data());
    };
    for (const uint16_t bits : {uint16_t{0x7c00}, uint16_t{0xfc00}, uint16_t{0x7e00}}) {
      for (const size_t offset : half_fields(facts.dtype)) CHECK(refused(offset, &bits, 2));
    }
    for (const float value : {INFINITY, NAN}) {
      if (facts.dtype == DType::kQ8_K) CHECK(refused(0, &value, 4));
    }
    if (facts.dtype == DType::kMXFP4) CHECK(refused(0, "\xff", 1));
  }
}

TEST_CASE("packed rows take the file's bytes, or little more") {
  for (const DTypeTraits& facts : all_dtypes()) {
    CAPTURE(facts.name);
    const double growth =
        static_cast<double>(packed_tile_bytes(facts.dtype, 1024, 4)) / static_cast<double>(4 * row_bytes(facts.dtype, 1024));
    CHECK(growth < (facts.dtype == DType::kTQ1_0 ? 1.23 : 1.05));
  }
}

}  // namespace tessera

// Every kernel of every table with operands that end against an untouchable page: none reads or writes a byte too far.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "core/kernels/kernels.h"
#include "core/kernels/pack.h"
#include "doctest/doctest.h"
#include "tests/core/kernels/guarded.h"
#include "tests/core/kernels/operands.h"
#include "tests/core/kernels/segment_operands.h"

namespace tessera {

TEST_CASE("products stay within their operands") {
  Rng rng(11);
  for (const KernelTable* kernels : available_kernels()) {
    CAPTURE(kernels->name);
    for (const DTypeTraits& facts : all_dtypes()) {
      CAPTURE(facts.name);
      for (const int64_t rows : {1, 5, 16, 35}) {
        const int64_t width = std::max<int64_t>(32, facts.block_weights);
        const auto file = random_rows(rng, facts.dtype, width, rows);
        Packed packed = pack(facts.dtype, file, width, rows, kernels->tile_rows);
        Guarded<std::byte> weights({packed.matrix.data, packed.matrix.data + packed.matrix.tiles() * packed.matrix.tile_bytes});
        packed.matrix.data = weights.data();
        for (const int tokens : {1, 4, 9}) {
          const Input in = quantize(*kernels, random_floats(rng, tokens * width, 1.0f), tokens, width);
          Guarded<float> values(in.values), scales(in.scales), scaled_sums(in.scaled_sums), out(tokens * rows);
          Guarded<std::byte> codes(in.codes);
          Guarded<int32_t> half_sums(in.half_sums);
          const Activations x{
              tokens, width, values.data(), codes.data(), scales.data(), half_sums.data(), scaled_sums.data(), in.view.code_bytes};
          std::vector<float> expected(tokens * rows);
          kernels->matmul_for(facts.dtype)(packed.matrix, in.view, {0, packed.matrix.tiles()}, expected.data(), rows);
          for (const bool side_by_side : {false, true}) {
            multiply(*kernels, packed.matrix, x, side_by_side, out.data());
            REQUIRE(same_bits(expected, out.copy()));
          }
        }
      }
    }
  }
}

TEST_CASE("packing and unpacking stay within the file's bytes and the tile") {
  Rng rng(12);
  for (const DTypeTraits& facts : all_dtypes()) {
    CAPTURE(facts.name);
    for (const int tile_rows : {1, 4, 8, 16}) {
      const int64_t width = std::max<int64_t>(32, facts.block_weights);
      Guarded<std::byte> file(random_rows(rng, facts.dtype, width, tile_rows));
      Guarded<std::byte> tile(packed_tile_bytes(facts.dtype, width, tile_rows));
      REQUIRE(pack_tile(facts.dtype, file.data(), width, tile_rows, tile_rows, tile.data()));
      const PackedMatrix matrix{.dtype = facts.dtype,
                                .rows = tile_rows,
                                .width = width,
                                .tile_rows = tile_rows,
                                .tile_bytes = packed_tile_bytes(facts.dtype, width, tile_rows),
                                .data = tile.data()};
      Guarded<float> row(width);
      for (int r = 0; r < tile_rows; ++r) unpack_row(matrix, r, row.data());
    }
  }
}

TEST_CASE("vector kernels stay within their operands") {
  Rng rng(13);
  for (const KernelTable* kernels : available_kernels()) {
    CAPTURE(kernels->name);
    for (const int64_t n : {1, 15, 32, 33, 96}) {
      Guarded<float> x(random_floats(rng, n, 1.0f)), weight(random_floats(rng, n, 1.0f)), out(n);
      kernels->rms_norm(x.data(), weight.data(), n, 1e-5f, out.data());
      kernels->silu_mul(out.data(), weight.data(), n);
      kernels->gelu_mul(out.data(), weight.data(), n);
      kernels->clamped_swiglu(out.data(), weight.data(), n);
      Guarded<uint16_t> halves(std::vector<uint16_t>(n, 0x3c00));
      kernels->widen_f16(halves.data(), n, out.data());
      CHECK(out.copy() == std::vector<float>(n, 1.0f));
      if (n % 32 != 0) continue;
      Guarded<std::byte> codes(n * kernels->code_bytes);
      Guarded<float> scales(n / 32), scaled_sums(n / 32);
      Guarded<int32_t> half_sums(n / 16);
      kernels->quantize_row(x.data(), n, codes.data(), scales.data(), half_sums.data(), scaled_sums.data());
    }
    for (const int head_dim : {16, 64, 80}) {
      for (const int heads : {1, 2, 3, 5}) {
        Guarded<float> queries(random_floats(rng, heads * head_dim, 1.0f)), out(heads * head_dim);
        Guarded<float> keys(random_floats(rng, 32 * head_dim, 1.0f)), values(random_floats(rng, 32 * head_dim, 1.0f));
        Guarded<AttentionState> states(std::vector<AttentionState>(heads, {-std::numeric_limits<float>::infinity(), 0}));
        kernels->attend(queries.data(), heads, {keys.data(), values.data()}, 0, 32, head_dim, heads % 2 == 0 ? 30.0f : 0.0f, states.data(),
                        out.data());
        CHECK(std::isfinite(out.copy().back()));

        const SegmentOperands in = random_segment(rng, heads, head_dim);
        Guarded<int16_t> query_codes(in.queries);
        Guarded<int8_t> value_codes(in.values);
        Guarded<float> query_scales(in.query_scales), key_panels(in.keys);
        kernels->attend_segment({query_codes.data(), query_scales.data()}, heads,
                                {reinterpret_cast<const std::byte*>(key_panels.data()), value_codes.data()}, 0, kAttentionSegment, head_dim,
                                0.0f, states.data(), out.data());
        CHECK(std::isfinite(out.copy().back()));
        kernels->quantize_words(queries.data(), heads * head_dim, kMaxValueCode, query_codes.data());
      }
    }
  }
}

}  // namespace tessera

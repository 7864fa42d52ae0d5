// Products over threads: a pair computed in blocks gives the bits of two products, and its blocks are whole when they are finished.
#include "core/ops/linear.h"

#include <array>
#include <atomic>
#include <cmath>
#include <utility>

#include "core/ops/read_rate.h"
#include "tests/core/kernels/operands.h"

namespace tessera {

TEST_CASE("a pair of products in one phase equals two phases, and each value is finished once, after both") {
  Rng rng(1);
  for (const KernelTable* kernels : available_kernels()) {
    // Shares of {1000, 256} are gone through in several streams. A block of 32 rows of the last has more bytes than are multiplied by a
    // group of tokens at once.
    for (const auto& [rows, width] : {std::pair<int64_t, int64_t>{1, 64}, {32, 64}, {100, 64}, {777, 64}, {1000, 256}, {64, 10240}}) {
      for (const int tokens : {1, 9, 16, 37}) {
        const Packed a = pack(DType::kQ4_0, random_rows(rng, DType::kQ4_0, width, rows), width, rows, kernels->tile_rows);
        const Packed b = pack(DType::kQ8_0, random_rows(rng, DType::kQ8_0, width, rows), width, rows, kernels->tile_rows);
        const Input in = quantize(*kernels, random_floats(rng, tokens * width, 1.0f), tokens, width);
        ThreadPool pool(3);
        const size_t values = static_cast<size_t>(tokens * rows);
        std::vector<float> first(values), second(values), found_a(values, NAN), found_b(values, NAN), sums(values);
        const std::array products = {Product{&a.matrix, in.view, first.data()}, Product{&b.matrix, in.view, second.data()}};
        linear(pool, *kernels, products);
        std::vector<std::atomic<int>> finished(values);
        linear_pair(pool, *kernels, {&a.matrix, in.view, found_a.data()}, {&b.matrix, in.view, found_b.data()},
                    [&](std::span<const Stretch> stretches, int first_token, int end_token) {
                      for (const auto& [begin, end] : stretches) {
                        CHECK(begin % kActivationBlock == 0);
                        CHECK((end % kActivationBlock == 0 || end == rows));
                        for (int64_t row = begin; row < end; ++row) {
                          for (int t = first_token; t < end_token; ++t) {
                            const auto at = static_cast<size_t>(t * rows + row);
                            finished[at].fetch_add(1);
                            sums[at] = found_a[at] + found_b[at];
                          }
                        }
                      }
                    });
        for (const auto& count : finished) REQUIRE(count.load() == 1);
        REQUIRE(same_bits(first, found_a));
        REQUIRE(same_bits(second, found_b));
        for (size_t i = 0; i < values; ++i) REQUIRE(sums[i] == first[i] + second[i]);
      }
    }
  }
}

TEST_CASE("products that are cut into tasks together have the bits of each alone, for any number of threads") {
  Rng rng(3);
  for (const KernelTable* kernels : available_kernels()) {
    // The last has more weights than are multiplied by a group of tokens at once.
    for (const auto& [tokens, width] : {std::pair{1, 64}, {9, 64}, {16, 64}, {45, 64}, {17, 1024}}) {
      const Input in = quantize(*kernels, random_floats(rng, tokens * width, 1.0f), tokens, width);
      std::vector<Packed> packed;
      std::vector<std::vector<float>> alone;
      for (const int64_t rows : {1, 500, 33, 7, 1900}) {
        packed.push_back(pack(DType::kQ4_0, random_rows(rng, DType::kQ4_0, width, rows), width, rows, kernels->tile_rows));
        alone.emplace_back(static_cast<size_t>(tokens * rows));
        kernels->matmul_for(DType::kQ4_0)(packed.back().matrix, in.view, {0, packed.back().matrix.tiles()}, alone.back().data(), rows);
      }
      for (const int threads : {1, 2, 3, 5, 16}) {
        CAPTURE(threads);
        ThreadPool pool(threads);
        std::vector<std::vector<float>> together;
        for (const auto& values : alone) together.emplace_back(values.size(), NAN);
        for (const size_t count : {size_t{1}, packed.size()}) {
          std::vector<Product> products;
          for (size_t i = 0; i < count; ++i) products.push_back({&packed[i].matrix, in.view, together[i].data()});
          linear(pool, *kernels, products);
        }
        for (size_t i = 0; i < packed.size(); ++i) REQUIRE(same_bits(alone[i], together[i]));
      }
    }
  }
}

TEST_CASE("a row quantised in parts has the bits of the whole") {
  Rng rng(2);
  const int64_t width = 160;
  const std::vector<float> values = random_floats(rng, 2 * width, 3.0f);
  const KernelTable& kernels = *find_kernels("");
  InputBuffer buffer = std::move(InputBuffer::create(2 * width, kernels.code_bytes).value());
  const Activations view = buffer.view(values.data(), 2, width);
  for (const int token : {1, 0}) {
    for (const int64_t first : {96, 0}) buffer.quantize(kernels, view, token, first, first == 0 ? 96 : width);
  }
  const Input whole = quantize(kernels, values, 2, width);
  CHECK(std::equal(whole.codes.begin(), whole.codes.end(), view.codes));
  CHECK(std::equal(whole.scales.begin(), whole.scales.end(), view.scales));
  CHECK(std::equal(whole.half_sums.begin(), whole.half_sums.end(), view.half_sums));
  CHECK(std::equal(whole.scaled_sums.begin(), whole.scaled_sums.end(), view.scaled_sums));
}

TEST_CASE("reading memory reads each word once") {
  for (const size_t words : {1, 7, 8, 32768, 100003}) {
    std::vector<uint64_t> memory(words);
    uint64_t expected = 0;
    for (size_t i = 0; i < words; ++i) expected += memory[i] = i * 0x9e3779b97f4a7c15u;
    ThreadPool pool(2);
    CHECK(read_all(pool, std::as_bytes(std::span(memory))) == expected);
  }
}

}  // namespace tessera

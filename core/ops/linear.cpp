#include "core/ops/linear.h"

#include <algorithm>

namespace tessera {

uint64_t InputBuffer::bytes(uint64_t values, int code_bytes) {
  return values * code_bytes + values / 32 * 4 + values / 16 * 4 + values / 32 * 4;
}

Result<InputBuffer> InputBuffer::create(uint64_t values, int code_bytes) {
  InputBuffer buffer;
  buffer.code_bytes_ = code_bytes;
  struct Part {
    AlignedBuffer* target;
    uint64_t bytes;
  };
  for (const Part& part : {Part{&buffer.codes_, values * code_bytes}, Part{&buffer.scales_, values / 32 * 4},
                           Part{&buffer.half_sums_, values / 16 * 4}, Part{&buffer.scaled_sums_, values / 32 * 4}}) {
    auto memory = AlignedBuffer::allocate(part.bytes, "quantised activations");
    if (!memory) return memory.error();
    *part.target = std::move(*memory);
  }
  return buffer;
}

Activations InputBuffer::view(const float* x, int tokens, int64_t width) {
  Activations view{.tokens = tokens, .width = width, .values = x};
  if (width % kActivationBlock != 0) return view;
  view.codes = codes_.data();
  view.code_bytes = code_bytes_;
  view.scales = scales_.as<float>();
  view.half_sums = half_sums_.as<int32_t>();
  view.scaled_sums = scaled_sums_.as<float>();
  return view;
}

void InputBuffer::quantize(const KernelTable& kernels, const Activations& input, int token, int64_t first, int64_t end) {
  if (input.codes == nullptr) return;
  const int64_t at = token * input.width + first;
  kernels.quantize_row(input.values + at, end - first, codes_.data() + at * code_bytes_, scales_.as<float>() + at / 32,
                       half_sums_.as<int32_t>() + at / 16, scaled_sums_.as<float>() + at / 32);
}

void add_bias(const float* bias, int64_t n, float* x) {
  if (bias == nullptr) return;
  for (int64_t i = 0; i < n; ++i) x[i] = x[i] + bias[i];
}

Activations some_tokens(const Activations& x, int first, int count) {
  Activations part{.tokens = count, .width = x.width, .values = x.values + first * x.width};
  if (x.codes == nullptr) return part;
  part.codes = x.codes + first * x.width * x.code_bytes;
  part.code_bytes = x.code_bytes;
  part.scales = x.scales + first * (x.width / kActivationBlock);
  part.half_sums = x.half_sums + first * (x.width / 16);
  part.scaled_sums = x.scaled_sums + first * (x.width / kActivationBlock);
  return part;
}

namespace {

// With few tokens. More and shorter tasks end more evenly, but cost more than that gives (docs/performance.md).
constexpr int64_t kLeastTiles = 6 * kMostStreams;
// The same in blocks of rows of two matrices: one step of all streams.
constexpr int64_t kLeastBlocks = kMostStreams;
// With many tokens: each task makes its input ready anew, in the time that a tile takes.
constexpr int64_t kLeastGroupTiles = 64;
constexpr int64_t kLeastGroupBlocks = 12;

// Tokens [first, end) of the tiles; `end` may lie behind the last.
void multiply_tiles(const KernelTable& kernels, const Product& product, const TileRange& tiles, int first, int end) {
  const int64_t rows = product.weights->rows;
  const int tokens = std::min(end, product.x.tokens) - first;
  kernels.matmul_for(product.weights->dtype)(*product.weights, some_tokens(product.x, first, tokens), tiles, product.out + first * rows,
                                             rows);
}

// The tiles of all products lie one after the other here; calls each(product, its own of them) where there are some in `tiles`.
template <class Each>
void for_products(std::span<const Product> products, Stretch tiles, const Each& each) {
  for (const Product& product : products) {
    const int64_t own = product.weights->tiles();
    if (tiles.first < std::min(own, tiles.end)) each(product, Stretch{tiles.first, std::min(own, tiles.end)});
    tiles = {std::max<int64_t>(0, tiles.first - own), tiles.end - own};
  }
}

void multiply_few(ThreadPool& pool, const KernelTable& kernels, std::span<const Product> products, int64_t tiles) {
  const Cuts cuts((tiles + kMostStreams - 1) / kMostStreams, pool.size(), kLeastTiles / kMostStreams);
  pool.run(cuts.tasks(), [&](int task) {
    const Stretch cells = cuts.share(task), share = {cells.first * kMostStreams, cells.end * kMostStreams};
    const auto walk = [&](const Product& product, const Stretch& own) { return Walk(*product.weights, own, 1, kernels.streams); };
    int64_t steps = 0;
    for_products(products, share, [&](const Product& product, const Stretch& own) { steps += walk(product, own).steps(); });
    Stretch piece = cuts.piece(task, steps);
    for_products(products, share, [&](const Product& product, const Stretch& own) {
      const Walk way = walk(product, own);
      way.take({std::max<int64_t>(0, piece.first), std::min(way.steps(), piece.end)},
               [&](const TileRange& part) { multiply_tiles(kernels, product, part, 0, product.x.tokens); });
      piece = {piece.first - way.steps(), piece.end - way.steps()};
    });
  });
}

void multiply_many(ThreadPool& pool, const KernelTable& kernels, std::span<const Product> products, int64_t tiles, int tokens) {
  uint64_t bytes = 0;
  for (const Product& product : products) bytes += product.weights->bytes();
  const Grid grid(tiles, bytes, tokens, pool.size(), kLeastGroupTiles, kMostStreams);
  grid.run(pool, [&](const Part& part) {
    for_products(products, {part.first_unit, part.end_unit}, [&](const Product& product, const Stretch& own) {
      multiply_tiles(kernels, product, {own.first, own.end}, part.first_token, part.end_token);
    });
  });
}

}  // namespace

void linear(ThreadPool& pool, const KernelTable& kernels, std::span<const Product> products) {
  int64_t tiles = 0;
  const int tokens = products.front().x.tokens;
  bool few = are_few(tokens);
  for (const Product& product : products) {
    tiles += product.weights->tiles();
    // Experts differ in their tokens: each product is for all of its own then, as if there were few.
    few = few || product.x.tokens != tokens;
  }
  if (few) {
    multiply_few(pool, kernels, products, tiles);
  } else {
    multiply_many(pool, kernels, products, tiles, tokens);
  }
}

void linear_pair(ThreadPool& pool, const KernelTable& kernels, const Product& a, const Product& b, const FinishRows& finish) {
  const int64_t rows = a.weights->rows, blocks = (rows + kActivationBlock - 1) / kActivationBlock;
  const int64_t tiles = kActivationBlock / a.weights->tile_rows;
  if (are_few(a.x.tokens)) {
    const Cuts cuts(blocks, pool.size(), kLeastBlocks);
    pool.run(cuts.tasks(), [&](int task) {
      const Walk way(*a.weights, cuts.share(task), tiles, kernels.streams);
      way.take(cuts.piece(task, way.steps()), [&](const TileRange& part) {
        for (const Product* product : {&a, &b}) multiply_tiles(kernels, *product, part, 0, a.x.tokens);
        Stretch done[kMostStreams];
        for (int s = 0; s < part.stretches(); ++s) {
          const int64_t first = (part.first + s * part.stride) * a.weights->tile_rows;
          done[s] = {first, std::min(rows, first + (part.end - part.first) * a.weights->tile_rows)};
        }
        finish(std::span(done).first(static_cast<size_t>(part.stretches())), 0, a.x.tokens);
      });
    });
    return;
  }
  const Grid grid(blocks, a.weights->bytes() + b.weights->bytes(), a.x.tokens, pool.size(), kLeastGroupBlocks, 1);
  grid.run(pool, [&](const Part& part) {
    const TileRange own = {part.first_unit * tiles, std::min(a.weights->tiles(), part.end_unit * tiles)};
    for (const Product* product : {&a, &b}) multiply_tiles(kernels, *product, own, part.first_token, part.end_token);
    const Stretch done = {part.first_unit * kActivationBlock, std::min(rows, part.end_unit * kActivationBlock)};
    finish({&done, 1}, part.first_token, std::min(part.end_token, a.x.tokens));
  });
}

}  // namespace tessera

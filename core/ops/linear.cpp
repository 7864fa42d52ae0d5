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

// Cuts the rows of products into tasks: the share of a thread (thread_pool.h) into a half, a quarter, … and the last piece twice. The first
// tasks are long stretches of memory and cost little in all; the last ones are short, so that threads which are not equally fast end at
// nearly the same time.
class Cuts {
 public:
  // `units` of rows; no piece of less than about `least` of them, all begin at multiples of `multiple`.
  Cuts(int64_t units, int threads, int64_t least, int64_t multiple) : units_(units), multiple_(multiple), threads_(threads) {
    for (int64_t rest = units / threads; rest >= 2 * least; rest /= 2) ++pieces_;
  }
  int tasks() const { return threads_ * pieces_; }
  // The first unit of a task, and for tasks() the end of all.
  int64_t begin(int task) const {
    if (task == tasks()) return units_;
    const int thread = task / pieces_, piece = task % pieces_;
    const int64_t first = units_ * thread / threads_, share = units_ * (thread + 1) / threads_ - first;
    return (first + share - (share >> piece)) / multiple_ * multiple_;
  }

 private:
  int64_t units_, multiple_;
  int threads_, pieces_ = 1;
};

// Two rounds of all streams.
constexpr int64_t kLeastTiles = 2 * kMostStreams;
// Blocks of rows. Longer where a task reads two matrices: each change from one to the other begins new streams of memory, which cost a
// twentieth of decode.
constexpr int64_t kLeastPairBlocks = 12;

void multiply_tiles(const KernelTable& kernels, const Product& product, int64_t first, int64_t last) {
  kernels.matmul_for(product.weights->dtype)(*product.weights, product.x, {first, last, kernels.streams}, product.out,
                                             product.weights->rows);
}

}  // namespace

void linear(ThreadPool& pool, const KernelTable& kernels, std::span<const Product> products) {
  int64_t tiles = 0;
  for (const Product& product : products) tiles += product.weights->tiles();
  const Cuts cuts(tiles, pool.size(), kLeastTiles, kMostStreams);
  pool.run(cuts.tasks(), [&](int task) {
    // The tiles of all products lie one after the other here; a task can have the end of one and the beginning of the next.
    int64_t first = cuts.begin(task), end = cuts.begin(task + 1);
    for (const Product& product : products) {
      const int64_t own = product.weights->tiles();
      if (first < std::min(own, end)) multiply_tiles(kernels, product, first, std::min(own, end));
      first = std::max<int64_t>(0, first - own);
      end -= own;
    }
  });
}

void linear_pair(ThreadPool& pool, const KernelTable& kernels, const Product& a, const Product& b,
                 const std::function<void(int64_t first_row, int64_t end_row)>& finish) {
  const int64_t rows = a.weights->rows, tile_rows = a.weights->tile_rows;
  const Cuts cuts((rows + kActivationBlock - 1) / kActivationBlock, pool.size(), kLeastPairBlocks, 1);
  pool.run(cuts.tasks(), [&](int task) {
    const int64_t first = cuts.begin(task) * kActivationBlock, end = std::min(rows, cuts.begin(task + 1) * kActivationBlock);
    if (first == end) return;
    for (const Product* product : {&a, &b}) multiply_tiles(kernels, *product, first / tile_rows, (end + tile_rows - 1) / tile_rows);
    finish(first, end);
  });
}

}  // namespace tessera

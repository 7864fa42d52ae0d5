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

// Tasks a thread in one phase: several, so that one that was interrupted does not hold up the others. Some fewer where a task is read in
// streams, which should not lie too close (for_tiles in matmul_loops.h).
constexpr int kTasksPerThread = 8, kTasksInStreams = 6;
// Fewer where a task reads two matrices: each change from one to the other begins a new stream of memory, which cost a twentieth of decode.
constexpr int kPairTasksPerThread = 2;

void multiply_tiles(const KernelTable& kernels, const Product& product, int64_t first, int64_t last) {
  kernels.matmul_for(product.weights->dtype)(*product.weights, product.x, {first, last, kernels.streams}, product.out,
                                             product.weights->rows);
}

}  // namespace

void linear(ThreadPool& pool, const KernelTable& kernels, std::span<const Product> products) {
  int64_t tiles = 0;
  for (const Product& product : products) tiles += product.weights->tiles();
  const bool streams = products.front().x.tokens == 1 && kernels.streams > 1;
  const int64_t share = tiles / (pool.size() * (streams ? kTasksInStreams : kTasksPerThread));
  const int64_t multiple = streams && share >= 2 * kMostStreams ? kMostStreams : 2;
  const int64_t chunk = std::max<int64_t>(2, share / multiple * multiple);
  int tasks = 0;
  for (const Product& product : products) tasks += static_cast<int>((product.weights->tiles() + chunk - 1) / chunk);
  pool.run(tasks, [&](int task) {
    for (const Product& product : products) {
      const int64_t all = product.weights->tiles();
      const int own = static_cast<int>((all + chunk - 1) / chunk);
      if (task >= own) {
        task -= own;
        continue;
      }
      const int64_t first = task * chunk;
      return multiply_tiles(kernels, product, first, std::min(all, first + chunk));
    }
  });
}

void linear_pair(ThreadPool& pool, const KernelTable& kernels, const Product& a, const Product& b,
                 const std::function<void(int64_t first_row, int64_t end_row)>& finish) {
  const int64_t rows = a.weights->rows, tile_rows = a.weights->tile_rows;
  const int64_t chunk = std::max<int64_t>(1, rows / (pool.size() * kPairTasksPerThread) / kActivationBlock) * kActivationBlock;
  pool.run(static_cast<int>((rows + chunk - 1) / chunk), [&](int task) {
    const int64_t first = task * chunk, end = std::min(rows, first + chunk);
    for (const Product* product : {&a, &b}) multiply_tiles(kernels, *product, first / tile_rows, (end + tile_rows - 1) / tile_rows);
    finish(first, end);
  });
}

}  // namespace tessera

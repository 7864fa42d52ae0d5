#include "core/ops/linear.h"

#include <algorithm>
#include <limits>

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

// Cuts a row of cells into tasks: the share of a thread (thread_pool.h) into a half, a quarter, … and the last piece twice. The first
// tasks are long stretches of memory and cost little in all; the last ones are short, so that threads which are not equally fast end at
// nearly the same time.
class Cuts {
 public:
  // No piece of less than about `least` cells; one thread has nobody to end with, and takes all as one piece.
  Cuts(int64_t cells, int threads, int64_t least) : cells_(cells), threads_(threads) {
    for (int64_t rest = cells / threads; threads > 1 && rest >= 2 * least; rest /= 2) ++pieces_;
  }
  int tasks() const { return threads_ * pieces_; }
  // The first cell of a task, and for tasks() the end of all.
  int64_t begin(int task) const {
    if (task == tasks()) return cells_;
    const int thread = task / pieces_, piece = task % pieces_;
    const int64_t first = cells_ * thread / threads_, share = cells_ * (thread + 1) / threads_ - first;
    return first + share - (share >> piece);
  }

 private:
  int64_t cells_;
  int threads_, pieces_ = 1;
};

// Rows in units (tiles, or blocks of 32 rows), and tokens; the end of these may lie behind the last.
struct Part {
  int64_t first_unit, end_unit;
  int first_token, end_token;
};

constexpr int kAllTokens = std::numeric_limits<int>::max();
// A multiple of every kGemmTokens. A task's tokens in groups of these cost nothing, as the kernels take no more of them at once.
constexpr int kTokenGroup = 12;
// What a group of tokens is multiplied by at once: it stays in the second cache of a processor for the next group.
constexpr uint64_t kStripBytes = 512 << 10;

// Spreads products over the threads. With few tokens the time goes into reading the weights, and a task has some rows for all tokens. With
// many it goes into multiplying: a strip of rows goes through the tokens in groups, then the next strip does, and a task is a stretch of
// that way, cut wherever shares are equal.
class Grid {
 public:
  // `bytes` of weights in all. A task is about `least` units of one group or more; its ends are multiples of `multiple`.
  Grid(int64_t units, uint64_t bytes, int tokens, int threads, int64_t least, int64_t multiple)
      : units_(units),
        groups_(groups_of(tokens)),
        group_tokens_(groups_ == 1 ? kAllTokens : kTokenGroup),
        strip_(groups_ == 1 ? units : units / std::clamp<int64_t>(bytes / kStripBytes, 1, units)),
        multiple_(multiple),
        cuts_((units * groups_ + multiple - 1) / multiple, threads, least / multiple) {}

  static int groups_of(int tokens) { return tokens < 2 * kTokenGroup ? 1 : (tokens + kTokenGroup - 1) / kTokenGroup; }

  template <class Multiply>
  void run(ThreadPool& pool, const Multiply& multiply) const {
    pool.run(cuts_.tasks(), [&](int task) {
      const int64_t end = std::min(units_ * groups_, cuts_.begin(task + 1) * multiple_);
      for (int64_t at = cuts_.begin(task) * multiple_; at < end;) {
        const int64_t first = at / (strip_ * groups_) * strip_, strip = std::min(strip_, units_ - first), rest = at - first * groups_;
        const int64_t group = rest / strip, unit = rest % strip;
        // Whole groups at once, or a part of one.
        const int64_t whole = unit == 0 ? (std::min(end, (first + strip) * groups_) - at) / strip : 0;
        const int64_t units = std::min(strip - unit, end - at), groups = std::max<int64_t>(1, whole);
        multiply(Part{first + unit, first + unit + units, static_cast<int>(group * group_tokens_),
                      static_cast<int>((group + groups) * group_tokens_)});
        at += units * groups;
      }
    });
  }

 private:
  int64_t units_, groups_, group_tokens_, strip_, multiple_;
  Cuts cuts_;
};

// Two rounds of all streams.
constexpr int64_t kLeastTiles = 2 * kMostStreams;
// With many tokens: each task makes its input ready anew, in the time that a tile takes.
constexpr int64_t kLeastGroupTiles = 64;
// Blocks of rows. Longer where a task reads two matrices: each change from one to the other begins new streams of memory, which cost a
// twentieth of decode.
constexpr int64_t kLeastPairBlocks = 12;

// The part's tokens, [first, last) of the tiles.
void multiply_tiles(const KernelTable& kernels, const Product& product, int64_t first, int64_t last, const Part& part) {
  const int64_t rows = product.weights->rows;
  const int tokens = std::min(part.end_token, product.x.tokens) - part.first_token;
  kernels.matmul_for(product.weights->dtype)(*product.weights, some_tokens(product.x, part.first_token, tokens),
                                             {first, last, kernels.streams}, product.out + part.first_token * rows, rows);
}

}  // namespace

void linear(ThreadPool& pool, const KernelTable& kernels, std::span<const Product> products) {
  int64_t tiles = 0;
  uint64_t bytes = 0;
  int tokens = products.front().x.tokens;
  for (const Product& product : products) {
    tiles += product.weights->tiles();
    bytes += product.weights->bytes();
    // Experts differ in their tokens: each product is for all of its own then, as if there were few.
    if (product.x.tokens != products.front().x.tokens) tokens = 1;
  }
  const Grid grid(tiles, bytes, tokens, pool.size(), Grid::groups_of(tokens) == 1 ? kLeastTiles : kLeastGroupTiles, kMostStreams);
  grid.run(pool, [&](const Part& part) {
    // The tiles of all products lie one after the other here; a part can have the end of one and the beginning of the next.
    int64_t first = part.first_unit, end = part.end_unit;
    for (const Product& product : products) {
      const int64_t own = product.weights->tiles();
      if (first < std::min(own, end)) multiply_tiles(kernels, product, first, std::min(own, end), part);
      first = std::max<int64_t>(0, first - own);
      end -= own;
    }
  });
}

void linear_pair(ThreadPool& pool, const KernelTable& kernels, const Product& a, const Product& b, const FinishBlock& finish) {
  const int64_t rows = a.weights->rows, tile_rows = a.weights->tile_rows;
  const Grid grid((rows + kActivationBlock - 1) / kActivationBlock, a.weights->bytes() + b.weights->bytes(), a.x.tokens, pool.size(),
                  kLeastPairBlocks, 1);
  grid.run(pool, [&](const Part& part) {
    const int64_t first = part.first_unit * kActivationBlock, end = std::min(rows, part.end_unit * kActivationBlock);
    for (const Product* product : {&a, &b}) {
      multiply_tiles(kernels, *product, first / tile_rows, (end + tile_rows - 1) / tile_rows, part);
    }
    finish(first, end, part.first_token, std::min(part.end_token, a.x.tokens));
  });
}

}  // namespace tessera

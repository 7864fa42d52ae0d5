// Owns matrix products over threads: an input that is quantised once, then any number of weight matrices against it in one phase.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/base/aligned_buffer.h"
#include "core/base/result.h"
#include "core/kernels/kernels.h"
#include "core/ops/cuts.h"
#include "core/parallel/thread_pool.h"

namespace tessera {

struct Product;

/// Told of products before they are computed. Their inputs' f32 form is all that may be read.
class ProductObserver {
 public:
  virtual ~ProductObserver() = default;
  virtual void observe(std::span<const Product> products) = 0;
};

/// Room for the quantised form of one product's input; reused for every product of a forward pass.
class InputBuffer {
 public:
  /// `max_values`: the largest tokens · width of a view(); `code_bytes` of the kernels that will quantise.
  static Result<InputBuffer> create(uint64_t max_values, int code_bytes);
  static uint64_t bytes(uint64_t max_values, int code_bytes);

  /// Describes x [tokens][width] (kept by reference as the f32 form) as the input of products; each token must then be quantised.
  Activations view(const float* x, int tokens, int64_t width);
  /// Fills the quantised form of one token of the last view(). Different tokens may be done by different threads. A width that is no
  /// multiple of 32 has only the f32 form.
  void quantize(const KernelTable& kernels, const Activations& input, int token) { quantize(kernels, input, token, 0, input.width); }
  /// The same for values [first, end) of the token; `first` is a multiple of 32, and `end` is one or the width.
  void quantize(const KernelTable& kernels, const Activations& input, int token, int64_t first, int64_t end);

  ProductObserver* observer = nullptr;  ///< not owned; when set, the layers' products over this buffer are shown to it

 private:
  AlignedBuffer codes_, scales_, half_sums_, scaled_sums_;
  int code_bytes_ = 1;
};

/// One weight matrix, its input x [tokens][weights.width] and where its result goes: out [tokens][weights.rows].
struct Product {
  const PackedMatrix* weights;
  Activations x;
  float* out;
};

/// out = x · weightsᵀ for each of the products, of which there is at least one, all of them spread over the threads in one phase.
void linear(ThreadPool& pool, const KernelTable& kernels, std::span<const Product> products);

/// Called for stretches of rows of tokens [first_token, end_token).
using FinishRows = std::function<void(std::span<const Stretch> rows, int first_token, int end_token)>;

/// Both products, which have the same shape, as one phase: they are computed together in stretches of a multiple of 32 rows and some
/// tokens, and as soon as some of both are there, finish() is called for them on the same thread. It may not write what the products read.
void linear_pair(ThreadPool& pool, const KernelTable& kernels, const Product& a, const Product& b, const FinishRows& finish);

/// x [n] += bias; nullptr = none.
void add_bias(const float* bias, int64_t n, float* x);

/// Tokens [first, first + count) of `x`.
Activations some_tokens(const Activations& x, int first, int count);

}  // namespace tessera

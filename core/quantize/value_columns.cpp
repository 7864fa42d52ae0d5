#include "core/quantize/value_columns.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/tensor/dequantize.h"

namespace tessera {
namespace {

constexpr uint64_t kBatchBytes = 4 << 20;  // of f32 weights in memory at a time
// Columns differ by a factor of two in any matrix; only below that does the size say that a column meets an enormous channel. Weighing the
// ordinary ones, too, put IQ4_NL's error weighted by the weights' squares above llama-quantize's, for no more than the luck of rounding
// does to the divergence (docs/quantize.md).
constexpr double kTinyShare = 0.5;
// So much that the tiny weights decide which of the good scales of their group is taken, and not so much that the large ones are clipped
// for them: the squared error of SmolLM2's value matrices stays below llama-quantize's.
constexpr double kLargestEmphasis = 1024.0;

}  // namespace

bool is_value_matrix(const TensorInfo& tensor) { return tensor.name.ends_with(".attn_v.weight"); }

Result<std::vector<float>> value_column_emphasis(const GgufFile& file, const TensorInfo& tensor) {
  const uint64_t width = tensor.width(), rows = tensor.rows(), in_row = row_bytes(tensor.dtype, width);
  const uint64_t batch = std::clamp<uint64_t>(kBatchBytes / (width * sizeof(float)), 1, rows);
  std::vector<std::byte> in(static_cast<size_t>(batch * in_row));
  std::vector<float> weights(static_cast<size_t>(width));
  std::vector<double> squares(static_cast<size_t>(width));
  for (uint64_t first = 0; first < rows; first += batch) {
    const uint64_t count = std::min(batch, rows - first);
    if (auto done = file.read(tensor, first * in_row, std::span(in).first(static_cast<size_t>(count * in_row))); !done) return done.error();
    for (uint64_t row = 0; row < count; ++row) {
      dequantize_row(tensor.dtype, in.data() + row * in_row, width, weights.data());
      for (size_t i = 0; i < weights.size(); ++i) squares[i] += static_cast<double>(weights[i]) * weights[i];
    }
  }
  const double mean = std::accumulate(squares.begin(), squares.end(), 0.0) / static_cast<double>(width);
  if (!(mean > 0.0) || !std::isfinite(mean)) return std::vector<float>{};
  std::vector<float> emphasis(static_cast<size_t>(width));
  const double tiny = kTinyShare * mean, smallest = tiny / std::sqrt(kLargestEmphasis);
  std::transform(squares.begin(), squares.end(), emphasis.begin(), [&](double square) {
    const double ratio = tiny / std::max(square, smallest);
    return static_cast<float>(std::max(1.0, ratio * ratio));
  });
  return emphasis;
}

}  // namespace tessera

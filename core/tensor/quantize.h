// Owns the plain reference quantisation f32 → bytes of a row: round to nearest, no search; for tests, tools and small tensors.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor/dtype.h"

namespace tessera {

/// Whether quantize_row knows the format; all can be read, but there is no reference quantiser for the 2- and 3-bit, table and ternary
/// ones.
bool can_quantize(DType dtype);

/// Quantises one row, in a format that can_quantize, of finite weights `in` [width] into `out` [row_bytes(dtype, width)]; width is a
/// multiple of the format's block, the weights are within the range of f16 scales. Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, F16 and BF16 give the very
/// bytes of the gguf Python package; Q4_K, Q5_K and Q6_K take each group's own range as its scale. Thread-safe.
void quantize_row(DType dtype, const float* in, uint64_t width, std::byte* out);

}  // namespace tessera

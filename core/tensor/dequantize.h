// Owns the reference meaning of every format: bytes of a row → f32. Plain loops; the kernels are tested against it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor/dtype.h"

namespace tessera {

/// Dequantises one row: `row` is row_bytes(dtype, width) bytes with no alignment asked for, `out` is [width]; width is a
/// multiple of the format's block. Products and sums are f32 in the order that blocks.h writes them. Thread-safe.
void dequantize_row(DType dtype, const std::byte* row, uint64_t width, float* out);

}  // namespace tessera

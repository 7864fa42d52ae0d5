// Owns the quantisation of rows with a search for the scales that lose least: what `tessera quantize` writes. quantize.h has the plain one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor/dtype.h"

namespace tessera {

/// Quantises one row `in` [width] of finite weights of at most 65504 into `out` [row_bytes(dtype, width)]; width is a multiple of the
/// format's block. `importance` [width] is how much an error in each column matters (the mean square of the activations it meets), not
/// negative; nullptr where that is not known. F32, F16 and BF16 are rounded; every block format that plan.h names is searched. The same
/// bytes on every machine. Thread-safe.
void search_row(DType dtype, const float* in, uint64_t width, const float* importance, std::byte* out);

/// The same where no importance is known, but that an error in a column counts `emphasis` [width] times as much as it else would.
void search_row_with_emphasis(DType dtype, const float* in, uint64_t width, const float* emphasis, std::byte* out);

}  // namespace tessera

// Owns the taking apart of a file's blocks: 32 weights of any quantised format as one byte a code, for the packer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor/dtype.h"

namespace tessera {

/// 32 weights of a row, factors and codes apart, in the terms of PackedLayout.
struct RawBlock {
  uint32_t d = 0;           ///< bits of the scale of the block or super-block: f16, f32 (Q8_K) or E8M0 (MXFP4)
  uint16_t m = 0;           ///< f16 minimum, or dmin of the super-block
  uint8_t factors[2] = {};  ///< what PackedLayout::factors() counts
  uint8_t codes[32] = {};   ///< unsigned; two's complement for Q8_0 and Q8_K, whose -128 (no quantiser writes it) becomes -127
};

/// Block `block` (of 32 weights) of a row of GGUF bytes.
using ReadRawBlockFn = RawBlock (*)(const std::byte* row, int64_t block);

/// The reader of a quantised format; nullptr for F32, F16 and BF16.
ReadRawBlockFn raw_block_reader(DType dtype);

}  // namespace tessera

// Owns the list of number formats that GGUF tensors come in, with the facts every layer needs about each.
// Source: enum ggml_type and the block structs of the GGUF specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tessera {

/// The formats this build can read; the values are GGUF's own numbers.
enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
};

/// One more than the largest value of DType: the size of a table that is indexed by it.
inline constexpr size_t kDTypeNumbers = 40;

/// Facts about one format.
struct DTypeTraits {
  DType dtype;
  std::string_view name;   ///< "Q4_K", as users and file names spell it
  uint32_t block_weights;  ///< weights in one block; a row is a whole number of blocks
  uint32_t block_bytes;    ///< bytes of one block
};

/// All formats, in the order of their GGUF numbers.
std::span<const DTypeTraits> all_dtypes();

/// Facts of a known format.
const DTypeTraits& traits(DType dtype);

/// The format with GGUF's number, or nothing if this build cannot read it.
std::optional<DType> dtype_from_gguf(uint32_t id);

/// The format's usual name even for those that this build refuses ("IQ2_XXS"), or "unknown"; for error messages.
std::string_view gguf_dtype_name(uint32_t id);

/// Bytes of one row of `width` weights; width must be a multiple of the block.
uint64_t row_bytes(DType dtype, uint64_t width);

}  // namespace tessera

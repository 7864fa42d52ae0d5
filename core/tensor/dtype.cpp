#include "core/tensor/dtype.h"

#include <array>
#include <cassert>
#include <utility>

namespace tessera {
namespace {

constexpr std::array kTraits = {
    DTypeTraits{DType::kF32, "F32", 1, 4},           DTypeTraits{DType::kF16, "F16", 1, 2},
    DTypeTraits{DType::kQ4_0, "Q4_0", 32, 18},       DTypeTraits{DType::kQ4_1, "Q4_1", 32, 20},
    DTypeTraits{DType::kQ5_0, "Q5_0", 32, 22},       DTypeTraits{DType::kQ5_1, "Q5_1", 32, 24},
    DTypeTraits{DType::kQ8_0, "Q8_0", 32, 34},       DTypeTraits{DType::kQ2_K, "Q2_K", 256, 84},
    DTypeTraits{DType::kQ3_K, "Q3_K", 256, 110},     DTypeTraits{DType::kQ4_K, "Q4_K", 256, 144},
    DTypeTraits{DType::kQ5_K, "Q5_K", 256, 176},     DTypeTraits{DType::kQ6_K, "Q6_K", 256, 210},
    DTypeTraits{DType::kQ8_K, "Q8_K", 256, 292},     DTypeTraits{DType::kIQ4_NL, "IQ4_NL", 32, 18},
    DTypeTraits{DType::kIQ4_XS, "IQ4_XS", 256, 136}, DTypeTraits{DType::kBF16, "BF16", 1, 2},
    DTypeTraits{DType::kTQ1_0, "TQ1_0", 256, 54},    DTypeTraits{DType::kTQ2_0, "TQ2_0", 256, 66},
    DTypeTraits{DType::kMXFP4, "MXFP4", 32, 17},
};

/// Formats that exist in GGUF files but that this build does not read.
constexpr std::array<std::pair<uint32_t, std::string_view>, 22> kRefused = {{
    {4, "Q4_2"},        {5, "Q4_3"},        {9, "Q8_1"},        {16, "IQ2_XXS"},  {17, "IQ2_XS"},   {18, "IQ3_XXS"},
    {19, "IQ1_S"},      {21, "IQ3_S"},      {22, "IQ2_S"},      {24, "I8"},       {25, "I16"},      {26, "I32"},
    {27, "I64"},        {28, "F64"},        {29, "IQ1_M"},      {31, "Q4_0_4_4"}, {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"},
    {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {40, "NVFP4"},
}};

const DTypeTraits* find(uint32_t id) {
  for (const DTypeTraits& entry : kTraits) {
    if (static_cast<uint32_t>(entry.dtype) == id) return &entry;
  }
  return nullptr;
}

}  // namespace

std::span<const DTypeTraits> all_dtypes() { return kTraits; }

const DTypeTraits& traits(DType dtype) {
  const DTypeTraits* entry = find(static_cast<uint32_t>(dtype));
  assert(entry != nullptr);
  return *entry;
}

std::optional<DType> dtype_from_gguf(uint32_t id) {
  const DTypeTraits* entry = find(id);
  if (entry == nullptr) return std::nullopt;
  return entry->dtype;
}

std::string_view gguf_dtype_name(uint32_t id) {
  if (const DTypeTraits* entry = find(id)) return entry->name;
  for (const auto& [number, name] : kRefused) {
    if (number == id) return name;
  }
  return "unknown";
}

uint64_t row_bytes(DType dtype, uint64_t width) {
  const DTypeTraits& format = traits(dtype);
  assert(width % format.block_weights == 0);
  return width / format.block_weights * format.block_bytes;
}

}  // namespace tessera

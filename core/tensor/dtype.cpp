#include "core/tensor/dtype.h"

#include <array>
#include <cassert>
#include <utility>

namespace tessera {
namespace {

constexpr std::array kTraits = {
    DTypeTraits{DType::kF32, "F32", 1, 4},       DTypeTraits{DType::kF16, "F16", 1, 2},       DTypeTraits{DType::kQ4_0, "Q4_0", 32, 18},
    DTypeTraits{DType::kQ4_1, "Q4_1", 32, 20},   DTypeTraits{DType::kQ5_0, "Q5_0", 32, 22},   DTypeTraits{DType::kQ5_1, "Q5_1", 32, 24},
    DTypeTraits{DType::kQ8_0, "Q8_0", 32, 34},   DTypeTraits{DType::kQ4_K, "Q4_K", 256, 144}, DTypeTraits{DType::kQ5_K, "Q5_K", 256, 176},
    DTypeTraits{DType::kQ6_K, "Q6_K", 256, 210}, DTypeTraits{DType::kBF16, "BF16", 1, 2},
};

/// Formats that exist in GGUF files but that this build does not read.
constexpr std::array<std::pair<uint32_t, std::string_view>, 30> kRefused = {{
    {4, "Q4_2"},     {5, "Q4_3"},        {9, "Q8_1"},        {10, "Q2_K"},       {11, "Q3_K"},     {15, "Q8_K"},
    {16, "IQ2_XXS"}, {17, "IQ2_XS"},     {18, "IQ3_XXS"},    {19, "IQ1_S"},      {20, "IQ4_NL"},   {21, "IQ3_S"},
    {22, "IQ2_S"},   {23, "IQ4_XS"},     {24, "I8"},         {25, "I16"},        {26, "I32"},      {27, "I64"},
    {28, "F64"},     {29, "IQ1_M"},      {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"},   {33, "Q4_0_8_8"}, {34, "TQ1_0"},
    {35, "TQ2_0"},   {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {39, "MXFP4"},    {40, "NVFP4"},
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

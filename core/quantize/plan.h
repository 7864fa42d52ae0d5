// Owns which number format each tensor of a quantised file gets: the mixes that a type name such as Q4_K_M stands for.
// Source: what llama-quantize 0.7.0 chooses (`--dry-run`), observed on real and synthetic models; tests/data/quantize-plans.json holds it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"
#include "core/tensor/dtype.h"

namespace tessera {

/// A type of whole files: a mix of number formats under one name.
struct FileType {
  std::string_view name;  ///< "Q4_K_M"
  uint32_t number;        ///< the value of general.file_type
  DType base;             ///< the format of tensors that the mix does not single out
};

/// All types that can be written, in the order of their numbers.
std::span<const FileType> file_types();
/// The type of that name; letter case does not matter and Q3_K, Q4_K and Q5_K stand for their _M. kInvalidArgument lists the names.
Result<FileType> file_type_from_name(std::string_view name);
/// A single tensor's format by name, of those that search_row.h can write. kInvalidArgument lists the names.
Result<DType> tensor_type_from_name(std::string_view name);

/// What a mix depends on besides the tensors.
struct PlanOptions {
  bool pure = false;                    ///< every matrix in the base format
  bool has_importance = false;          ///< an importance matrix is given: some mixes then spend their bits elsewhere
  std::optional<DType> output_type;     ///< instead of the mix's choice for output.weight
  std::optional<DType> embedding_type;  ///< instead of the mix's choice for token_embd.weight
};

/// What a mix asks of a model's metadata.
struct ModelShape {
  std::string architecture;
  uint64_t layers = 0;
  uint64_t heads_per_kv_head = 1;
  uint64_t experts = 0;
  bool tied = false;  ///< there is no output.weight: the embedding is the output matrix, too
};
/// Reads general.architecture and the counts of blocks, heads and experts; what is missing counts as none.
ModelShape model_shape(const GgufFile& file);

/// The format of each tensor, in the order of `tensors`. Vectors, norms and routers keep theirs. A row that the format's blocks do not
/// divide gets the fallback of about as many bits in blocks of 32, and F16 where 32 does not divide it either.
std::vector<DType> plan_formats(std::span<const TensorInfo> tensors, const ModelShape& shape, const FileType& type,
                                const PlanOptions& options);

}  // namespace tessera

// Owns the importance file: per weight matrix and input column the mean square of the activations that the column met.
// Source: llama.cpp's GGUF importance files: general.type "imatrix", tensors NAME.in_sum2 [width, matrices] and NAME.counts
// [1, matrices], keys imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size. `matrices` is 1, or the number of experts.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/gguf/writer.h"

namespace tessera {

/// Sums that one weight matrix (or each of several experts) has collected.
struct ColumnSums {
  std::vector<float> squares;  ///< [matrices][width] sum over tokens of the input's square
  std::vector<float> counts;   ///< [matrices] tokens that each has seen
};

/// Immutable after reading; safe to share.
class ImportanceMatrix {
 public:
  /// Errors: kBadFile (not an importance file; a matrix without counts; a sum that is not finite or negative), those of GgufFile::open.
  static Result<ImportanceMatrix> read(std::shared_ptr<const ByteSource> source);

  /// The importance of each column of a tensor, [matrices][width]; nullptr where nothing was collected for it. Each matrix's values have
  /// the mean 1; one that saw no tokens counts every column the same. kBadFile when the width is another one or the rows do not divide.
  Result<const std::vector<float>*> columns(const std::string& tensor, uint64_t width, uint64_t rows) const;

  size_t entries() const { return columns_.size(); }
  uint64_t chunks() const { return chunks_; }
  const std::string& dataset() const { return dataset_; }

 private:
  struct Columns {
    uint64_t width;
    std::vector<float> values;
  };
  std::map<std::string, Columns> columns_;
  std::string dataset_;
  uint64_t chunks_ = 0;
};

/// Writes an importance file. Errors of the sink and of GgufWriter.
Result<void> write_importance(const std::map<std::string, ColumnSums>& sums, const std::string& dataset, uint64_t chunks,
                              uint64_t chunk_size, const ByteSink& sink);

}  // namespace tessera

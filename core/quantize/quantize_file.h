// Owns `quantize` of a whole GGUF: tensor by tensor from its sources into a sink, never more than a few megabytes of them in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/gguf/gguf_file.h"
#include "core/gguf/importance_file.h"
#include "core/gguf/writer.h"
#include "core/quantize/plan.h"

namespace tessera {

/// What to write. Types are names as users spell them; "" = the mix's own choice.
struct QuantizeOptions {
  std::string type;                              ///< a FileType: "Q4_K_M"
  bool pure = false;                             ///< every matrix in the type's base format
  std::string output_type;                       ///< format of output.weight (of the embedding where the model has no output.weight)
  std::string embedding_type;                    ///< format of token_embd.weight
  int threads = 0;                               ///< 0 = all processors; else 1…64
  std::shared_ptr<const ByteSource> importance;  ///< an importance file, or null
  std::string importance_name;                   ///< its name, for the metadata
  /// Called with bytes of the input done and in all; return false to abort (kAborted).
  std::function<bool(uint64_t done, uint64_t total)> on_progress;
};

/// What was written.
struct QuantizeReport {
  std::string type;
  size_t tensors = 0;
  size_t converted = 0;   ///< tensors that are in another format than before
  size_t unweighted = 0;  ///< of those, matrices that the importance file says nothing of; 0 without one
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
  uint64_t parameters = 0;
  std::map<std::string, uint64_t> bytes_per_format;
};

/// A model that was opened and planned, ready to be written once. Not thread-safe.
class Quantizer {
 public:
  /// Reads headers only. Errors of GgufFile::open_split and ImportanceMatrix::read; kInvalidArgument for the options.
  static Result<std::unique_ptr<Quantizer>> open(std::vector<std::shared_ptr<const ByteSource>> parts, QuantizeOptions options);

  /// Bytes of all tensors of the output: its size but for the header.
  uint64_t output_bytes() const;

  /// Writes one GGUF v3: every metadata entry as it was (split.* left out), with general.file_type and general.quantization_version
  /// set. Errors: those of the sink and of reading; kBadFile for a weight that is not finite; kInvalidArgument for one beyond the range of
  /// a half-precision number where the format needs that; kAborted.
  Result<QuantizeReport> write(const ByteSink& sink);

 private:
  Quantizer(GgufFile file, QuantizeOptions options) : file_(std::move(file)), options_(std::move(options)) {}
  Result<void> plan();
  Result<void> set_metadata(GgufWriter& writer) const;

  GgufFile file_;
  QuantizeOptions options_;
  std::shared_ptr<const ByteSource> first_part_;
  FileType type_{};
  std::optional<ImportanceMatrix> importance_;
  std::vector<DType> formats_;  ///< of each tensor of file_
};

}  // namespace tessera

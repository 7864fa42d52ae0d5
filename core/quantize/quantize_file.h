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
#include "core/parallel/thread_pool.h"
#include "core/quantize/plan.h"

namespace tessera {

/// What to write. Types are names as users spell them; "" = the mix's own choice.
struct QuantizeOptions {
  std::string type;                                    ///< a FileType: "Q4_K_M"
  bool pure = false;                                   ///< every matrix in the type's base format
  std::string output_type;                             ///< format of output.weight (of the embedding where the model has no output.weight)
  std::string embedding_type;                          ///< format of token_embd.weight
  int threads = 0;                                     ///< 0 = all processors; else 1…64
  std::shared_ptr<const ImportanceMatrix> importance;  ///< of this model, or null
  std::string importance_name;                         ///< its file's name, for the metadata
  /// Called with bytes of the input done and in all; return false to abort (kAborted).
  std::function<bool(uint64_t done, uint64_t total)> on_progress;
};

/// What is to be written; known before anything is.
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

/// What a model is and how large it would be in every type.
struct QuantizeSizes {
  std::string format;  ///< the one that holds most weights now: "F16"
  uint64_t parameters = 0;
  std::vector<std::pair<std::string_view, uint64_t>> types;  ///< names of file_types() and bytes of the output
};
/// From headers alone: `parts` as in GgufFile::open_headers. Errors of that.
Result<QuantizeSizes> quantize_sizes(std::vector<std::shared_ptr<const ByteSource>> parts);

/// A model that was opened and planned, ready to be written once. Not thread-safe.
class Quantizer {
 public:
  /// Reads headers only. Errors of GgufFile::open_split; kInvalidArgument for the options; kBadFile for the importance of another model.
  static Result<std::unique_ptr<Quantizer>> open(std::vector<std::shared_ptr<const ByteSource>> parts, QuantizeOptions options);
  ~Quantizer();

  const QuantizeReport& report() const { return report_; }

  /// Writes one GGUF v3: every metadata entry as it was (split.* left out), with general.file_type and general.quantization_version
  /// set. Errors: those of the sink and of reading; kBadFile for a weight that is not finite; kInvalidArgument for one beyond the range of
  /// a half-precision number where the format needs that; kAborted.
  Result<void> write(const ByteSink& sink);

  /// The same bit by bit, for a caller with other work in between: each call gives the sink the header or at most a few megabytes, one
  /// row at least. Returns whether more is to come. Errors as write(), which end it; on_progress is not called.
  Result<bool> step(const ByteSink& sink);
  uint64_t done_bytes() const { return done_bytes_; }    ///< of the input's tensors, so far
  uint64_t total_bytes() const { return total_bytes_; }  ///< of the input's tensors

 private:
  class TensorWriter;
  Quantizer(GgufFile file, QuantizeOptions options);
  Result<void> plan();
  Result<void> find_importance();
  Result<void> prepare_head(const ByteSource& first_part);

  GgufFile file_;
  QuantizeOptions options_;
  FileType type_{};
  std::vector<const std::vector<float>*> columns_;  ///< [tensors] importance of each one's columns, or null
  std::vector<DType> formats_;                      ///< [tensors] of the output
  QuantizeReport report_;

  std::vector<std::byte> head_;  ///< of the output; empty once it is written
  uint64_t alignment_ = 1;       ///< of the output's tensors
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<TensorWriter> tensor_;  ///< the one in progress, or null
  size_t next_ = 0;                       ///< tensor in progress or to come
  uint64_t done_bytes_ = 0, total_bytes_ = 0;
};

}  // namespace tessera

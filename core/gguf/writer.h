// Owns TENSORS → BYTES: writing a GGUF v3 file piece by piece into a sink. Source: the GGUF specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"

namespace tessera {

/// Takes the next bytes of an output; an error stops the writer.
using ByteSink = std::function<Result<void>(std::span<const std::byte> bytes)>;

/// `size`, filled up to a multiple of `alignment`: what a tensor's data takes in the file.
inline uint64_t padded(uint64_t size, uint64_t alignment) { return (size + alignment - 1) / alignment * alignment; }

/// Collects metadata and tensors, then writes them in the order they were added. Not thread-safe.
class GgufWriter {
 public:
  GgufWriter();

  /// Sets or replaces a metadata value. Numbers take GGUF's usual width: u32 or i32 where the value fits, else 64 bits; f32 where that is
  /// exact, else f64; an array takes the width that all its elements fit. Setting "general.alignment" (a power of two) moves the tensors.
  void set(const std::string& key, const MetadataValue& value);
  // The same for the commonest types; a module that needs no others does not carry them along.
  void set_number(const std::string& key, uint32_t value);
  void set_text(const std::string& key, const std::string& value);
  /// Sets or replaces a metadata value by its bytes, value type and value as raw_metadata.h reads them; not for "general.alignment".
  void set_raw(const std::string& key, std::vector<std::byte> value);

  /// Adds a tensor of shape[0] = width by 1…3 more dimensions, whose data `produce` hands over when write() comes to it: exactly
  /// rows · row_bytes(dtype, width) bytes in any number of pieces. kInvalidArgument for a name that is empty or there already and for
  /// a shape that is not 1…4 non-zero sizes with whole blocks in a row.
  Result<void> add_tensor(const std::string& name, DType dtype, std::vector<uint64_t> shape,
                          std::function<Result<void>(const ByteSink& sink)> produce);
  /// The same with the data in memory.
  Result<void> add_tensor(const std::string& name, DType dtype, std::vector<uint64_t> shape, std::vector<std::byte> data);

  /// Writes the file. Errors of the sink and of the producers; kInvalidArgument when a producer gives too few or too many bytes or
  /// "general.alignment" is not a power of two.
  Result<void> write(const ByteSink& sink) const;

  /// The file in memory.
  Result<std::vector<std::byte>> to_bytes() const;

  // For callers that write the tensors' data themselves, bit by bit; `produce` may then be empty.
  /// What the data of each tensor is filled up to a multiple of, with zeros. kInvalidArgument as write().
  Result<uint64_t> alignment() const;
  /// The file up to the first tensor's data. kInvalidArgument as write().
  Result<std::vector<std::byte>> head() const;

 private:
  struct Tensor {
    TensorInfo info;  ///< offset within the data section is found by write()
    std::function<Result<void>(const ByteSink& sink)> produce;
  };
  std::vector<std::byte> header(uint64_t alignment) const;

  std::vector<std::pair<std::string, std::vector<std::byte>>> metadata_;  ///< key; value type and value as they are written
  std::unordered_map<std::string, size_t> metadata_index_;                ///< key → where it is in metadata_
  uint64_t alignment_;                                                    ///< 0: what was set is no number
  std::vector<Tensor> tensors_;
  std::unordered_set<std::string> tensor_names_;  ///< of tensors_
};

}  // namespace tessera

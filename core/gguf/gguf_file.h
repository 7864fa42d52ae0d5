// Owns BYTES → TENSORS: the checked view of a GGUF v2/v3 file (header, metadata, tensor directory); never copies tensor data.
// Source: the GGUF specification (ggml/docs/gguf.md in the ggml repository).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/tensor/dtype.h"

namespace tessera {

/// A metadata value. Integers of every width become int64_t or uint64_t, floats become double; arrays are homogeneous.
/// Bool arrays are stored as int64_t 0/1; arrays of arrays are refused at open (no known key uses them).
using MetadataValue =
    std::variant<uint64_t, int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>, std::vector<std::string>>;

/// One row of the tensor directory. All fields were checked against the file's size and against each other at open.
struct TensorInfo {
  std::string name;
  DType dtype;
  std::vector<uint64_t> shape;  ///< GGUF order: shape[0] is the contiguous dimension (width); 1…4 entries, none zero
  int part = 0;                 ///< which split file holds it
  uint64_t offset = 0;          ///< absolute byte offset of its data inside that part's source
  uint64_t bytes = 0;           ///< length of its data

  uint64_t elements() const;
  uint64_t width() const { return shape[0]; }
  uint64_t rows() const { return elements() / shape[0]; }  ///< product of all dimensions but the first
};

/// A parsed GGUF. Immutable after open, but for forget_arrays(); safe to share between threads.
class GgufFile {
 public:
  /// Parses one file. Errors: kBadFile (wrong magic, version, counts, strings, alignment, overlapping or out-of-file
  /// tensors, duplicate names), kUnsupported (unknown dtype; big-endian), kIo.
  /// Every count is checked against the bytes that remain, and against what any model has, before anything is allocated for it, so memory
  /// is bounded by a small multiple (an in-memory string or int64 for the shortest string or byte) of bytes that are really there.
  /// One part of a split model is kBadFile: all parts are needed.
  static Result<GgufFile> open(std::shared_ptr<const ByteSource> source);

  /// Parses a split model: parts in order, each a GGUF with `split.no`, `split.count`, `split.tensors.count`.
  /// One part without split keys is the same as open().
  static Result<GgufFile> open_split(std::vector<std::shared_ptr<const ByteSource>> parts);

  /// The same from the first bytes of each part: metadata and tensor directory must be whole, the tensors' data need not be there and
  /// must not be read. For what can be said of a model before it is downloaded.
  static Result<GgufFile> open_headers(std::vector<std::shared_ptr<const ByteSource>> parts);

  uint32_t version() const { return version_; }
  /// Metadata in file order (of the first part).
  const std::vector<std::pair<std::string, MetadataValue>>& metadata() const { return metadata_; }
  /// Tensors in file order over all parts.
  std::span<const TensorInfo> tensors() const { return tensors_; }
  /// The tensor of that name, or nullptr.
  const TensorInfo* find_tensor(std::string_view name) const;

  /// The raw value, or nullptr when the key is absent.
  const MetadataValue* find(std::string_view key) const;

  /// Gives back the memory of metadata that are arrays (vocabularies, for the most part); they are absent from now on.
  void forget_arrays();

  // Typed look-ups: kNotFound when absent, kBadFile when the stored type or sign does not fit; messages name the key.
  Result<uint64_t> get_uint(std::string_view key) const;
  Result<double> get_float(std::string_view key) const;  ///< accepts integers, too
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string> get_string(std::string_view key) const;
  /// Arrays are returned by pointer into the file object: no copies of 100,000-entry vocabularies.
  Result<const std::vector<std::string>*> get_strings(std::string_view key) const;
  Result<const std::vector<int64_t>*> get_ints(std::string_view key) const;
  Result<const std::vector<double>*> get_floats(std::string_view key) const;

  /// Copies `out.size()` bytes of the tensor's data from `offset` within the tensor.
  Result<void> read(const TensorInfo& tensor, uint64_t offset, std::span<std::byte> out) const;
  /// The tensor's bytes in place when the source is in memory, else empty.
  std::span<const std::byte> view(const TensorInfo& tensor) const;
  /// Says that `length` bytes of that view from `offset` on are not needed any more.
  void release(const TensorInfo& tensor, uint64_t offset, uint64_t length) const;

  /// Sum of the sizes of all parts.
  uint64_t file_bytes() const;
  /// Weights in all tensors.
  uint64_t parameters() const;
  /// Name of the format that holds the most weights ("Q4_1"), or "" in a file without tensors.
  std::string_view main_format() const;

 private:
  friend class GgufParser;
  /// One file, whether or not it is a part of a split model (parser.cpp).
  static Result<GgufFile> parse_part(std::shared_ptr<const ByteSource> source, bool header_only);
  static Result<GgufFile> open_parts(std::vector<std::shared_ptr<const ByteSource>> parts, bool header_only);
  static Result<GgufFile> open_one(std::shared_ptr<const ByteSource> source, bool header_only);
  /// Joins the next part of a split model; kBadFile for a tensor that an earlier part has.
  Result<void> append(GgufFile part);

  uint32_t version_ = 0;
  std::vector<std::shared_ptr<const ByteSource>> parts_;
  std::vector<std::pair<std::string, MetadataValue>> metadata_;
  std::unordered_map<std::string, size_t> metadata_index_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> tensor_index_;
};

}  // namespace tessera

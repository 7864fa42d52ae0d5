// The GGUF parser: header, metadata, tensor directory; each field checked where it is read, the tensors against each other at the end.
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "core/base/byte_reader.h"
#include "core/base/heap_sort.h"
#include "core/gguf/gguf_file.h"

namespace tessera {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 20;                  // what writes a file anew fills its header up to it, in memory
constexpr uint64_t kMinKeyValueBytes = 8 + 1 + 4 + 1;        // length, one letter, type, the smallest value
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // length, one letter, dimensions, one dimension, dtype, offset
// Far above any model; below them a count that is damaged would take several times the file's size in memory.
constexpr uint64_t kMostEntries = 1 << 20;   // metadata keys, tensors
constexpr uint64_t kMostElements = 1 << 24;  // of an array
constexpr std::string_view kDamaged = "the file is damaged or not a GGUF model; download it again";

/// Value types of the metadata section; the numbers are GGUF's.
enum class ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

/// Bytes of one array element of this type, at least; 0 for what an array cannot hold.
uint64_t min_element_bytes(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool: return 1;
    case ValueType::kU16:
    case ValueType::kI16: return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32: return 4;
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64:
    case ValueType::kString: return 8;
    case ValueType::kArray: return 0;
  }
  return 0;
}

Error bad(std::string message) { return {ErrorCode::kBadFile, std::move(message), std::string(kDamaged)}; }

/// A name from the file, made fit for a message: control bytes replaced, cut at 80 bytes.
std::string shown(std::string_view name) {
  std::string text(name.substr(0, 80));
  for (char& letter : text) {
    if (static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f) letter = '?';
  }
  return name.size() > 80 ? text + "..." : text;
}

}  // namespace

/// Fills one GgufFile from one source; used once.
class GgufParser {
 public:
  GgufParser(std::shared_ptr<const ByteSource> source, bool header_only) : reader_(*source), header_only_(header_only) {
    file_.parts_.push_back(std::move(source));
  }

  Result<GgufFile> parse() {
    if (auto done = read_header(); !done) return done.error();
    for (uint64_t i = 0; i < metadata_count_; ++i) {
      if (auto done = read_key_value(i); !done) return done.error();
    }
    if (auto done = read_alignment(); !done) return done.error();
    for (uint64_t i = 0; i < tensor_count_; ++i) {
      if (auto done = read_tensor(i); !done) return done.error();
    }
    if (auto done = place_tensors(); !done) return done.error();
    return std::move(file_);
  }

 private:
  Result<void> read_header() {
    const auto magic = reader_.scalar<uint32_t>("the GGUF magic");
    if (!magic) return magic.error();
    if (magic.value() != kMagic) return bad("the file does not begin with the letters GGUF");
    const auto version = reader_.scalar<uint32_t>("the GGUF version");
    if (!version) return version.error();
    if (auto done = check_version(version.value()); !done) return done;
    file_.version_ = version.value();
    const auto tensors = reader_.scalar<uint64_t>("the tensor count");
    if (!tensors) return tensors.error();
    const auto keys = reader_.scalar<uint64_t>("the metadata count");
    if (!keys) return keys.error();
    tensor_count_ = tensors.value();
    metadata_count_ = keys.value();
    if (auto done = check_count("the tensor count", tensor_count_, kMinTensorBytes, kMostEntries); !done) return done;
    if (auto done = check_count("the metadata count", metadata_count_, kMinKeyValueBytes, kMostEntries); !done) return done;
    file_.metadata_.reserve(static_cast<size_t>(metadata_count_));
    file_.tensors_.reserve(static_cast<size_t>(tensor_count_));
    return {};
  }

  static Result<void> check_version(uint32_t version) {
    if (version == 2 || version == 3) return {};
    if (version == 1) return Error{ErrorCode::kUnsupported, "GGUF version 1 is not supported, expected 2 or 3", "convert the model again"};
    if ((version & 0xffffu) == 0 && version != 0) {
      return Error{ErrorCode::kUnsupported, "this is a big-endian GGUF file, expected little-endian",
                   "use the little-endian file of the model"};
    }
    return bad("the GGUF version is " + std::to_string(version) + ", expected 2 or 3");
  }

  /// Refuses a count that the remaining bytes cannot hold or that is above `most`; `unit` is the smallest size of one item.
  Result<void> check_count(std::string_view field, uint64_t count, uint64_t unit, uint64_t most) const {
    if (count > reader_.remaining() / unit) {
      const std::string negative = count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) ? " (a negative number)" : "";
      return bad(std::string(field) + " is " + std::to_string(count) + negative + ", more than the " + std::to_string(reader_.remaining()) +
                 " bytes that follow can hold");
    }
    if (count > most) return bad(std::string(field) + " is " + std::to_string(count) + ", expected at most " + std::to_string(most));
    return {};
  }

  Result<std::string> read_string(std::string_view field) {
    const auto length = reader_.scalar<uint64_t>(field);
    if (!length) return length.error();
    return reader_.string(length.value(), field);
  }

  /// A key or a tensor name: a string of 1…65535 bytes.
  Result<std::string> read_name(const std::string& field) {
    auto name = read_string(field);
    if (!name) return name;
    if (name->empty()) return bad(field + " is empty");
    if (name->size() > kMaxKeyBytes) return bad(field + " has " + std::to_string(name->size()) + " bytes, expected at most 65535");
    return name;
  }

  Result<void> read_key_value(uint64_t number) {
    auto key = read_name("metadata key number " + std::to_string(number));
    if (!key) return key.error();
    const std::string field = "metadata key " + shown(*key);
    const auto type = reader_.scalar<uint32_t>(field);
    if (!type) return type.error();
    auto value = read_value(field, type.value());
    if (!value) return value.error();
    if (!file_.metadata_index_.emplace(*key, file_.metadata_.size()).second) return bad(field + " is there twice");
    file_.metadata_.emplace_back(std::move(*key), std::move(*value));
    return {};
  }

  Result<MetadataValue> read_value(const std::string& field, uint32_t type) {
    switch (static_cast<ValueType>(type)) {
      case ValueType::kU8: return read_scalar<uint8_t, uint64_t>(field);
      case ValueType::kU16: return read_scalar<uint16_t, uint64_t>(field);
      case ValueType::kU32: return read_scalar<uint32_t, uint64_t>(field);
      case ValueType::kU64: return read_scalar<uint64_t, uint64_t>(field);
      case ValueType::kI8: return read_scalar<int8_t, int64_t>(field);
      case ValueType::kI16: return read_scalar<int16_t, int64_t>(field);
      case ValueType::kI32: return read_scalar<int32_t, int64_t>(field);
      case ValueType::kI64: return read_scalar<int64_t, int64_t>(field);
      case ValueType::kF32: return read_scalar<float, double>(field);
      case ValueType::kF64: return read_scalar<double, double>(field);
      case ValueType::kBool: return read_bool(field);
      case ValueType::kString: {
        auto text = read_string(field);
        if (!text) return text.error();
        return MetadataValue(std::move(*text));
      }
      case ValueType::kArray: return read_array(field);
    }
    return bad(field + " has the value type " + std::to_string(type) + ", expected 0 to 12");
  }

  template <class Stored, class Wide>
  Result<MetadataValue> read_scalar(const std::string& field) {
    const auto value = reader_.scalar<Stored>(field);
    if (!value) return value.error();
    return MetadataValue(static_cast<Wide>(value.value()));
  }

  Result<MetadataValue> read_bool(const std::string& field) {
    const auto value = reader_.scalar<uint8_t>(field);
    if (!value) return value.error();
    if (value.value() > 1) return bad(field + " is a bool of value " + std::to_string(value.value()) + ", expected 0 or 1");
    return MetadataValue(value.value() == 1);
  }

  Result<MetadataValue> read_array(const std::string& field) {
    const auto type = reader_.scalar<uint32_t>(field);
    if (!type) return type.error();
    const auto count = reader_.scalar<uint64_t>(field);
    if (!count) return count.error();
    const auto element = static_cast<ValueType>(type.value());
    if (element == ValueType::kArray) {
      return Error{ErrorCode::kUnsupported, field + " is an array of arrays, which is not supported", std::string(kDamaged)};
    }
    const uint64_t unit = min_element_bytes(element);
    if (unit == 0) return bad(field + " is an array of the element type " + std::to_string(type.value()) + ", expected 0 to 12");
    if (auto done = check_count("the length of " + field, count.value(), unit, kMostElements); !done) return done.error();
    switch (element) {
      case ValueType::kU8: return read_elements<uint8_t, int64_t>(field, count.value());
      case ValueType::kU16: return read_elements<uint16_t, int64_t>(field, count.value());
      case ValueType::kU32: return read_elements<uint32_t, int64_t>(field, count.value());
      case ValueType::kU64: return read_elements<uint64_t, int64_t>(field, count.value());
      case ValueType::kI8: return read_elements<int8_t, int64_t>(field, count.value());
      case ValueType::kI16: return read_elements<int16_t, int64_t>(field, count.value());
      case ValueType::kI32: return read_elements<int32_t, int64_t>(field, count.value());
      case ValueType::kI64: return read_elements<int64_t, int64_t>(field, count.value());
      case ValueType::kF32: return read_elements<float, double>(field, count.value());
      case ValueType::kF64: return read_elements<double, double>(field, count.value());
      case ValueType::kBool: return read_bools(field, count.value());
      case ValueType::kString: return read_strings(field, count.value());
      case ValueType::kArray: break;
    }
    return Error{ErrorCode::kInternal, field + " has an unhandled element type", ""};
  }

  template <class Stored, class Wide>
  Result<MetadataValue> read_elements(const std::string& field, uint64_t count) {
    std::vector<Wide> array;
    array.reserve(static_cast<size_t>(count));
    Stored some[256];
    while (array.size() < count) {
      const auto next = std::span(some).first(std::min(std::size(some), static_cast<size_t>(count) - array.size()));
      if (auto done = reader_.read(std::as_writable_bytes(next), field); !done) return done.error();
      for (const Stored value : next) {
        if constexpr (std::is_same_v<Stored, uint64_t>) {
          if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
            return bad(field + "[" + std::to_string(array.size()) + "] is " + std::to_string(value) + ", expected less than 2^63");
          }
        }
        array.push_back(static_cast<Wide>(value));
      }
    }
    return MetadataValue(std::move(array));
  }

  Result<MetadataValue> read_bools(const std::string& field, uint64_t count) {
    std::vector<int64_t> array;
    array.reserve(static_cast<size_t>(count));
    for (uint64_t i = 0; i < count; ++i) {
      const auto value = read_bool(field);
      if (!value) return value.error();
      array.push_back(std::get<bool>(value.value()) ? 1 : 0);
    }
    return MetadataValue(std::move(array));
  }

  Result<MetadataValue> read_strings(const std::string& field, uint64_t count) {
    std::vector<std::string> array;
    array.reserve(static_cast<size_t>(count));
    while (true) {
      take_buffered(static_cast<size_t>(count), array);
      if (array.size() == count) break;
      auto text = read_string(field);
      if (!text) return text.error();
      array.push_back(std::move(*text));
    }
    return MetadataValue(std::move(array));
  }

  /// Adds strings that are whole in the reader's buffer, until there are `count` of them: a vocabulary has hundreds of thousands.
  void take_buffered(size_t count, std::vector<std::string>& array) {
    const std::string_view bytes = reader_.buffered();
    size_t at = 0;
    while (array.size() < count && bytes.size() - at >= sizeof(uint64_t)) {
      uint64_t length;
      std::memcpy(&length, bytes.data() + at, sizeof length);
      if (length > bytes.size() - at - sizeof length) break;
      array.emplace_back(bytes.substr(at + sizeof length, static_cast<size_t>(length)));
      at += sizeof length + static_cast<size_t>(length);
    }
    reader_.skip(at);
  }

  Result<void> read_alignment() {
    if (file_.find("general.alignment") == nullptr) return {};
    const auto alignment = file_.get_uint("general.alignment");
    if (!alignment) return alignment.error();
    if (!std::has_single_bit(alignment.value()) || alignment.value() > kMaxAlignment) {
      return bad("general.alignment is " + std::to_string(alignment.value()) + ", expected a power of two up to " +
                 std::to_string(kMaxAlignment));
    }
    alignment_ = alignment.value();
    return {};
  }

  Result<void> read_tensor(uint64_t number) {
    auto name = read_name("the name of tensor number " + std::to_string(number));
    if (!name) return name.error();
    const std::string field = "tensor " + shown(*name);
    TensorInfo tensor;
    tensor.name = std::move(*name);
    if (auto done = read_shape(field, tensor); !done) return done;
    const auto type = reader_.scalar<uint32_t>(field);
    if (!type) return type.error();
    const auto dtype = dtype_from_gguf(type.value());
    if (!dtype) {
      return Error{ErrorCode::kUnsupported,
                   field + " has the format " + std::string(gguf_dtype_name(type.value())) + " (number " + std::to_string(type.value()) +
                       "), which is not supported",
                   "use a file in one of the formats " + supported_formats()};
    }
    tensor.dtype = *dtype;
    if (auto done = measure(field, tensor); !done) return done;
    const auto offset = reader_.scalar<uint64_t>(field);
    if (!offset) return offset.error();
    tensor.offset = offset.value();
    if (tensor.offset % alignment_ != 0) {
      return bad(field + " is at offset " + std::to_string(tensor.offset) + ", expected a multiple of the alignment " +
                 std::to_string(alignment_));
    }
    if (!file_.tensor_index_.emplace(tensor.name, file_.tensors_.size()).second) return bad(field + " is there twice");
    file_.tensors_.push_back(std::move(tensor));
    return {};
  }

  Result<void> read_shape(const std::string& field, TensorInfo& tensor) {
    const auto dimensions = reader_.scalar<uint32_t>(field);
    if (!dimensions) return dimensions.error();
    if (dimensions.value() < 1 || dimensions.value() > kMaxDimensions) {
      return bad(field + " has " + std::to_string(dimensions.value()) + " dimensions, expected 1 to 4");
    }
    // Kept below 2^63 so that elements() and every product of dimensions stay exact.
    uint64_t limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    for (uint32_t i = 0; i < dimensions.value(); ++i) {
      const auto size = reader_.scalar<uint64_t>(field);
      if (!size) return size.error();
      if (size.value() == 0) return bad(field + " has the size 0 in dimension " + std::to_string(i));
      if (size.value() > limit)
        return bad(field + " has " + std::to_string(size.value()) + " in dimension " + std::to_string(i) + ": too large");
      limit /= size.value();
      tensor.shape.push_back(size.value());
    }
    return {};
  }

  /// Sets tensor.bytes from dtype and shape.
  static Result<void> measure(const std::string& field, TensorInfo& tensor) {
    const DTypeTraits& format = traits(tensor.dtype);
    if (tensor.width() % format.block_weights != 0) {
      return bad(field + " has rows of " + std::to_string(tensor.width()) + " weights, expected a multiple of " +
                 std::to_string(format.block_weights) + " for " + std::string(format.name));
    }
    const uint64_t blocks = tensor.elements() / format.block_weights;
    if (blocks > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / format.block_bytes) return bad(field + " is too large");
    tensor.bytes = blocks * format.block_bytes;
    return {};
  }

  static std::string supported_formats() {
    std::string list;
    for (const DTypeTraits& format : all_dtypes()) list += (list.empty() ? "" : ", ") + std::string(format.name);
    return list;
  }

  /// Turns offsets within the data section into offsets within the file; checks the file's end and overlaps.
  Result<void> place_tensors() {
    const uint64_t size = header_only_ ? kLargestFile : reader_.position() + reader_.remaining();
    const uint64_t start = (reader_.position() + alignment_ - 1) / alignment_ * alignment_;
    std::vector<const TensorInfo*> order;
    order.reserve(file_.tensors_.size());
    for (TensorInfo& tensor : file_.tensors_) {
      if (start > size || tensor.offset > size - start || tensor.bytes > size - start - tensor.offset) {
        return bad("tensor " + shown(tensor.name) + " has " + std::to_string(tensor.bytes) + " bytes at offset " +
                   std::to_string(tensor.offset) + " of the data, past the end of the file of " + std::to_string(size) + " bytes");
      }
      tensor.offset += start;
      order.push_back(&tensor);
    }
    heap_sort(order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
    for (size_t i = 1; i < order.size(); ++i) {
      const TensorInfo& before = *order[i - 1];
      if (order[i]->offset < before.offset + before.bytes) {
        return bad("tensor " + shown(order[i]->name) + " at offset " + std::to_string(order[i]->offset) + " overlaps tensor " +
                   shown(before.name) + ", which ends at " + std::to_string(before.offset + before.bytes));
      }
    }
    return {};
  }

  static constexpr uint64_t kLargestFile = uint64_t{1} << 62;

  ByteReader reader_;
  const bool header_only_;  ///< the tensors' data may be missing
  GgufFile file_;
  uint64_t tensor_count_ = 0;
  uint64_t metadata_count_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
};

Result<GgufFile> GgufFile::parse_part(std::shared_ptr<const ByteSource> source, bool header_only) {
  return GgufParser(std::move(source), header_only).parse();
}

}  // namespace tessera

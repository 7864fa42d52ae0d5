#include "core/gguf/writer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

namespace tessera {
namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr std::string_view kAlignmentKey = "general.alignment";

// GGUF's numbers of the value types that this writer uses.
constexpr uint32_t kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9, kU64 = 10, kI64 = 11, kF64 = 12;

bool fits_i32(int64_t value) { return value == static_cast<int32_t>(value); }
bool fits_f32(double value) {
  if (!std::isfinite(value)) return true;
  return std::fabs(value) <= std::numeric_limits<float>::max() && static_cast<double>(static_cast<float>(value)) == value;
}

/// Little-endian fields laid end to end.
class FieldBuffer {
 public:
  void bytes(std::span<const std::byte> more) {
    const size_t end = bytes_.size();
    bytes_.resize(end + more.size());
    std::copy(more.begin(), more.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(end));
  }
  template <class T>
  void scalar(T value) {
    static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
    bytes(std::as_bytes(std::span(&value, 1)));
  }
  void string(const std::string& text) {
    scalar<uint64_t>(text.size());
    bytes(std::as_bytes(std::span(text)));
  }
  void pad(uint64_t alignment) { bytes_.resize(static_cast<size_t>(padded(bytes_.size(), alignment))); }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

/// A value type and a value as the metadata section holds them.
struct ValueWriter {
  FieldBuffer& out;

  template <class Narrow, class Wide>
  void number(bool narrow, uint32_t narrow_type, uint32_t wide_type, Wide value) const {
    out.scalar(narrow ? narrow_type : wide_type);
    narrow ? out.scalar(static_cast<Narrow>(value)) : out.scalar(value);
  }
  template <class Narrow, class Wide>
  void array(bool narrow, uint32_t narrow_type, uint32_t wide_type, const std::vector<Wide>& values) const {
    out.scalar(kArray);
    out.scalar(narrow ? narrow_type : wide_type);
    out.scalar<uint64_t>(values.size());
    for (const Wide value : values) narrow ? out.scalar(static_cast<Narrow>(value)) : out.scalar(value);
  }

  void operator()(uint64_t value) const { number<uint32_t>(value <= std::numeric_limits<uint32_t>::max(), kU32, kU64, value); }
  void operator()(int64_t value) const { number<int32_t>(fits_i32(value), kI32, kI64, value); }
  void operator()(double value) const { number<float>(fits_f32(value), kF32, kF64, value); }
  void operator()(bool value) const {
    out.scalar(kBool);
    out.scalar<uint8_t>(value ? 1 : 0);
  }
  void operator()(const std::string& text) const {
    out.scalar(kString);
    out.string(text);
  }
  void operator()(const std::vector<int64_t>& values) const {
    array<int32_t>(std::all_of(values.begin(), values.end(), fits_i32), kI32, kI64, values);
  }
  void operator()(const std::vector<double>& values) const {
    array<float>(std::all_of(values.begin(), values.end(), fits_f32), kF32, kF64, values);
  }
  void operator()(const std::vector<std::string>& texts) const {
    out.scalar(kArray);
    out.scalar(kString);
    out.scalar<uint64_t>(texts.size());
    for (const std::string& text : texts) out.string(text);
  }
};

Error invalid(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message), ""}; }

Result<void> write_zeros(const ByteSink& sink, uint64_t count) {
  if (count == 0) return {};
  return sink(std::vector<std::byte>(static_cast<size_t>(count)));
}

}  // namespace

GgufWriter::GgufWriter() : alignment_(kDefaultAlignment) {}

void GgufWriter::set(const std::string& key, const MetadataValue& value) {
  FieldBuffer bytes;
  std::visit(ValueWriter{bytes}, value);
  set_raw(key, bytes.take());
  if (key == kAlignmentKey) {
    const auto* number = std::get_if<uint64_t>(&value);
    alignment_ = number != nullptr ? *number : 0;
  }
}

void GgufWriter::set_number(const std::string& key, uint32_t value) {
  FieldBuffer bytes;
  bytes.scalar(kU32);
  bytes.scalar(value);
  set_raw(key, bytes.take());
  if (key == kAlignmentKey) alignment_ = value;
}

void GgufWriter::set_text(const std::string& key, const std::string& value) {
  FieldBuffer bytes;
  bytes.scalar(kString);
  bytes.string(value);
  set_raw(key, bytes.take());
}

void GgufWriter::set_raw(const std::string& key, std::vector<std::byte> value) {
  const auto [known, is_new] = metadata_index_.emplace(key, metadata_.size());
  if (is_new) {
    metadata_.emplace_back(key, std::move(value));
  } else {
    metadata_[known->second].second = std::move(value);
  }
}

Result<void> GgufWriter::add_tensor(const std::string& name, DType dtype, std::vector<uint64_t> shape,
                                    std::function<Result<void>(const ByteSink& sink)> produce) {
  if (name.empty() || tensor_names_.contains(name)) {
    return invalid("tensor name \"" + name + "\" is empty or there already");
  }
  const bool zero = std::find(shape.begin(), shape.end(), uint64_t{0}) != shape.end();
  if (shape.empty() || shape.size() > 4 || zero || shape[0] % traits(dtype).block_weights != 0) {
    return invalid("tensor " + name + ": the shape must have 1 to 4 sizes above 0 and rows of whole " + std::string(traits(dtype).name) +
                   " blocks");
  }
  TensorInfo info{name, dtype, std::move(shape)};
  info.bytes = info.rows() * row_bytes(dtype, info.width());
  tensor_names_.insert(name);
  tensors_.push_back({std::move(info), std::move(produce)});
  return {};
}

Result<void> GgufWriter::add_tensor(const std::string& name, DType dtype, std::vector<uint64_t> shape, std::vector<std::byte> data) {
  return add_tensor(name, dtype, std::move(shape), [data = std::move(data)](const ByteSink& sink) { return sink(data); });
}

Result<uint64_t> GgufWriter::alignment() const {
  if (!std::has_single_bit(alignment_)) return invalid(std::string(kAlignmentKey) + " must be an unsigned power of two");
  return alignment_;
}

std::vector<std::byte> GgufWriter::header(uint64_t alignment) const {
  FieldBuffer out;
  out.scalar<uint32_t>(0x46554747);  // "GGUF"
  out.scalar<uint32_t>(3);
  out.scalar<uint64_t>(tensors_.size());
  out.scalar<uint64_t>(metadata_.size());
  for (const auto& [key, value] : metadata_) {
    out.string(key);
    out.bytes(value);
  }
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    out.string(tensor.info.name);
    out.scalar(static_cast<uint32_t>(tensor.info.shape.size()));
    for (const uint64_t size : tensor.info.shape) out.scalar(size);
    out.scalar(static_cast<uint32_t>(tensor.info.dtype));
    out.scalar(offset);
    offset += padded(tensor.info.bytes, alignment);
  }
  out.pad(alignment);
  return out.take();
}

Result<std::vector<std::byte>> GgufWriter::head() const {
  const auto unit = alignment();
  if (!unit) return unit.error();
  return header(unit.value());
}

Result<void> GgufWriter::write(const ByteSink& sink) const {
  const auto unit = alignment();
  if (!unit) return unit.error();
  if (auto done = sink(header(unit.value())); !done) return done;
  for (const Tensor& tensor : tensors_) {
    const uint64_t expected = tensor.info.bytes;
    uint64_t written = 0;
    const auto counted = [&](std::span<const std::byte> bytes) -> Result<void> {
      written += bytes.size();
      return written > expected
                 ? Result<void>(invalid("tensor " + tensor.info.name + " gives more than its " + std::to_string(expected) + " bytes"))
                 : sink(bytes);
    };
    if (auto done = tensor.produce(counted); !done) return done;
    if (written != expected) {
      return invalid("tensor " + tensor.info.name + " gives " + std::to_string(written) + " bytes, expected " + std::to_string(expected));
    }
    if (auto done = write_zeros(sink, padded(expected, unit.value()) - expected); !done) return done;
  }
  return {};
}

Result<std::vector<std::byte>> GgufWriter::to_bytes() const {
  std::vector<std::byte> bytes;
  const auto collect = [&](std::span<const std::byte> piece) -> Result<void> {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    return {};
  };
  if (auto done = write(collect); !done) return done.error();
  return bytes;
}

}  // namespace tessera

// Look-ups in a parsed GGUF, and the joining of split files. The parsing itself is in parser.cpp.
#include "core/gguf/gguf_file.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr std::string_view kDamaged = "the file is damaged or from an incompatible converter; download it again";

std::string_view type_name(const MetadataValue& value) {
  constexpr std::string_view kNames[] = {
      "an unsigned integer", "a signed integer",   "a float", "a bool", "a string", "an array of integers",
      "an array of floats",  "an array of strings"};
  return kNames[value.index()];
}

Error missing(std::string_view key) {
  return {ErrorCode::kNotFound, "metadata key " + std::string(key) + " is missing",
          "the file needs this key; use another conversion of the model"};
}

Error wrong_type(std::string_view key, const MetadataValue& value, std::string_view expected) {
  return {ErrorCode::kBadFile,
          "metadata key " + std::string(key) + " is " + std::string(type_name(value)) + ", expected " + std::string(expected),
          std::string(kDamaged)};
}

Error split_error(size_t part, const std::string& what) {
  return {ErrorCode::kBadFile, "split file part " + std::to_string(part + 1) + ": " + what,
          "give all parts of one model, each once, in the order of their numbers"};
}

}  // namespace

uint64_t TensorInfo::elements() const {
  uint64_t product = 1;
  for (const uint64_t dimension : shape) product *= dimension;
  return product;
}

Result<GgufFile> GgufFile::open(std::shared_ptr<const ByteSource> source) { return open_one(std::move(source), false); }

Result<GgufFile> GgufFile::open_split(std::vector<std::shared_ptr<const ByteSource>> parts) { return open_parts(std::move(parts), false); }

Result<GgufFile> GgufFile::open_headers(std::vector<std::shared_ptr<const ByteSource>> parts) { return open_parts(std::move(parts), true); }

Result<GgufFile> GgufFile::open_parts(std::vector<std::shared_ptr<const ByteSource>> parts, bool header_only) {
  if (parts.empty()) return Error{ErrorCode::kInvalidArgument, "no file given", "give at least one part of the model"};
  if (parts.size() == 1) return open_one(std::move(parts.front()), header_only);
  GgufFile whole;
  for (size_t part = 0; part < parts.size(); ++part) {
    auto parsed = parse_part(parts[part], header_only);
    if (!parsed) {
      Error error = parsed.error();
      error.message = "split file part " + std::to_string(part + 1) + ": " + error.message;
      return error;
    }
    const GgufFile& file = *parsed;
    const auto number = file.get_uint("split.no");
    const auto count = file.get_uint("split.count");
    if (!number) return number.error();
    if (!count) return count.error();
    if (number.value() != part)
      return split_error(part, "split.no is " + std::to_string(number.value()) + ", expected " + std::to_string(part));
    if (count.value() != parts.size()) {
      return split_error(part,
                         "split.count is " + std::to_string(count.value()) + ", but " + std::to_string(parts.size()) + " files were given");
    }
    if (auto added = whole.append(std::move(*parsed)); !added) return added.error();
  }
  const auto total = whole.get_uint("split.tensors.count");
  if (!total) return total.error();
  if (total.value() != whole.tensors_.size()) {
    return split_error(0, "split.tensors.count is " + std::to_string(total.value()) + ", but the parts hold " +
                              std::to_string(whole.tensors_.size()) + " tensors");
  }
  return whole;
}

Result<GgufFile> GgufFile::open_one(std::shared_ptr<const ByteSource> source, bool header_only) {
  auto parsed = parse_part(std::move(source), header_only);
  if (!parsed || parsed->find("split.count") == nullptr) return parsed;
  const auto count = parsed->get_uint("split.count");
  if (!count) return count.error();
  if (count.value() > 1) {
    return Error{ErrorCode::kBadFile, "this file is one part of a model split into " + std::to_string(count.value()) + " files",
                 "give all parts of the model together"};
  }
  return parsed;
}

Result<void> GgufFile::append(GgufFile part) {
  const auto number = static_cast<int>(parts_.size());
  if (number == 0) {
    *this = std::move(part);
    return {};
  }
  parts_.push_back(std::move(part.parts_.front()));
  for (TensorInfo& tensor : part.tensors_) {
    tensor.part = number;
    if (!tensor_index_.emplace(tensor.name, tensors_.size()).second) {
      return split_error(number, "tensor " + tensor.name + " is in an earlier part, too");
    }
    tensors_.push_back(std::move(tensor));
  }
  return {};
}

const TensorInfo* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(std::string(name));
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

const MetadataValue* GgufFile::find(std::string_view key) const {
  const auto found = metadata_index_.find(std::string(key));
  return found == metadata_index_.end() ? nullptr : &metadata_[found->second].second;
}

void GgufFile::forget_arrays() {
  std::erase_if(metadata_, [](const auto& entry) {
    const MetadataValue& value = entry.second;
    return std::holds_alternative<std::vector<int64_t>>(value) || std::holds_alternative<std::vector<double>>(value) ||
           std::holds_alternative<std::vector<std::string>>(value);
  });
  metadata_index_.clear();
  for (size_t i = 0; i < metadata_.size(); ++i) metadata_index_.emplace(metadata_[i].first, i);
}

Result<uint64_t> GgufFile::get_uint(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto* number = std::get_if<uint64_t>(value)) return *number;
  const auto* number = std::get_if<int64_t>(value);
  if (number == nullptr) return wrong_type(key, *value, "an unsigned integer");
  if (*number < 0) {
    return Error{ErrorCode::kBadFile, "metadata key " + std::string(key) + " is " + std::to_string(*number) + ", expected zero or more",
                 std::string(kDamaged)};
  }
  return static_cast<uint64_t>(*number);
}

Result<double> GgufFile::get_float(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto* number = std::get_if<uint64_t>(value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<int64_t>(value)) return static_cast<double>(*number);
  return wrong_type(key, *value, "a number");
}

Result<bool> GgufFile::get_bool(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return wrong_type(key, *value, "a bool");
}

Result<std::string> GgufFile::get_string(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  return wrong_type(key, *value, "a string");
}

Result<const std::vector<std::string>*> GgufFile::get_strings(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto* array = std::get_if<std::vector<std::string>>(value)) return array;
  return wrong_type(key, *value, "an array of strings");
}

Result<const std::vector<int64_t>*> GgufFile::get_ints(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto* array = std::get_if<std::vector<int64_t>>(value)) return array;
  return wrong_type(key, *value, "an array of integers");
}

Result<const std::vector<double>*> GgufFile::get_floats(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto* array = std::get_if<std::vector<double>>(value)) return array;
  return wrong_type(key, *value, "an array of floats");
}

Result<void> GgufFile::read(const TensorInfo& tensor, uint64_t offset, std::span<std::byte> out) const {
  if (offset > tensor.bytes || out.size() > tensor.bytes - offset) {
    return Error{ErrorCode::kInvalidArgument,
                 "read of " + std::to_string(out.size()) + " bytes at offset " + std::to_string(offset) + " leaves tensor " + tensor.name +
                     " of " + std::to_string(tensor.bytes) + " bytes",
                 ""};
  }
  return parts_[tensor.part]->read(tensor.offset + offset, out);
}

std::span<const std::byte> GgufFile::view(const TensorInfo& tensor) const { return parts_[tensor.part]->view(tensor.offset, tensor.bytes); }

void GgufFile::release(const TensorInfo& tensor, uint64_t offset, uint64_t length) const {
  parts_[tensor.part]->release(tensor.offset + offset, length);
}

uint64_t GgufFile::file_bytes() const {
  uint64_t total = 0;
  for (const auto& part : parts_) total += part->size();
  return total;
}

uint64_t GgufFile::parameters() const {
  uint64_t total = 0;
  for (const TensorInfo& tensor : tensors_) total += tensor.elements();
  return total;
}

std::string_view GgufFile::main_format() const {
  std::string_view name;
  uint64_t most = 0;
  for (const DTypeTraits& format : all_dtypes()) {
    uint64_t weights = 0;
    for (const TensorInfo& tensor : tensors_) weights += tensor.dtype == format.dtype ? tensor.elements() : 0;
    if (weights > most) name = format.name;
    most = std::max(most, weights);
  }
  return name;
}

}  // namespace tessera

#include "core/engine/inspect.h"

#include <algorithm>

#include "core/base/sha256.h"
#include "core/base/utf8.h"
#include "core/gguf/gguf_file.h"
#include "nlohmann/json.hpp"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownElements = 8;  ///< entries of a long array that are shown
constexpr uint64_t kMaxShards = 99999;
constexpr size_t kBlockBytes = size_t{1} << 19;  ///< of a manifest's sha256_blocks

/// Text of a file as JSON can carry it: bytes that are not UTF-8 become U+FFFD.
std::string json_text(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = decode_utf8(text);
    append_utf8(clean, step.code_point);
    text.remove_prefix(step.length);
  }
  return clean;
}

Json json_value(uint64_t value) { return value; }
Json json_value(int64_t value) { return value; }
Json json_value(double value) { return value; }
Json json_value(bool value) { return value; }
Json json_value(const std::string& value) { return json_text(value); }

const char* element_name(const std::vector<int64_t>&) { return "integer"; }
const char* element_name(const std::vector<double>&) { return "float"; }
const char* element_name(const std::vector<std::string>&) { return "string"; }

template <class T>
Json json_value(const std::vector<T>& array) {
  Json first = Json::array();
  for (size_t i = 0; i < std::min(array.size(), kShownElements); ++i) first.push_back(json_value(array[i]));
  if (array.size() <= kShownElements) return first;
  return {{"type", element_name(array)}, {"count", array.size()}, {"first", std::move(first)}};
}

std::string string_or(const GgufFile& file, std::string_view key, const std::string& fallback) {
  const auto text = file.get_string(key);
  return text ? json_text(text.value()) : fallback;
}

Json describe(const TensorInfo& tensor, bool split) {
  Json row = {{"name", json_text(tensor.name)},
              {"dtype", traits(tensor.dtype).name},
              {"shape", tensor.shape},
              {"offset", tensor.offset},
              {"bytes", tensor.bytes}};
  if (split) row["part"] = tensor.part;
  return row;
}

/// general.license is a string, in some files an array of strings.
std::string license_of(const GgufFile& file) {
  if (const auto list = file.get_strings("general.license")) {
    std::string joined;
    for (const std::string& license : *list.value()) joined += (joined.empty() ? "" : ", ") + json_text(license);
    if (!joined.empty()) return joined;
  }
  const std::string license = string_or(file, "general.license", "");
  return license.empty() ? "unknown" : license;
}

/// The file's name without ".gguf", made of letters that need no escaping in a URL.
std::string shard_stem(std::string_view file_name) {
  if (file_name.ends_with(".gguf")) file_name.remove_suffix(5);
  std::string stem;
  for (const char letter : file_name) {
    const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
    const bool mark = letter == '-' || letter == '_' || (letter == '.' && !stem.empty());
    stem.push_back(plain || mark ? letter : '-');
  }
  return stem.empty() ? "model" : stem;
}

std::string five_digits(uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits;
}

/// A manifest's `sha256_blocks`, as web/store/manifest.js has it. Browsers hash a block of this size in half the time, as they first
/// copy larger ones to fresh memory. `sha256` is part of it, so that it speaks of these bytes and that hash.
std::string sha256_blocks(const std::string& sha256, std::span<const std::byte> bytes) {
  Sha256 all;
  all.update(std::as_bytes(std::span(sha256)));
  for (size_t at = 0; at < bytes.size(); at += kBlockBytes) {
    const std::string block = sha256_hex(bytes.subspan(at, std::min(kBlockBytes, bytes.size() - at)));
    all.update(std::as_bytes(std::span(block)));
  }
  return all.hex();
}

Result<void> check_split(uint64_t file_bytes, const std::string& file_name, uint64_t shard_bytes) {
  if (file_name.empty() || file_name.find_first_of("/\\") != std::string::npos) {
    return Error{ErrorCode::kInvalidArgument, "file name \"" + file_name + "\" is not a plain name", "give the name without its folder"};
  }
  if (shard_bytes == 0) return Error{ErrorCode::kInvalidArgument, "the shard size is 0, expected at least 1 byte", "16M is a good size"};
  const uint64_t count = (file_bytes - 1) / shard_bytes + 1;
  if (count > kMaxShards) {
    return Error{ErrorCode::kInvalidArgument,
                 "shards of " + std::to_string(shard_bytes) + " bytes would make " + std::to_string(count) + " files, expected at most " +
                     std::to_string(kMaxShards),
                 "use larger shards; 16M is a good size"};
  }
  return {};
}

}  // namespace

Result<Json> inspect(std::vector<std::shared_ptr<const ByteSource>> parts) {
  const bool split = parts.size() > 1;
  auto opened = GgufFile::open_split(std::move(parts));
  if (!opened) return opened.error();
  const GgufFile& file = *opened;

  Json metadata = Json::object();
  for (const auto& [key, value] : file.metadata()) {
    metadata[json_text(key)] = std::visit([](const auto& held) { return json_value(held); }, value);
  }
  Json tensors = Json::array();
  for (const TensorInfo& tensor : file.tensors()) tensors.push_back(describe(tensor, split));
  Json bytes_per_type = Json::object();
  for (const DTypeTraits& format : all_dtypes()) {
    uint64_t bytes = 0;
    for (const TensorInfo& tensor : file.tensors()) bytes += tensor.dtype == format.dtype ? tensor.bytes : 0;
    if (bytes > 0) bytes_per_type[std::string(format.name)] = bytes;
  }
  return Json{{"version", file.version()},
              {"file_bytes", file.file_bytes()},
              {"architecture", string_or(file, "general.architecture", "")},
              {"name", string_or(file, "general.name", "")},
              {"parameters", file.parameters()},
              {"metadata", std::move(metadata)},
              {"tensors", std::move(tensors)},
              {"bytes_per_type", std::move(bytes_per_type)}};
}

Result<Json> split_into_shards(const std::shared_ptr<const ByteSource>& source, const std::string& file_name, uint64_t shard_bytes,
                               const std::function<Result<void>(const std::string& path, std::span<const std::byte> bytes)>& write_shard) {
  auto opened = GgufFile::open(source);
  if (!opened) return opened.error();
  const GgufFile& file = *opened;
  const uint64_t size = source->size();
  if (auto done = check_split(size, file_name, shard_bytes); !done) return done.error();

  const std::string stem = shard_stem(file_name);
  const uint64_t count = (size - 1) / shard_bytes + 1;
  Sha256 whole;
  Json shards = Json::array();
  std::vector<std::byte> buffer;
  for (uint64_t number = 0; number < count; ++number) {
    const uint64_t offset = number * shard_bytes;
    const uint64_t length = std::min(shard_bytes, size - offset);
    std::span<const std::byte> bytes = source->view(offset, length);
    if (bytes.size() != length) {
      buffer.resize(static_cast<size_t>(length));
      if (auto done = source->read(offset, buffer); !done) return done.error();
      bytes = buffer;
    }
    const std::string path = stem + "-" + five_digits(number + 1) + "-of-" + five_digits(count) + ".bin";
    whole.update(bytes);
    const std::string hash = sha256_hex(bytes);
    shards.push_back(
        {{"path", path}, {"offset", offset}, {"bytes", length}, {"sha256", hash}, {"sha256_blocks", sha256_blocks(hash, bytes)}});
    if (auto done = write_shard(path, bytes); !done) return done.error();
  }

  const std::string architecture = string_or(file, "general.architecture", "");
  const auto context_length = file.get_uint(architecture + ".context_length");
  return Json{{"format", "tessera-shards"},
              {"version", 1},
              {"name", string_or(file, "general.name", stem)},
              {"architecture", architecture},
              {"quantization", file.main_format()},
              {"license", license_of(file)},
              {"file", {{"name", json_text(file_name)}, {"bytes", size}, {"sha256", whole.hex()}}},
              {"context_length", context_length ? context_length.value() : 0},
              {"shards", std::move(shards)},
              {"chat_template", file.get_string("tokenizer.chat_template").ok()}};
}

}  // namespace tessera

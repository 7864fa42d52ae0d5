// Implements the opening of models and small files.
#include "core/cli/model_files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "nlohmann/json.hpp"

namespace tessera::cli {

namespace {

using Json = nlohmann::ordered_json;
using Sources = std::vector<std::shared_ptr<const ByteSource>>;
using Source = std::shared_ptr<const ByteSource>;

Error bad_manifest(const std::string& path, const std::string& what) {
  return {ErrorCode::kBadFile, path + ": " + what, "write the manifest anew with `tessera split`"};
}

/// A manifest whose list of shards is well-formed: each with bytes, offset and a path below the manifest's folder.
Result<Json> read_manifest(const std::string& path) {
  Result<Json> manifest = read_json_file(path);
  if (!manifest) {
    return manifest;
  }
  if (!manifest->is_object() || manifest->value("format", Json()) != "tessera-shards") {
    return bad_manifest(path, "format: expected \"tessera-shards\"");
  }
  if (manifest->value("version", Json()) != 1) {
    return Error{ErrorCode::kUnsupported, path + ": version: expected 1", "use a newer tessera"};
  }
  const Json shards = manifest->value("shards", Json());
  if (!shards.is_array() || shards.empty()) {
    return bad_manifest(path, "shards: expected a list with at least one entry");
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    const Json& shard = shards[i];
    const std::string where = "shards[" + std::to_string(i) + "]";
    if (!shard.is_object() || !shard.value("path", Json()).is_string() || !shard.value("bytes", Json()).is_number_unsigned() ||
        !shard.value("offset", Json()).is_number_unsigned()) {
      return bad_manifest(path, where + ": expected path, offset and bytes");
    }
    const std::filesystem::path name(shard["path"].get<std::string>());
    if (name.empty() || name.is_absolute() || name.lexically_normal().begin()->string() == "..") {
      return bad_manifest(path, where + ".path: expected a path below the manifest's folder, found \"" + name.string() + "\"");
    }
  }
  return manifest;
}

/// The path of a shard that a manifest names.
std::string shard_path(const std::string& manifest_path, const Json& shard) {
  return (std::filesystem::path(manifest_path).parent_path() / shard["path"].get<std::string>()).string();
}

Result<Source> open_shards(const std::string& path) {
  Result<Json> manifest = read_manifest(path);
  if (!manifest) {
    return manifest.error();
  }
  const Json& shards = manifest.value()["shards"];
  Sources parts;
  uint64_t end = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const Json& shard = shards[i];
    Result<Source> part = map_file(shard_path(path, shard));
    if (!part) {
      return part.error();
    }
    const auto bytes = shard["bytes"].get<uint64_t>();
    if ((*part)->size() != bytes || shard["offset"].get<uint64_t>() != end) {
      return bad_manifest(path, "shards[" + std::to_string(i) + "]: the file has " + std::to_string((*part)->size()) + " bytes at offset " +
                                    std::to_string(end) + ", the manifest says " + std::to_string(bytes) + " at " + shard["offset"].dump());
    }
    end += bytes;
    parts.push_back(std::move(*part));
  }
  return Source(std::make_shared<ConcatSource>(std::move(parts)));
}

/// The parts of the split model that `path` is one of, in order; else the path alone.
std::vector<std::string> split_file_names(const std::string& path) {
  constexpr size_t kEnding = sizeof("-00001-of-00001.gguf") - 1;
  if (path.size() <= kEnding) {
    return {path};
  }
  int number = 0, count = 0, length = 0;
  const std::string ending = path.substr(path.size() - kEnding);
  const int fields = std::sscanf(ending.c_str(), "-%5d-of-%5d.gguf%n", &number, &count, &length);
  if (fields != 2 || length != static_cast<int>(kEnding) || number < 1 || number > count) {
    return {path};
  }
  std::vector<std::string> names;
  for (int i = 1; i <= count; ++i) {
    char numbered[32];
    std::snprintf(numbered, sizeof(numbered), "-%05d-of-%05d.gguf", i, count);
    names.push_back(path.substr(0, path.size() - kEnding) + numbered);
  }
  return names;
}

bool is_manifest(const std::vector<std::string>& paths) { return paths.size() == 1 && paths[0].ends_with(".json"); }

}  // namespace

std::vector<std::string> model_file_names(const std::vector<std::string>& paths) {
  if (!is_manifest(paths)) {
    return paths.size() == 1 ? split_file_names(paths[0]) : paths;
  }
  std::vector<std::string> names = paths;
  if (Result<Json> manifest = read_manifest(paths[0])) {
    for (const Json& shard : manifest.value()["shards"]) {
      names.push_back(shard_path(paths[0], shard));
    }
  }
  return names;
}

Result<Sources> open_model(const std::vector<std::string>& paths) {
  if (paths.empty()) {
    return Error{ErrorCode::kInvalidArgument, "no model given", "name one with -m MODEL.gguf"};
  }
  if (is_manifest(paths)) {
    Result<Source> source = open_shards(paths[0]);
    if (!source) {
      return source.error();
    }
    return Sources{std::move(*source)};
  }
  Sources parts;
  for (const std::string& name : model_file_names(paths)) {
    Result<Source> part = map_file(name);
    if (!part) {
      return part.error();
    }
    parts.push_back(std::move(*part));
  }
  return parts;
}

Result<std::string> model_name(const std::string& path) {
  if (!is_manifest({path})) {
    return std::filesystem::path(path).filename().string();
  }
  const Result<Json> manifest = read_manifest(path);
  if (!manifest) {
    return manifest.error();
  }
  const Json file = manifest.value().value("file", Json());
  const Json name = file.is_object() ? file.value("name", Json()) : Json();
  if (!name.is_string()) {
    return bad_manifest(path, "file.name: expected a text");
  }
  return std::filesystem::path(name.get<std::string>()).filename().string();
}

Result<std::string> read_text_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    return Error{ErrorCode::kNotFound, "cannot open " + path + ": " + std::strerror(errno), "check the path and its permissions"};
  }
  std::string text;
  char buffer[65536];
  for (size_t count = 0; (count = std::fread(buffer, 1, sizeof(buffer), file)) > 0;) {
    text.append(buffer, count);
  }
  const bool failed = std::ferror(file) != 0;
  std::fclose(file);
  if (failed) {
    return Error{ErrorCode::kIo, "cannot read all of " + path, "is it a file?"};
  }
  return text;
}

Result<Json> parse_json_text(const std::string& text, const std::string& name) {
  constexpr int kMostDepth = 100;
  bool too_deep = false;
  const auto shallow = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep |= depth > kMostDepth;
    return !too_deep;
  };
  Json json;
  std::string wrong;
  try {
    json = Json::parse(text, shallow);
  } catch (const Json::parse_error& error) {  // the only way to hear of the place
    wrong = "not valid JSON at byte " + std::to_string(error.byte) + " of " + std::to_string(text.size());
  }
  if (too_deep) {
    wrong = "nested more than " + std::to_string(kMostDepth) + " deep";
  }
  return wrong.empty() ? Result<Json>(std::move(json))
                       : Error{ErrorCode::kBadFile, name + ": " + wrong, "is it whole, and the right file?"};
}

Result<Json> read_json_file(const std::string& path) {
  const Result<std::string> text = read_text_file(path);
  return text ? parse_json_text(text.value(), path) : Result<Json>(text.error());
}

Result<void> write_file(const std::string& path, std::string_view bytes, bool replace) {
  std::FILE* file = std::fopen(path.c_str(), replace ? "wb" : "wbx");
  if (file == nullptr) {
    const int reason = errno;
    if (reason == EEXIST) {
      return Error{ErrorCode::kInvalidArgument, path + " exists already", "choose another name, or remove it first"};
    }
    return Error{ErrorCode::kIo, "cannot write " + path + ": " + std::strerror(reason), ""};
  }
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed) {
    return Error{ErrorCode::kIo, "cannot write all of " + path + ": " + std::strerror(errno), "is the disk full?"};
  }
  return {};
}

}  // namespace tessera::cli

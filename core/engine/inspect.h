// The core's public face, part three: what can be said of a GGUF without loading it, and how it is cut into shards.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera {

/// {"version","file_bytes","architecture","name","parameters","metadata":{key: value, long arrays as {"type","count","first"}},
///  "tensors":[{"name","dtype","shape","offset","bytes"}],"bytes_per_type":{"Q4_1":…}}. Errors of GgufFile::open_split.
Result<nlohmann::ordered_json> inspect(std::vector<std::shared_ptr<const ByteSource>> parts);

/// The manifest.json of a file cut into shards of `shard_bytes` (docs: interfaces of the web page). Reads the whole file to hash it.
/// `write_shard(path, bytes)` stores one shard; `file_name` is the original's base name. `license` comes from general.license.
Result<nlohmann::ordered_json> split_into_shards(
    const std::shared_ptr<const ByteSource>& source, const std::string& file_name, uint64_t shard_bytes,
    const std::function<Result<void>(const std::string& path, std::span<const std::byte> bytes)>& write_shard);

}  // namespace tessera

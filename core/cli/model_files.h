// Owns the way from the -m option to bytes: one GGUF, the parts of a split one, or the shards of a manifest.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera::cli {

/// Opens the model that `paths` names. One path: a GGUF; any part NAME-0000X-of-0000N.gguf of a split one (the others are
/// looked for beside it); or a manifest.json of `tessera split` (its shards are laid end to end). Several paths: the parts in order.
/// kNotFound, kIo, kBadFile (manifest), kInvalidArgument (no path).
Result<std::vector<std::shared_ptr<const ByteSource>>> open_model(const std::vector<std::string>& paths);

/// The files that open_model reads for `paths`: the parts of a split model in order, a manifest and its shards, or the paths alone.
std::vector<std::string> model_file_names(const std::vector<std::string>& paths);

/// The name of the one GGUF that `path` stands for: file.name of a manifest, else the file's own. Errors of open_model.
Result<std::string> model_name(const std::string& path);

/// The whole file as text. kNotFound, kIo.
Result<std::string> read_text_file(const std::string& path);

/// The JSON in a file, or in a text that messages call `name`. kBadFile when it is none, or nested deeper than templates allow: who copies
/// or prints such a value recurses as deep. kNotFound, kIo.
Result<nlohmann::ordered_json> read_json_file(const std::string& path);
Result<nlohmann::ordered_json> parse_json_text(const std::string& text, const std::string& name);

/// Writes a file; with `replace` false an existing one is an error (kInvalidArgument). kIo.
Result<void> write_file(const std::string& path, std::string_view bytes, bool replace);

}  // namespace tessera::cli

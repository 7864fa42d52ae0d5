// The core's public face, part eight: how much each column of each weight matrix matters for a text, for `quantize --imatrix`.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/engine/session.h"
#include "core/gguf/importance_file.h"

namespace tessera {

/// Tensor name → sums over the text; chunks read.
struct ImportanceReport {
  std::map<std::string, ColumnSums> sums;
  uint64_t chunks = 0;
};

/// Reads `tokens` in chunks of `chunk` tokens as measure_perplexity does (each from an empty timeline, with `bos` in front) and sums the
/// squares of what every layer's matrices are multiplied by; a last part of less than half a chunk is left out unless it is the only one.
/// `parts` is the file the session's model was loaded from: it names the tensors. kInvalidArgument when chunk is not 2 (3 with bos) to
/// the context or there are fewer than two tokens; kAborted when `on_progress` returns false; errors of Session::sync.
Result<ImportanceReport> collect_importance(Session& session, std::vector<std::shared_ptr<const ByteSource>> parts,
                                            std::span<const int32_t> tokens, std::optional<int32_t> bos, int chunk,
                                            const std::function<bool(size_t done, size_t total)>& on_progress);

/// The bytes of an importance file of what was collected.
Result<std::vector<std::byte>> importance_file(const ImportanceReport& report, const std::string& dataset, int chunk);

}  // namespace tessera

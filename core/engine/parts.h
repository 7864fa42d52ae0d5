// The core's public face: how a model that is too large for one memory is cut into parts by its layers. Each part is an Engine with a
// Session (EngineOptions::layers, Session::create) in a memory of its own; a token goes through them one after another, so that all they
// hand on is one row of activations. The logits are the same bits as in one memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/model/kv_type.h"
#include "core/model/layer_range.h"

namespace tessera {

class GgufFile;  // core/gguf
struct Config;   // core/model

/// Memories that one model may take.
inline constexpr int kMostParts = 8;

/// What is left of a 32-bit memory beside the vocabulary, the program and what loading needs.
inline constexpr uint64_t kWasm32Bytes = (4ull << 30) - (64ull << 20);

/// What a model, or the part of one, takes.
struct PartSize {
  LayerRange layers;
  uint64_t weight_bytes = 0;
  uint64_t kv_bytes = 0;  ///< of one session at full context
  uint64_t workspace_bytes = 0;
  uint64_t read_bytes = 0;  ///< of the file, while loading

  uint64_t bytes() const { return weight_bytes + kv_bytes + workspace_bytes; }
};

/// The size of the layers in `range`, packed for these kernels; "" = the best of this machine. Errors of measure_weights.
Result<PartSize> measure_part(const GgufFile& file, const Config& config, int context_size, KvType kv_type, const LayerRange& range,
                              std::string_view kernels = "");

/// The fewest parts of at most `most_bytes` each, about equally large. Errors of measure_part; kOutOfMemory when kMostParts are too few.
Result<std::vector<PartSize>> plan_parts(const GgufFile& file, const Config& config, int context_size, KvType kv_type, uint64_t most_bytes,
                                         std::string_view kernels = "");

/// The same for a GGUF, or the parts of a split one, whose headers are read; `context_size` and `kv_type` as in EngineOptions.
/// Errors of GgufFile::open_headers, Config and choose_context, too.
Result<std::vector<PartSize>> plan_parts(std::vector<std::shared_ptr<const ByteSource>> sources, int context_size,
                                         std::optional<KvType> kv_type, uint64_t most_bytes);

}  // namespace tessera

// The core's public face: what a model will take in memory, said from the first bytes of its file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/model/kv_type.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera {

/// Bytes of an engine and one session, as EngineInfo will say them after loading. The vocabulary is not among them (3 MB for SmolLM2, 13 MB
/// for Gemma 3); with it this is what the allocator hands out, within 0.5 % (tests/core/engine/estimate_peak_test.cpp).
struct Estimate {
  uint64_t weights_bytes = 0;  ///< packed for the best kernels of this machine
  uint64_t kv_bytes = 0;
  uint64_t workspace_bytes = 0;
  std::vector<std::string> unsupported;  ///< why this build will refuse the model; empty if it runs it. What cannot be said then is 0.

  uint64_t total_bytes() const { return weights_bytes + kv_bytes + workspace_bytes; }
  /// Below 4 GB with 64 MB for the vocabulary, the program and loading.
  bool fits_wasm32() const { return total_bytes() + (64ull << 20) <= 4ull << 30; }
};

/// `source`: a GGUF, or as much of its beginning as metadata and tensor directory take. `context_size` as in EngineOptions. Errors of
/// GgufFile::open_header (kIo or kBadFile when there are too few bytes), Config and choose_context but for kUnsupported.
Result<Estimate> estimate(std::shared_ptr<const ByteSource> source, int context_size, KvType kv_type);

/// {"weights_bytes","kv_bytes","workspace_bytes","total_bytes","fits_wasm32","unsupported":[…]}
nlohmann::ordered_json estimate_json(const Estimate& estimate);

}  // namespace tessera

// The core's public face: what a model will take in memory, said from the first bytes of its file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/engine/engine.h"
#include "core/engine/parts.h"
#include "core/model/kv_type.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera {

/// What a model is and the bytes of an engine and one session, as EngineInfo will say them after loading, and of all else.
struct Estimate {
  std::string name;           ///< general.name, or ""
  std::string architecture;   ///< general.architecture
  std::string quantization;   ///< the format that holds most weights: "Q4_1"
  uint64_t parameters = 0;    ///< weights in all tensors
  uint64_t tensor_bytes = 0;  ///< what they take in the file
  int context_size = 0;       ///< tokens
  int trained_context = 0;    ///< tokens
  KvType kv_type = KvType::kF32;
  uint64_t weights_bytes = 0;  ///< as the kernels pack them
  uint64_t kv_bytes = 0;
  uint64_t workspace_bytes = 0;
  uint64_t lora_bytes = 0;               ///< of the adapters, in f32
  uint64_t other_bytes = 0;              ///< vocabulary, program, stacks of threads, what loading holds at a time
  int parts = 0;                         ///< memories that hold it (plan_parts); 0: kMostParts are too few, or it cannot be cut
  std::vector<std::string> unsupported;  ///< why this build will refuse the model; empty if it runs it. What cannot be said then is 0.

  double bits_per_weight() const { return parameters == 0 ? 0 : 8.0 * static_cast<double>(tensor_bytes) / static_cast<double>(parameters); }
  uint64_t total_bytes() const { return weights_bytes + kv_bytes + workspace_bytes + lora_bytes + other_bytes; }
  bool fits_wasm32() const { return unsupported.empty() && total_bytes() - other_bytes <= kWasm32Bytes; }  ///< in one memory
};

/// `parts`: a GGUF or the parts of a split one, or as much of the beginning of each as metadata and tensor directory take; the same of each
/// adapter. Of the options those that sizes depend on; `most_bytes` of one memory, 0 = kWasm32Bytes, for Estimate::parts. Errors of
/// check_options; of GgufFile::open_headers (kIo or kBadFile when there are too few bytes), also for an adapter; of Config and
/// choose_context but for kUnsupported; of AdapterSet::measure.
Result<Estimate> estimate(std::vector<std::shared_ptr<const ByteSource>> parts, const EngineOptions& options,
                          std::span<const AdapterFile> adapters = {});

/// {"weights_bytes","kv_bytes","workspace_bytes","other_bytes","total_bytes","fits_wasm32","parts","unsupported":[…]}, with adapters also
/// "lora_bytes"
nlohmann::ordered_json estimate_json(const Estimate& estimate);

}  // namespace tessera

// Owns the translation of the page's JSON requests into the core's option structs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/engine/bench.h"
#include "core/engine/engine.h"
#include "core/engine/generator.h"
#include "nlohmann/json.hpp"

namespace tessera {

/// One answer as web/engine/protocol.js asks for it (GenerateRequest).
struct AnswerRequest {
  nlohmann::ordered_json messages;  ///< array of {role, content}; null for a raw prompt (options.chat is false)
  std::string prompt;
  GenerateOptions options;
};

// The page has checked the types already; these still refuse what does not fit (kInvalidArgument naming the field), because
// everything that crosses a border is checked where it arrives. Absent fields keep the core's defaults.
Result<EngineOptions> parse_engine_options(const std::string& json);
Result<AnswerRequest> parse_answer_request(const std::string& json);
Result<BenchOptions> parse_bench_options(const std::string& json);
Result<std::vector<int32_t>> parse_ids(const std::string& json);

}  // namespace tessera

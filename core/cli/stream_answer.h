// Owns the streaming of one answer to the terminal, for `run` and `chat`.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "core/engine/generator.h"

namespace tessera::cli {

/// Generates one answer: a progress line while the prompt is read, then each new piece of text to `show`. `stopped` is asked
/// between steps; when it says true the answer so far is returned, as kAborted. Errors of Generator.
Result<Generation> stream_answer(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options,
                                 const std::function<void(std::string_view)>& show, const std::function<bool()>& stopped);

}  // namespace tessera::cli

// Owns the streaming of one answer to the terminal, for `run` and `chat`.
#pragma once

#include <functional>
#include <span>

#include "core/engine/generator.h"

namespace tessera::cli {

/// Prints an answer as it comes. What the model thought first is faint, between lines that say so.
class AnswerPrinter {
 public:
  void show(const GenerateStep& step);

 private:
  bool thinking_ = false;
};

/// Generates one answer: a progress line while the prompt is read, then each step with new text to `show`. `stopped` is asked
/// between steps; when it says true the answer so far is returned, as kAborted. Errors of Generator.
Result<Generation> stream_answer(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options,
                                 const std::function<void(const GenerateStep&)>& show, const std::function<bool()>& stopped);

}  // namespace tessera::cli

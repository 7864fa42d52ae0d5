// Owns telling a model's reasoning (`<think>…</think>`) from its answer while both stream in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tessera {

/// Whether `text` is exactly a tag that opens or ends reasoning.
bool is_reasoning_tag(std::string_view text);

/// What one more stretch of text made certain.
struct ReasoningParts {
  std::string reasoning;
  std::string answer;
};

/// Splits one answer. Reasoning can only stand at its beginning; white space around it belongs to neither part, and an answer
/// without reasoning comes out as it came in. Tags: <think>, <thinking>, <seed:think> and [THINK] with their ends.
class ReasoningSplitter {
 public:
  /// `prompt`: what the model continues. Where it ends in an opening tag (as DeepSeek-R1's template writes it), the answer begins
  /// inside the reasoning.
  explicit ReasoningSplitter(std::string_view prompt = {});

  /// Text that may be the beginning of a tag is held back.
  ReasoningParts push(std::string_view text);

  /// What is left at the end of the stream.
  ReasoningParts finish();

  /// True while the text that comes in is reasoning.
  bool inside() const { return state_ == State::kReasoning; }

 private:
  enum class State : uint8_t { kStart, kReasoning, kAnswer };
  bool find_opening();
  bool take_reasoning(ReasoningParts& parts);

  State state_ = State::kStart;
  std::string_view closing_;  ///< the tag that ends the reasoning
  bool at_start_ = false;     ///< of the reasoning or of the answer behind it: white space is dropped
  std::string pending_;
};

}  // namespace tessera

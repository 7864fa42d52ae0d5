// Owns telling a model's reasoning (`<think>…</think>`, the analysis channel) from its answer while both stream in.
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
/// An answer in the harmony format (gpt-oss) is a chain of messages, `<|channel|>NAME<|message|>TEXT<|end|><|start|>assistant<|channel|>…`:
/// the first in the channel "final", or in none, is the answer, those before it are the reasoning.
class ReasoningSplitter {
 public:
  /// `prompt`: what the model continues. Where it ends in an opening tag (as DeepSeek-R1's template writes it), the answer begins
  /// inside the reasoning; where it ends in `<|start|>assistant`, messages follow.
  explicit ReasoningSplitter(std::string_view prompt = {});

  /// Text that may be the beginning of a tag is held back.
  ReasoningParts push(std::string_view text);

  /// What is left at the end of the stream.
  ReasoningParts finish();

  /// True while the text that comes in is reasoning.
  bool inside() const { return state_ == State::kReasoning; }

  /// True while the text that comes in is the answer, or may be its beginning: not in reasoning, nor before a message's text.
  bool answers() const { return state_ == State::kAnswer || state_ == State::kStart; }

 private:
  enum class State : uint8_t { kStart, kHeader, kReasoning, kAnswer };
  bool advance(ReasoningParts& parts);
  bool find_opening();
  bool take_header(ReasoningParts& parts);
  bool take_reasoning(ReasoningParts& parts);

  State state_ = State::kStart;
  std::string_view closing_;     ///< the tag that ends the reasoning
  State next_ = State::kAnswer;  ///< what follows the reasoning
  bool has_thought_ = false;     ///< a message of reasoning is over
  bool at_start_ = false;        ///< of the reasoning or of the answer behind it: white space is dropped
  std::string pending_;
};

}  // namespace tessera

// The core's public face, part four: Generator, one answer in progress, advanced step by step so that any caller can stay responsive.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/engine/answer_grammar.h"
#include "core/engine/session.h"
#include "core/sample/sampler.h"

namespace tessera {

namespace grammar {
class TokenConstraint;  // core/grammar
}

class PromptLookup;
class ReasoningSplitter;  // core/text
class StreamDecoder;      // core/text

/// Why an answer ended.
enum class FinishReason { kStop, kLength, kContext, kAborted };
/// "stop", "length", "context", "aborted".
std::string_view finish_reason_name(FinishReason reason);

/// What one answer may do.
struct GenerateOptions {
  int max_tokens = -1;  ///< new tokens at most (≥ 0); -1 = until the context is full
  SamplerOptions sampler;
  std::vector<std::string> stop;  ///< text that ends the answer and is not part of it; empty strings are an error
  bool chat = true;               ///< the answer is one turn of a chat: it also ends where the model opens the next role's turn,
                                  ///< and the space that a tokenizer puts before a text is dropped; false continues a raw prompt
  std::string template_override;  ///< with chat: the same as was given to Engine::chat_prompt
  bool split_reasoning = false;   ///< with chat: <think>…</think> or channels before the answer are told apart from it, tags dropped
  bool ignore_end = false;        ///< go on after end-of-generation tokens and turn markers (benchmarks)
  bool logprobs = false;          ///< report each token's log-probability
  int top_logprobs = 0;           ///< 0…20 alternatives a token; needs logprobs
  AnswerGrammar grammar = {};     ///< what the answer has to be; null = any text. With split_reasoning only what comes behind the
                                  ///< reasoning, which may be there where the prompt, or the most likely first token, opens it
  bool prompt_lookup = true;      ///< guess tokens from what stood in the text before, which is faster; the answer is the same
};

/// What one step brought.
struct GenerateStep {
  enum class Kind { kPrefill, kWorking, kToken, kDone };  ///< kWorking: in the middle of a token, nothing to show
  Kind kind = Kind::kDone;
  int prompt_done = 0;  ///< kPrefill: prompt tokens computed or reused so far, of prompt_total; parts of a batch count in part
  int prompt_total = 0;
  int32_t token = -1;     ///< kToken: the drawn token
  std::string text;       ///< kToken, kDone: new, certain, valid UTF-8; "" while a character or a stop string may be incomplete
  std::string reasoning;  ///< with split_reasoning: the same for the reasoning, which comes before `text`
  float logprob = 0;      ///< kToken with logprobs: natural log, of the model's own distribution (before the sampler)
  std::vector<std::pair<int32_t, float>> top;  ///< kToken with top_logprobs: best first
};

/// A finished (or stopped) answer.
struct Generation {
  std::string text;             ///< without the stop string
  std::string reasoning;        ///< with split_reasoning: what the model thought before `text`
  std::vector<int32_t> tokens;  ///< drawn tokens without the end-of-generation token
  int prompt_tokens = 0;
  int reused_tokens = 0;     ///< prompt tokens whose KV was still there
  int prefilled_tokens = 0;  ///< prompt tokens computed so far; all others but the reused ones, unless it was stopped
  FinishReason finish_reason = FinishReason::kAborted;
  int decoded_tokens = 0;  ///< drawn tokens that were computed after the prompt; the last one drawn is not, unless it was guessed
  int guessed_tokens = 0;  ///< computed in advance (prompt_lookup.h)
  int right_guesses = 0;   ///< of these, tokens that were then drawn
  double prefill_ms = 0;
  double decode_ms = 0;
  double prefill_tps() const;  ///< computed prompt tokens per second; 0 when nothing was computed
  double decode_tps() const;   ///< decoded_tokens per second of decode_ms; 0 when there are none
};

/// One answer in progress. Uses the session until destroyed; not thread-safe. Dropping it early is an abort:
/// the session keeps a consistent timeline, which may end with guesses that were not drawn.
class Generator {
 public:
  /// Checks options and prompt (kInvalidArgument, kContextFull) and rewinds the session to the common prefix.
  static Result<std::unique_ptr<Generator>> start(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options);
  ~Generator();

  /// A batch of prefill or a token, or as much of it as kStepMilliseconds allow: at most that and one layer pass between two steps, so
  /// an abort is heard soon, however large the model. After kDone every further call gives kDone again with empty text.
  Result<GenerateStep> step();

  static constexpr double kStepMilliseconds = 25;

  /// The answer so far; finish_reason is kAborted until step() has returned kDone.
  const Generation& result() const { return generation_; }

 private:
  Generator(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options);

  Result<GenerateStep> prefill();
  Result<GenerateStep> decode();
  Result<bool> compute_next();
  int32_t opening_tag(std::span<const float> logits) const;
  Result<int32_t> draw(std::span<const float> logits);
  int guesses() const;
  void take(int32_t token);
  void drop_guesses();
  GenerateStep finish();
  std::string text_of(int32_t token);
  bool ends_answer(int32_t token) const;
  void check_limits();
  void release(std::string text, bool last, GenerateStep& step);

  Session& session_;
  std::vector<int32_t> prompt_;
  GenerateOptions options_;
  std::vector<int32_t> end_tokens_;      ///< sorted; besides the vocabulary's end-of-generation tokens
  std::vector<std::string> stop_texts_;  ///< options.stop and the turn markers that are text
  Sampler sampler_;
  std::unique_ptr<grammar::TokenConstraint> constraint_;  ///< null without a grammar
  std::unique_ptr<ReasoningSplitter> drawn_;              ///< of all that was drawn, also what stop texts hold back; null without a grammar
  std::unique_ptr<PromptLookup> lookup_;                  ///< null unless asked for
  double computing_ms_ = 0;                               ///< spent so far on a token that is not computed yet
  std::unique_ptr<StreamDecoder> decoder_;
  std::unique_ptr<ReasoningSplitter> reasoning_;  ///< null unless asked for
  Generation generation_;
  std::string held_back_;               ///< text that may still turn out to begin a stop string
  std::optional<FinishReason> reason_;  ///< set once the answer is over; the next step() reports it
  bool stopped_by_text_ = false;
  bool done_ = false;
};

}  // namespace tessera

// Implements the step-by-step answer: prefill in batches, then one token a step until an end token, a stop text or a limit.
#include "core/engine/generator.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "core/engine/evaluate.h"
#include "core/engine/prompt_lookup.h"
#include "core/grammar/token_constraint.h"
#include "core/text/reasoning.h"
#include "core/text/stream_decoder.h"
#include "core/text/tokenizer.h"

namespace tessera {

namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

double per_second(int count, double milliseconds) { return milliseconds > 0 ? count * 1000.0 / milliseconds : 0.0; }

/// Length of the longest end of `text` that begins one of `stops` without completing it.
size_t partial_stop(std::string_view text, const std::vector<std::string>& stops) {
  size_t longest = 0;
  for (const std::string& stop : stops) {
    for (size_t length = std::min(text.size(), stop.size() - 1); length > longest; --length) {
      if (text.ends_with(std::string_view(stop).substr(0, length))) {
        longest = length;
      }
    }
  }
  return longest;
}

/// The end of a prompt as text: as much of it as an opening tag of reasoning may take, spelled out with white space behind it.
std::string prompt_end(const Engine& engine, std::span<const int32_t> prompt) {
  constexpr size_t kMostTokens = 16;
  return engine.detokenize(prompt.last(std::min(prompt.size(), kMostTokens)), true).value();
}

Result<void> check(const GenerateOptions& options, int vocab_size) {
  if (options.max_tokens < -1) {
    return Error{ErrorCode::kInvalidArgument, "max_tokens is " + std::to_string(options.max_tokens) + ", expected 0 or more",
                 "-1 goes on until the context is full"};
  }
  if (options.top_logprobs < 0 || options.top_logprobs > 20) {
    return Error{ErrorCode::kInvalidArgument, "top_logprobs is " + std::to_string(options.top_logprobs) + ", expected 0 to 20", ""};
  }
  if (options.top_logprobs > 0 && !options.logprobs) {
    return Error{ErrorCode::kInvalidArgument, "top_logprobs is set without logprobs", "set logprobs, too"};
  }
  for (const std::string& stop : options.stop) {
    if (stop.empty()) {
      return Error{ErrorCode::kInvalidArgument, "stop holds an empty string", "leave it out: it would end every answer at once"};
    }
  }
  return options.sampler.validate(vocab_size);
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kContext: return "context";
    case FinishReason::kAborted: break;
  }
  return "aborted";
}

double Generation::prefill_tps() const { return per_second(prefilled_tokens, prefill_ms); }
double Generation::decode_tps() const { return per_second(decoded_tokens, decode_ms); }

Result<std::unique_ptr<Generator>> Generator::start(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options) {
  if (Result<void> checked = check(options, session.engine().info().vocab_size); !checked) {
    return checked.error();
  }
  Result<int> reused = session.rewind_to_common(prompt);
  if (!reused) {
    return reused.error();
  }
  std::unique_ptr<Generator> generator(new Generator(session, prompt, options));
  generator->generation_.reused_tokens = *reused;
  return generator;
}

Generator::Generator(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options)
    : session_(session),
      prompt_(prompt.begin(), prompt.end()),
      options_(options),
      stop_texts_(options.stop),
      sampler_(options.sampler),
      decoder_(std::make_unique<StreamDecoder>(session.engine().tokenizer(), options.chat)) {
  generation_.prompt_tokens = static_cast<int>(prompt.size());
  for (const int32_t token : prompt) {
    sampler_.accept(token);
  }
  if (options.prompt_lookup) {
    lookup_ = std::make_unique<PromptLookup>(prompt, session.engine().info().context_size);
  }
  if (options.chat && !options.ignore_end) {
    TurnEnds ends = session.engine().turn_ends(options.template_override);
    end_tokens_ = std::move(ends.tokens);
    stop_texts_.insert(stop_texts_.end(), ends.texts.begin(), ends.texts.end());
  }
  if (options.chat && options.split_reasoning) {
    reasoning_ = std::make_unique<ReasoningSplitter>(prompt_end(session.engine(), prompt));
  }
  if (options.grammar) {
    std::vector<int32_t> ends;
    if (!options.ignore_end) {
      const std::vector<int32_t>& known = session.engine().tokenizer().vocab().end_ids();
      std::set_union(known.begin(), known.end(), end_tokens_.begin(), end_tokens_.end(), std::back_inserter(ends));
    }
    constraint_ = std::make_unique<grammar::TokenConstraint>(options.grammar, session.engine().text().token_texts(), std::move(ends));
    drawn_ = reasoning_ ? std::make_unique<ReasoningSplitter>(*reasoning_) : nullptr;
  }
}

Generator::~Generator() = default;

Result<GenerateStep> Generator::step() {
  if (done_) {
    return GenerateStep{};
  }
  if (reason_) {
    return finish();
  }
  return session_.tokens().size() < prompt_.size() ? prefill() : decode();
}

Result<GenerateStep> Generator::prefill() {
  const Clock::time_point start = Clock::now();
  Result<int> taken = session_.extend(std::span<const int32_t>(prompt_).subspan(session_.tokens().size()), 0, kStepMilliseconds);
  generation_.prefill_ms += milliseconds_since(start);
  if (!taken) {
    return taken.error();
  }
  generation_.prefilled_tokens += *taken;
  GenerateStep step;
  step.kind = GenerateStep::Kind::kPrefill;
  step.prompt_done = static_cast<int>(session_.tokens().size()) + static_cast<int>(session_.pending());
  step.prompt_total = generation_.prompt_tokens;
  check_limits();
  return step;
}

/// Tokens of the timeline that were computed in advance and not drawn yet; -1 when the last one drawn is not computed.
int Generator::guesses() const {
  return static_cast<int>(session_.tokens().size()) - generation_.prompt_tokens - static_cast<int>(generation_.tokens.size());
}

static_assert(PromptLookup::kTokens + 1 <= Session::kMaxRows);

/// Computes the last token, with guesses behind it where there are any and room for them; false when time was over before.
Result<bool> Generator::compute_next() {
  const Clock::time_point start = Clock::now();
  std::vector<int32_t> batch = {generation_.tokens.back()};
  const std::span<const int32_t> guess = lookup_ ? lookup_->guess() : std::span<const int32_t>();
  // No token is computed that could not be followed by another.
  const int after = static_cast<int>(generation_.tokens.size() + guess.size());
  if (generation_.prompt_tokens + after < session_.engine().info().context_size &&
      (options_.max_tokens < 0 || after < options_.max_tokens)) {
    batch.insert(batch.end(), guess.begin(), guess.end());
  }
  const Result<int> taken = session_.extend(batch, 0, kStepMilliseconds, static_cast<int>(batch.size()));
  computing_ms_ += milliseconds_since(start);
  if (!taken) {
    return taken.error();
  }
  if (taken.value() == 0) {
    return false;
  }
  ++generation_.decoded_tokens;
  generation_.guessed_tokens += guesses();
  if (lookup_) {
    lookup_->took(computing_ms_, batch.size() > 1);
  }
  computing_ms_ = 0;
  return true;
}

/// Appends a drawn token to the answer. The timeline keeps what was guessed right.
void Generator::take(int32_t token) {
  if (const int guessed = guesses(); guessed > 0) {
    const std::span<const int32_t> timeline = session_.tokens();
    if (timeline[timeline.size() - static_cast<size_t>(guessed)] == token) {
      ++generation_.decoded_tokens;
      ++generation_.right_guesses;
    } else {
      drop_guesses();
    }
  }
  generation_.tokens.push_back(token);
  if (lookup_) {
    lookup_->accept(token);
  }
}

void Generator::drop_guesses() { session_.truncate(generation_.prompt_tokens + static_cast<int>(generation_.tokens.size())); }

/// The most likely token, where it opens reasoning at the beginning of the answer; -1 for any other.
int32_t Generator::opening_tag(std::span<const float> logits) const {
  if (!reasoning_ || !generation_.tokens.empty()) {
    return -1;
  }
  const Vocab& vocab = session_.engine().tokenizer().vocab();
  const auto best = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  return vocab.contains(best) && is_reasoning_tag(vocab.piece(best)) ? best : -1;
}

/// The next token; with a grammar one that it allows, but for the reasoning, which comes before what it rules.
Result<int32_t> Generator::draw(std::span<const float> logits) {
  if (!constraint_ || (drawn_ && !drawn_->answers())) {
    return sampler_.sample(logits);
  }
  if (const int32_t tag = opening_tag(logits); tag >= 0) {
    return tag;
  }
  const bool drops_space = decoder_->drops_space();
  const Result<std::span<const float>> allowed = constraint_->allowed(logits, drops_space);
  if (!allowed) {
    return allowed.error();
  }
  const int32_t token = sampler_.sample(allowed.value());
  if (!constraint_->accept(token, session_.engine().tokenizer().token_bytes(token, false), drops_space)) {
    return Error{ErrorCode::kInvalidArgument, "logit_bias forbids every token that the grammar allows here", "forbid fewer of them"};
  }
  return token;
}

Result<GenerateStep> Generator::decode() {
  const Clock::time_point start = Clock::now();
  if (guesses() < 0) {
    const Result<bool> computed = compute_next();
    if (!computed) {
      return computed.error();
    }
    if (!computed.value()) {
      generation_.decode_ms += milliseconds_since(start);
      GenerateStep step;
      step.kind = GenerateStep::Kind::kWorking;
      return step;
    }
  }
  const std::span<const float> logits = session_.logits(guesses());
  const Result<int32_t> drawn = draw(logits);
  generation_.decode_ms += milliseconds_since(start);
  if (!drawn) {
    return drawn.error();
  }
  const int32_t token = drawn.value();
  sampler_.accept(token);
  if (ends_answer(token)) {
    reason_ = FinishReason::kStop;
    return finish();
  }
  GenerateStep step;
  step.kind = GenerateStep::Kind::kToken;
  step.token = token;
  if (options_.logprobs) {
    const double normaliser = log_normaliser(logits);
    step.logprob = static_cast<float>(logits[static_cast<size_t>(token)] - normaliser);
    step.top = top_logprobs(logits, normaliser, options_.top_logprobs);
  }
  take(token);
  std::string text = text_of(token);
  if (drawn_) {
    drawn_->push(text);
  }
  release(std::move(text), false, step);
  if (!reason_ && constraint_ && constraint_->over()) {
    reason_ = FinishReason::kStop;
  }
  check_limits();
  return step;
}

GenerateStep Generator::finish() {
  drop_guesses();
  GenerateStep step;
  release(stopped_by_text_ ? std::string() : decoder_->finish(), true, step);
  generation_.finish_reason = stopped_by_text_ ? FinishReason::kStop : *reason_;
  done_ = true;
  return step;
}

/// The text that became certain with a token. What tells reasoning and answer apart are control tokens in some vocabularies, which no
/// text shows.
std::string Generator::text_of(int32_t token) {
  std::string text = decoder_->push(token);
  const Vocab& vocab = session_.engine().tokenizer().vocab();
  if (reasoning_ && vocab.kind(token) == TokenKind::kControl && (is_reasoning_tag(vocab.piece(token)) || vocab.frames_message(token))) {
    text += vocab.piece(token);
  }
  return text;
}

bool Generator::ends_answer(int32_t token) const {
  return !options_.ignore_end && (session_.engine().tokenizer().vocab().is_end_of_generation(token) ||
                                  std::binary_search(end_tokens_.begin(), end_tokens_.end(), token));
}

/// Ends the answer when it may not grow: prompt and answer together never exceed the context.
void Generator::check_limits() {
  if (reason_ || session_.tokens().size() < prompt_.size()) {
    return;
  }
  const auto drawn = static_cast<int>(generation_.tokens.size());
  if (options_.max_tokens >= 0 && drawn >= options_.max_tokens) {
    reason_ = FinishReason::kLength;
  } else if (generation_.prompt_tokens + drawn >= session_.engine().info().context_size) {
    reason_ = FinishReason::kContext;
  }
}

/// Takes new text and puts into the step what is certain not to belong to a stop text; at the last call, everything.
void Generator::release(std::string text, bool last, GenerateStep& step) {
  held_back_ += text;
  size_t certain = std::string::npos;
  for (const std::string& stop : stop_texts_) {
    certain = std::min(certain, held_back_.find(stop));
  }
  if (certain != std::string::npos) {
    stopped_by_text_ = true;
    reason_ = FinishReason::kStop;
  } else {
    certain = held_back_.size() - (last ? 0 : partial_stop(held_back_, stop_texts_));
  }
  step.text = held_back_.substr(0, certain);
  held_back_.erase(0, stopped_by_text_ ? held_back_.size() : certain);
  if (reasoning_) {
    ReasoningParts parts = reasoning_->push(step.text);
    if (last) {
      ReasoningParts rest = reasoning_->finish();
      parts.reasoning += rest.reasoning;
      parts.answer += rest.answer;
    }
    step.reasoning = std::move(parts.reasoning);
    step.text = std::move(parts.answer);
  }
  generation_.reasoning += step.reasoning;
  generation_.text += step.text;
}

}  // namespace tessera

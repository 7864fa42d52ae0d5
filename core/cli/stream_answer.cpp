#include "core/cli/stream_answer.h"

#include "core/cli/console.h"

namespace tessera::cli {

void AnswerPrinter::show(const GenerateStep& step) {
  if (!step.reasoning.empty()) {
    print(coloured((thinking_ ? "" : "(thinking)\n") + step.reasoning, "2"));
    thinking_ = true;
  }
  if (!step.text.empty() && thinking_) {
    print(coloured("\n(answer)\n", "2"));
    thinking_ = false;
  }
  print(step.text);
}

Result<Generation> stream_answer(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options,
                                 const std::function<void(const GenerateStep&)>& show, const std::function<bool()>& stopped) {
  auto generator = Generator::start(session, prompt, options);
  if (!generator) {
    return generator.error();
  }
  Progress progress("reading the prompt", false);
  while (true) {
    const Result<GenerateStep> step = (*generator)->step();
    if (!step) {
      return step.error();
    }
    if (step.value().kind == GenerateStep::Kind::kPrefill) {
      progress.update(static_cast<uint64_t>(step.value().prompt_done), static_cast<uint64_t>(step.value().prompt_total));
    } else {
      progress.clear();
      show(step.value());
    }
    if (step.value().kind == GenerateStep::Kind::kDone || stopped()) {
      return (*generator)->result();
    }
  }
}

}  // namespace tessera::cli

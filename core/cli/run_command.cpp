// Owns `tessera run`: one prompt in, one answer out.
#include <cstdio>
#include <memory>

#include "core/cli/commands.h"
#include "core/cli/console.h"
#include "core/cli/stream_answer.h"
#include "nlohmann/json.hpp"

namespace tessera::cli {

namespace {

using Json = nlohmann::ordered_json;

struct RunOptions {
  ModelOptions model;
  SamplingOptions sampling;
  AnswerOptions answer;
  std::string prompt;
  bool prompt_given = false;
  bool raw = false;
  bool split_reasoning = false;
};

Json as_json(const Generation& answer, bool split_reasoning, double load_ms, uint64_t seed) {
  Json object{{"text", answer.text}};
  if (split_reasoning) {
    object["reasoning"] = answer.reasoning;
  }
  object.update({{"tokens", answer.tokens},
                 {"prompt_tokens", answer.prompt_tokens},
                 {"finish_reason", finish_reason_name(answer.finish_reason)},
                 {"seed", seed},
                 {"timings",
                  {{"load_ms", load_ms},
                   {"prefill_ms", answer.prefill_ms},
                   {"prefill_tps", answer.prefill_tps()},
                   {"decode_tps", answer.decode_tps()}}}});
  return object;
}

Result<std::string> prompt_text(const RunOptions& options) {
  Result<std::string> text = options.prompt_given ? options.prompt : read_stdin();
  if (!text) {
    return text;
  }
  if (!options.prompt_given && text->ends_with('\n')) {
    text->pop_back();
  }
  if (text->empty()) {
    return Error{ErrorCode::kInvalidArgument, "the prompt is empty", "give one with -p TEXT or on stdin"};
  }
  return text;
}

Result<std::vector<int32_t>> prompt_ids(const RunOptions& options, const Engine& engine, const std::string& text,
                                        const std::string& template_override) {
  if (options.raw) {
    return engine.raw_prompt(text);
  }
  Json messages = Json::array();
  if (!options.answer.system.empty()) {
    messages.push_back({{"role", "system"}, {"content", options.answer.system}});
  }
  messages.push_back({{"role", "user"}, {"content", text}});
  return engine.chat_prompt({{"messages", messages}}, template_override);
}

int run(const RunOptions& options) {
  Result<GenerateOptions> generate = generate_options(options.sampling, options.answer);
  if (!generate) {
    return fail(generate.error());
  }
  generate->chat = !options.raw;
  generate->split_reasoning = options.split_reasoning;
  if (options.raw && (!options.answer.system.empty() || !options.answer.chat_template.empty() || options.split_reasoning)) {
    return fail({ErrorCode::kInvalidArgument, "--raw does not go with --system, --chat-template or --split-reasoning",
                 "write everything into the prompt"});
  }
  const Result<std::string> text = prompt_text(options);
  if (!text) {
    return fail(text.error());
  }
  Result<Loaded> loaded = load(options.model);
  if (!loaded) {
    return fail(loaded.error());
  }
  const Result<std::vector<int32_t>> prompt = prompt_ids(options, *loaded->engine, text.value(), generate->template_override);
  if (!prompt) {
    return fail(prompt.error());
  }
  AnswerPrinter printer;
  const auto show = [&](const GenerateStep& step) {
    if (!options.model.json) {
      printer.show(step);
    }
  };
  const Result<Generation> result = stream_answer(*loaded->session, prompt.value(), *generate, show, [] { return false; });
  if (!result) {
    return fail(result.error());
  }
  if (options.model.json) {
    return print_json(as_json(result.value(), options.split_reasoning, loaded->load_ms, generate->sampler.seed));
  }
  print("\n");
  return 0;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Answer one prompt");
  command->footer(
      "The prompt is one user message, put into the model's chat template; --raw gives it to the model as it is (special tokens "
      "are parsed). From stdin, one final newline is taken off.\n"
      "--json: {\"text\", \"tokens\", \"prompt_tokens\", \"finish_reason\": \"stop|length|context\", \"seed\", \"timings\"}, and "
      "\"reasoning\" with --split-reasoning");
  add_model_options(*command, options->model);
  command
      ->add_option_function<std::string>(
          "-p,--prompt",
          [options](const std::string& text) {
            options->prompt = text;
            options->prompt_given = true;
          },
          "The prompt; stdin if left out")
      ->type_name("TEXT");
  command->add_flag("--raw", options->raw, "No chat template: continue the text");
  command->add_flag("--split-reasoning", options->split_reasoning, "Tell what a model thinks (<think>...</think>) apart from its answer");
  add_answer_options(*command, options->answer);
  add_sampling_options(*command, options->sampling);
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace tessera::cli

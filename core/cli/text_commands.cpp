// Owns `tessera tokenize` and `tessera render`: everything about text that needs no weights.
#include <memory>

#include "core/cli/commands.h"
#include "core/cli/console.h"
#include "core/cli/model_files.h"
#include "core/engine/text_model.h"
#include "nlohmann/json.hpp"

namespace tessera::cli {

namespace {

using Json = nlohmann::ordered_json;

struct TokenizeOptions {
  ModelOptions model;
  bool special = false;
  bool bos = false;
  bool decode = false;
};

struct RenderOptions {
  ModelOptions model;
  std::string template_file;
  std::string context_file;
  std::string now;
};

Result<std::unique_ptr<TextModel>> open_text(const ModelOptions& options) {
  auto parts = open_model(options.files);
  if (!parts) {
    return parts.error();
  }
  return TextModel::open(std::move(*parts));
}

/// Prints a command's text, or {"text"}, or why there is none; the exit code.
int show_text(const Result<std::string>& text, bool json) {
  if (!text) {
    return fail(text.error());
  }
  if (json) {
    return print_json({{"text", text.value()}});
  }
  print(text.value());
  return 0;
}

int decode(const TextModel& text, const TokenizeOptions& options) {
  const Result<std::string> list = read_stdin();
  if (!list) {
    return fail(list.error());
  }
  const Result<std::vector<int32_t>> ids = parse_ids(list.value());
  if (!ids) {
    return fail(ids.error());
  }
  return show_text(text.detokenize(ids.value(), options.special), options.model.json);
}

int tokenize(const TokenizeOptions& options) {
  if (const Result<EngineRequest> checked = engine_request(options.model); !checked) {
    return fail(checked.error());
  }
  const Result<std::unique_ptr<TextModel>> text = open_text(options.model);
  if (!text) {
    return fail(text.error());
  }
  if (options.decode) {
    return decode(*text.value(), options);
  }
  const Result<std::string> input = read_stdin();
  if (!input) {
    return fail(input.error());
  }
  if (options.bos && text.value()->tokenize("", false, true).empty()) {
    return fail(Error{ErrorCode::kInvalidArgument, "--bos: this vocabulary has no begin token (tokenizer.ggml.bos_token_id is absent)",
                      "leave --bos out"});
  }
  const std::vector<int32_t> ids = text.value()->tokenize(input.value(), options.special, options.bos);
  if (options.model.json) {
    return print_json({{"ids", ids}});
  }
  std::string line;
  for (const int32_t id : ids) {
    line += (line.empty() ? "" : ",") + std::to_string(id);
  }
  print(line + "\n");
  return 0;
}

Result<std::string> rendered(const RenderOptions& options) {
  if (const Result<EngineRequest> checked = engine_request(options.model); !checked) {
    return checked.error();
  }
  const Result<Json> context = read_json_file(options.context_file);
  if (!context) {
    return context.error();
  }
  if (!context.value().is_object()) {
    return Error{ErrorCode::kBadFile, options.context_file + ": expected a JSON object with the template's variables", ""};
  }
  if (!options.template_file.empty()) {
    const Result<std::string> source = read_text_file(options.template_file);
    return source ? render_template(source.value(), context.value(), options.now) : source.error();
  }
  const Result<std::unique_ptr<TextModel>> text = open_text(options.model);
  return text ? text.value()->render(context.value(), "", options.now) : text.error();
}

int render(const RenderOptions& options) { return show_text(rendered(options), options.model.json); }

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  const auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = app.add_subcommand("tokenize", "Text on stdin to token ids, or back");
  command->footer(
      "Reads all of stdin as it is, a final newline included. Needs no weights: a vocabulary-only GGUF will do.\n"
      "--json: {\"ids\": […]}; with --decode {\"text\"}");
  add_model_options(*command, options->model);
  command->add_flag("--special", options->special, "Parse special tokens written in the text; with --decode, write them");
  CLI::Option* bos = command->add_flag("--bos", options->bos, "Put the begin token in front");
  command->add_flag("--decode", options->decode, "Read ids (1,2,3) and write their text")->excludes(bos);
  command->callback([options, &action] { action = [options] { return tokenize(*options); }; });
}

void add_render(CLI::App& app, Action& action) {
  const auto options = std::make_shared<RenderOptions>();
  CLI::App* command = app.add_subcommand("render", "Messages to a prompt, by a chat template");
  command->footer(
      "With --template the variables are exactly those of the context file; with a model, bos_token and eos_token are filled in "
      "where they are missing.\n--json: {\"text\"}");
  command->add_option("--template", options->template_file, "Jinja file; the model's own template if left out")->type_name("FILE");
  command
      ->add_option("--context", options->context_file,
                   "JSON file: messages, tools, add_generation_prompt, bos_token, eos_token and any other variable")
      ->required()
      ->type_name("FILE");
  add_model_options(*command, options->model);
  command->add_option("--now", options->now, "What strftime_now sees, like 2026-11-22T12:00:00; the clock if left out")->type_name("TIME");
  command->callback([options, &action] { action = [options] { return render(*options); }; });
}

}  // namespace tessera::cli

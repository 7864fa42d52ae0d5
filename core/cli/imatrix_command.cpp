// Owns `tessera imatrix`: which columns of a model's matrices a text uses, for `tessera quantize --imatrix`.
#include <filesystem>
#include <memory>

#include "core/cli/commands.h"
#include "core/cli/console.h"
#include "core/cli/model_files.h"
#include "core/cli/output_file.h"
#include "core/engine/importance.h"
#include "nlohmann/json.hpp"

namespace tessera::cli {

namespace {

struct CommandOptions {
  ModelOptions model;
  std::string text, out;
  std::optional<int> chunk;
};

Result<ImportanceReport> collect(const CommandOptions& options, int chunk, const Loaded& loaded, const std::string& text) {
  auto parts = open_model(options.model.files);
  if (!parts) {
    return parts.error();
  }
  const Engine& engine = *loaded.engine;
  catch_interrupts();
  Progress progress("reading", true);
  return collect_importance(*loaded.session, std::move(*parts), engine.tokenize(text, false, false), engine.text().prompt_bos(), chunk,
                            [&progress](size_t done, size_t total) {
                              progress.update(done, total, std::to_string(done) + " of " + std::to_string(total) + " tokens");
                              return !take_interrupt();
                            });
}

int imatrix(CommandOptions& options) {
  std::vector<std::string> inputs = files_read(options.model);
  inputs.push_back(options.text);
  if (Result<void> usable = check_output(options.out, inputs); !usable) {
    return fail(usable.error());
  }
  const Result<std::string> text = read_text_file(options.text);
  if (!text) {
    return fail(text.error());
  }
  const Result<int> chunk = settle_chunk(options.chunk, options.model);
  if (!chunk) {
    return fail(chunk.error());
  }
  const Result<Loaded> loaded = load(options.model);
  if (!loaded) {
    return fail(loaded.error());
  }
  const Result<ImportanceReport> report = collect(options, chunk.value(), loaded.value(), text.value());
  if (!report) {
    return fail(report.error());
  }
  const auto bytes = importance_file(report.value(), std::filesystem::path(options.text).filename().string(), chunk.value());
  if (!bytes) {
    return fail(bytes.error());
  }
  OutputFile file(options.out);
  Result<void> done = file.open(bytes.value().size());
  if (done) {
    done = file.write(bytes.value());
  }
  if (done) {
    done = file.commit();
  }
  if (!done) {
    return fail(done.error());
  }
  if (options.model.json) {
    return print_json({{"tensors", report.value().sums.size()}, {"chunks", report.value().chunks}, {"bytes", bytes.value().size()}});
  }
  print(options.out + ": " + std::to_string(report.value().sums.size()) + " tensors, " + std::to_string(report.value().chunks) +
        " chunks of " + std::to_string(chunk.value()) + " tokens\n");
  return 0;
}

}  // namespace

void add_imatrix(CLI::App& app, Action& action) {
  const auto options = std::make_shared<CommandOptions>();
  CLI::App* command = app.add_subcommand("imatrix", "Measure which columns of the weights a text uses, for quantize --imatrix");
  command->footer("OUT is a GGUF as llama-imatrix writes it, too; it is replaced if it exists.");
  add_model_options(*command, options->model);
  command->add_option("-f,--file", options->text, "Text to read: some 100,000 tokens of what the model is for")
      ->type_name("FILE")
      ->required();
  command->add_option("-o,--output", options->out, "Importance file to write")->type_name("FILE")->required();
  add_number(*command, "--chunk", options->chunk, "Tokens read from an empty context at a time; 512, or what the context holds");
  command->callback([options, &action] { action = [options] { return imatrix(*options); }; });
}

}  // namespace tessera::cli

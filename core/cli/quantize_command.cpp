// Owns `tessera quantize`: one GGUF into another with smaller numbers.
#include <chrono>
#include <filesystem>
#include <memory>

#include "core/cli/commands.h"
#include "core/cli/console.h"
#include "core/cli/model_files.h"
#include "core/cli/output_file.h"
#include "core/quantize/quantize_file.h"
#include "nlohmann/json.hpp"

namespace tessera::cli {

namespace {

using Json = nlohmann::ordered_json;

struct CommandOptions {
  std::string in, out, importance;
  QuantizeOptions quantize;
  bool json = false;
};

Result<QuantizeReport> write_output(const CommandOptions& options, Quantizer& quantizer) {
  OutputFile file(options.out);
  if (Result<void> done = file.open(quantizer.report().output_bytes); !done) {
    return done.error();
  }
  if (Result<void> done = quantizer.write([&](std::span<const std::byte> bytes) { return file.write(bytes); }); !done) {
    return done.error();
  }
  if (Result<void> done = file.commit(); !done) {
    return done.error();
  }
  return quantizer.report();
}

Result<QuantizeReport> run(const CommandOptions& options) {
  std::vector<std::string> inputs = model_file_names({options.in});
  if (!options.importance.empty()) {
    inputs.push_back(options.importance);
  }
  if (Result<void> done = check_output(options.out, inputs); !done) {
    return done.error();
  }
  auto parts = open_model({options.in});
  if (!parts) {
    return parts.error();
  }
  QuantizeOptions settings = options.quantize;
  if (!options.importance.empty()) {
    auto source = map_file(options.importance);
    if (!source) {
      return source.error();
    }
    auto importance = ImportanceMatrix::read(std::move(*source));
    if (!importance) {
      return importance.error();
    }
    settings.importance = std::make_shared<ImportanceMatrix>(std::move(*importance));
    settings.importance_name = std::filesystem::path(options.importance).filename().string();
  }
  catch_interrupts();
  Progress progress("quantising", true);
  settings.on_progress = [&progress](uint64_t done, uint64_t total) {
    progress.update(done, total, human_bytes(done) + " of " + human_bytes(total));
    return !take_interrupt();
  };
  auto quantizer = Quantizer::open(std::move(*parts), std::move(settings));
  if (!quantizer) {
    return quantizer.error();
  }
  return write_output(options, **quantizer);
}

int quantize(const CommandOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const Result<QuantizeReport> result = run(options);
  if (!result) {
    return fail(result.error());
  }
  const QuantizeReport& report = result.value();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double bits = report.parameters > 0 ? 8.0 * static_cast<double>(report.output_bytes) / static_cast<double>(report.parameters) : 0;
  if (options.json) {
    return print_json(Json{{"type", report.type},
                           {"tensors", report.tensors},
                           {"converted", report.converted},
                           {"unweighted", report.unweighted},
                           {"input_bytes", report.input_bytes},
                           {"output_bytes", report.output_bytes},
                           {"bits_per_weight", bits},
                           {"bytes_per_type", report.bytes_per_format},
                           {"seconds", seconds}});
  }
  char figures[96];
  std::snprintf(figures, sizeof(figures), "%.2f bits a weight, %.1f s", bits, seconds);
  print(options.out + ": " + report.type + ", " + human_bytes(report.output_bytes) + " (from " + human_bytes(report.input_bytes) + "), " +
        figures + "\n");
  for (const auto& [format, bytes] : report.bytes_per_format) {
    print("  " + format + "  " + human_bytes(bytes) + "\n");
  }
  if (report.unweighted > 0) {
    print("  " + std::to_string(report.unweighted) + " tensors have no entry in the importance file\n");
  }
  return 0;
}

}  // namespace

void add_quantize(CLI::App& app, Action& action) {
  const auto options = std::make_shared<CommandOptions>();
  CLI::App* command = app.add_subcommand("quantize", "Write a model with smaller numbers");
  std::string names;
  for (const FileType& type : file_types()) {
    names += (names.empty() ? "" : ", ") + std::string(type.name);
  }
  command->footer("Types: " + names +
                  ".\nOUT.gguf appears when it is whole; until then, and after a failure or Ctrl-C, what had that name is untouched.");
  command->add_option("IN", options->in, "Model to read: a GGUF, any part of a split one, or a manifest.json")->required();
  command->add_option("OUT", options->out, "GGUF to write; replaced if it exists")->required();
  command->add_option("TYPE", options->quantize.type, "Type to write, for example Q4_K_M")->required();
  add_number(*command, "-t,--threads", options->quantize.threads, "Threads, 1 to 64; 0 = all processors");
  command->add_option("--imatrix", options->importance, "Importance of each column, by `tessera imatrix` or llama-imatrix (GGUF)")
      ->type_name("FILE");
  command->add_flag("--pure", options->quantize.pure, "Every matrix in the type's base format, no mix");
  command->add_option("--output-tensor-type", options->quantize.output_type, "Format of output.weight instead of the mix's")
      ->type_name("TYPE");
  command->add_option("--token-embedding-type", options->quantize.embedding_type, "Format of token_embd.weight instead of the mix's")
      ->type_name("TYPE");
  command->add_flag("--json", options->json, "Print exactly one JSON object");
  command->callback([options, &action] { action = [options] { return quantize(*options); }; });
}

}  // namespace tessera::cli

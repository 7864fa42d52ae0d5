// Owns `tessera logits`, `tessera perplexity` and `tessera bench`: figures about a model rather than answers from it.
#if !defined(__linux__)
#include <sys/resource.h>
#endif

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/cli/commands.h"
#include "core/cli/console.h"
#include "core/cli/model_files.h"
#include "core/cli/output_file.h"
#include "core/engine/bench.h"
#include "core/engine/evaluate.h"
#include "nlohmann/json.hpp"

namespace tessera::cli {

namespace {

using Json = nlohmann::ordered_json;

struct LogitsCommand {
  ModelOptions model;
  std::string tokens;
  std::string dump;
  LogitsOptions logits;
};

struct PerplexityCommand {
  ModelOptions model;
  std::string file;
  std::optional<int> chunk;
};

struct BenchCommand {
  ModelOptions model;
  BenchOptions bench;
  std::optional<int> prompt_tokens, generate_tokens;  ///< else the defaults of BenchOptions, or what the context holds
};

Json as_json(const LogitsReport& report) {
  Json positions = Json::array();
  for (const LogitsReport::Position& position : report.positions) {
    Json top = Json::array();
    for (const auto& [id, logprob] : position.top) {
      top.push_back(Json::array({id, logprob}));
    }
    positions.push_back({{"top", top}, {"next", position.next ? Json(*position.next) : Json()}});
  }
  return {{"positions", positions}, {"hash", report.hash}};
}

void print_positions(const LogitsReport& report) {
  for (size_t i = 0; i < report.positions.size(); ++i) {
    std::printf("%5zu", i);
    for (const auto& [id, logprob] : report.positions[i].top) {
      std::printf("  %d:%.4f", id, static_cast<double>(logprob));
    }
    std::printf("\n");
  }
  std::printf("hash %s\n", report.hash.c_str());
}

int logits(LogitsCommand& command) {
  std::string list = command.tokens;
  std::vector<std::string> inputs = files_read(command.model);
  const bool in_file = list.starts_with('@');
  if (in_file) {
    inputs.push_back(list.substr(1));
  }
  if (Result<void> usable = check_not_read(command.dump, inputs); !usable) {
    return fail(usable.error());
  }
  if (in_file) {
    Result<std::string> text = read_text_file(inputs.back());
    if (!text) {
      return fail(text.error());
    }
    list = std::move(*text);
  }
  const Result<std::vector<int32_t>> ids = parse_ids(list);
  if (!ids) {
    return fail(ids.error());
  }
  const Result<Loaded> loaded = load(command.model);
  if (!loaded) {
    return fail(loaded.error());
  }
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> dump(nullptr, std::fclose);
  if (!command.dump.empty()) {
    dump.reset(std::fopen(command.dump.c_str(), "wb"));
    if (dump == nullptr) {
      return fail({ErrorCode::kIo, "cannot write " + command.dump, "check the path and its permissions"});
    }
  }
  Progress progress("logits", false);
  command.logits.on_position = [&](int position, std::span<const float> row) {
    progress.update(static_cast<uint64_t>(position), ids.value().size());
    return dump == nullptr || std::fwrite(row.data(), sizeof(float), row.size(), dump.get()) == row.size();
  };
  const Result<LogitsReport> report = report_logits(*loaded.value().session, ids.value(), command.logits);
  const bool written = dump == nullptr || std::fclose(dump.release()) == 0;  // what was buffered until now may fail, too
  if (!written || (!report && report.error().code == ErrorCode::kAborted)) {
    return fail({ErrorCode::kIo, "cannot write all of " + command.dump, "is the disk full?"});
  }
  if (!report) {
    return fail(report.error());
  }
  if (command.model.json) {
    return print_json(as_json(report.value()));
  }
  print_positions(report.value());
  return 0;
}

int perplexity(PerplexityCommand& command) {
  const Result<std::string> text = read_text_file(command.file);
  if (!text) {
    return fail(text.error());
  }
  const Result<int> chunk = settle_chunk(command.chunk, command.model);
  if (!chunk) {
    return fail(chunk.error());
  }
  const Result<Loaded> loaded = load(command.model);
  if (!loaded) {
    return fail(loaded.error());
  }
  const Engine& engine = *loaded.value().engine;
  const std::vector<int32_t> ids = engine.tokenize(text.value(), false, false);
  Progress progress("perplexity", true);
  const auto show = [&progress](const PerplexityReport& so_far, size_t done, size_t total) {
    progress.update(done, total, "(" + std::to_string(so_far.perplexity) + " so far)");
    return true;
  };
  const Result<PerplexityReport> report = measure_perplexity(*loaded.value().session, ids, engine.text().prompt_bos(), chunk.value(), show);
  if (!report) {
    return fail(report.error());
  }
  const PerplexityReport& figures = report.value();
  if (command.model.json) {
    return print_json({{"tokens", figures.tokens}, {"mean_nll", figures.mean_nll}, {"perplexity", figures.perplexity}});
  }
  std::printf("tokens %lld\nmean_nll %.6f\nperplexity %.4f\n", static_cast<long long>(figures.tokens), figures.mean_nll,
              figures.perplexity);
  return 0;
}

// The largest resident size of this process. On Linux not getrusage's, which begins with that of the program that started this one.
uint64_t peak_bytes() {
#if defined(__linux__)
  uint64_t kilobytes = 0;
  if (std::FILE* status = std::fopen("/proc/self/status", "r"); status != nullptr) {
    char line[128];
    while (std::fgets(line, sizeof line, status) != nullptr && std::sscanf(line, "VmHWM: %" SCNu64, &kilobytes) != 1) {
    }
    std::fclose(status);
  }
  return kilobytes * 1024;
#else
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss);  // bytes on macOS
#endif
}

void print_speed(const char* what, int tokens, std::vector<double> tps) {
  if (tps.empty()) {
    return;
  }
  std::sort(tps.begin(), tps.end());
  std::printf("%-8s %5d tokens  %8.1f tokens/s  (%.1f to %.1f)\n", what, tokens, tps[tps.size() / 2], tps.front(), tps.back());
}

void print_profile(const char* what, const Profile& profile, int tokens) {
  if (tokens == 0) {
    return;
  }
  std::printf("%s, milliseconds a token:\n", what);
  for (int kind = 0; kind < kWorkKinds; ++kind) {
    const std::string_view name = kWorkNames[static_cast<size_t>(kind)];
    std::printf("  %-10.*s %8.4f\n", static_cast<int>(name.size()), name.data(), profile.milliseconds[static_cast<size_t>(kind)] / tokens);
  }
  std::printf("  not matrix products: %.1f %%\n", 100 * profile.overhead());
}

/// Settles what is measured, and the context that it needs unless -c is given.
Result<void> settle(BenchCommand& command) {
  BenchOptions& bench = command.bench;
  const Result<int> most = most_context(command.model);
  if (!most) {
    return most.error();
  }
  const int64_t room = int64_t{most.value()} - bench.depth;
  bench.prompt_tokens = command.prompt_tokens.value_or(std::min(bench.prompt_tokens, most.value()));
  bench.generate_tokens = command.generate_tokens.value_or(static_cast<int>(std::clamp<int64_t>(room, 1, bench.generate_tokens)));
  const int64_t needed = std::max({int64_t{bench.prompt_tokens}, int64_t{bench.depth} + bench.generate_tokens, int64_t{1}});
  if (needed > most.value()) {
    return Error{ErrorCode::kContextFull,
                 "the benchmark needs " + std::to_string(needed) + " tokens, the context holds " + std::to_string(most.value()),
                 "time fewer tokens"};
  }
  if (command.model.context == 0) {
    command.model.context = static_cast<int>(needed);
  }
  return {};
}

int bench(BenchCommand& command) {
  if (Result<void> settled = settle(command); !settled) {
    return fail(settled.error());
  }
  const BenchOptions& wanted = command.bench;
  const Result<Loaded> loaded = load(command.model);
  if (!loaded) {
    return fail(loaded.error());
  }
  const Result<BenchReport> report = run_bench(*loaded.value().session, wanted);
  if (!report) {
    return fail(report.error());
  }
  const EngineInfo& info = loaded.value().engine->info();
  const std::string file = std::filesystem::path(command.model.files.front()).filename().string();
  if (command.model.json) {
    Json object = {{"model", file},
                   {"kernels", info.kernels},
                   {"threads", info.threads},
                   {"streams", info.streams},
                   {"load_ms", loaded.value().load_ms}};
    object.update(bench_json(wanted, report.value()));
    object["peak_bytes"] = peak_bytes();
    object["memory"] = {{"weights", info.weight_bytes}, {"kv", info.kv_bytes}, {"workspace", info.workspace_bytes}};
    return print_json(object);
  }
  std::printf("%s, %s, %d threads, loaded in %.0f ms, peak %s\n", file.c_str(), info.kernels.c_str(), info.threads, loaded.value().load_ms,
              human_bytes(peak_bytes()).c_str());
  print_speed("prefill", wanted.prompt_tokens, report.value().prefill_tps);
  print_speed("decode", wanted.generate_tokens, report.value().decode_tps);
  if (report.value().roofline.token_bytes > 0) {
    const Roofline& best = report.value().roofline;
    std::printf("roofline %s a token: multiplied %.1f times a second, read %.1f times\n", human_bytes(best.token_bytes).c_str(),
                best.products_tps, best.reading_tps);
  }
  if (wanted.profile) {
    print_profile("prefill", report.value().prefill_profile, wanted.prompt_tokens * wanted.repetitions);
    print_profile("decode", report.value().decode_profile, wanted.generate_tokens * wanted.repetitions);
  }
  return 0;
}

}  // namespace

void add_logits(CLI::App& app, Action& action) {
  const auto options = std::make_shared<LogitsCommand>();
  CLI::App* command = app.add_subcommand("logits", "Log-probabilities after each of the given tokens");
  command->footer(
      "--json: {\"positions\": [{\"top\": [[id, logprob], …], \"next\": logprob|null}], \"hash\"}: one position per input token; \"next\" "
      "is the log-probability of the token that follows in the input; \"hash\" is the SHA-256 of all logits (little-endian f32, "
      "position by position). It depends on neither threads, kernels nor batch.");
  add_model_options(*command, options->model);
  command->add_option("--tokens", options->tokens, "Ids like 1,2,3, or @FILE that holds them")->required()->type_name("IDS|@FILE");
  add_number(*command, "--top", options->logits.top, "Alternatives a position")->type_name("K");
  add_number(*command, "--batch", options->logits.batch, "Tokens computed at a time, 0 = automatic; does not change the result");
  command->add_option("--dump", options->dump, "Write the raw logits (f32, [positions][vocabulary]) to a file")->type_name("FILE");
  command->callback([options, &action] { action = [options] { return logits(*options); }; });
}

void add_perplexity(CLI::App& app, Action& action) {
  const auto options = std::make_shared<PerplexityCommand>();
  CLI::App* command = app.add_subcommand("perplexity", "How well a model predicts a text");
  command->footer(
      "The text is tokenised as plain text and cut into chunks, each computed from an empty context; if the model's raw prompts "
      "begin with a begin token, so does every chunk (it counts towards the chunk's length). All tokens of a chunk but its first "
      "are predicted; mean_nll is the mean of -ln p over all of them, perplexity is exp(mean_nll). The last, shorter chunk counts.\n"
      "--json: {\"tokens\", \"mean_nll\", \"perplexity\"}; \"tokens\" are the predicted ones");
  add_model_options(*command, options->model);
  command->add_option("-f,--file", options->file, "The text")->required()->type_name("TEXT");
  add_number(*command, "--chunk", options->chunk, "Tokens a chunk, also the context unless -c is given; 512, or what the context holds");
  command->callback([options, &action] { action = [options] { return perplexity(*options); }; });
}

void add_bench(CLI::App& app, Action& action) {
  const auto options = std::make_shared<BenchCommand>();
  CLI::App* command = app.add_subcommand("bench", "Measure speed");
  command->footer(
      "Prefill starts from an empty context; decode is timed token by token after DEPTH tokens, with the logits of each but "
      "without sampling. Without -c the context is just large enough. peak_bytes is the process's largest resident size; "
      "\"memory\" is what the engine itself holds.\n"
      "--json: {\"model\", \"kernels\", \"threads\", \"streams\", \"load_ms\", \"prefill\": {\"tokens\", \"tps\": […]}, \"decode\": "
      "{\"tokens\", \"depth\", \"tps\": […]}, \"peak_bytes\", \"memory\"}; with --profile, prefill and decode each have a \"profile\" in "
      "milliseconds a token; "
      "with --roofline, \"roofline\": {\"products_tps\", \"reading_tps\", \"token_bytes\"}");
  add_model_options(*command, options->model);
  BenchOptions& bench_options = options->bench;
  add_number(*command, "-p", options->prompt_tokens, "Prompt tokens; 512, or what the context holds");
  add_number(*command, "-n", options->generate_tokens, "Decoded tokens; 64, or what the context holds");
  add_number(*command, "-d", bench_options.depth, "Tokens in the context before decoding");
  add_number(*command, "-r", bench_options.repetitions, "Repetitions");
  command->add_flag("--profile", bench_options.profile, "Also show the time per kind of work");
  command->add_flag("--roofline", bench_options.roofline,
                    "Also show how fast the weights are multiplied, and read, with nothing in between (not with experts)");
  command->callback([options, &action] { action = [options] { return bench(*options); }; });
}

}  // namespace tessera::cli

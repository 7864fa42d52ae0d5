// Owns the options that several commands share, and the way from them to a loaded model.
#pragma once

#include <charconv>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "CLI/CLI.hpp"
#include "core/base/result.h"
#include "core/engine/engine.h"
#include "core/engine/generator.h"
#include "core/engine/session.h"

namespace tessera::cli {

/// What the chosen command does; returns the exit code. Set while parsing, called afterwards.
using Action = std::function<int()>;

/// -m -t -c --kernels --kv --lora --json.
struct ModelOptions {
  std::vector<std::string> files;
  int threads = 0;
  int context = 0;
  std::string kernels;
  std::string kv = "auto";
  std::vector<std::string> lora;
  bool json = false;
};

/// --temp … --seed; the defaults are the command line's own.
struct SamplingOptions {
  SamplerOptions sampler{.temperature = 0.7f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .logit_bias = {}};
  std::vector<std::string> logit_bias;
  bool seed_given = false;
};

/// What one answer may do, beside the sampler.
struct AnswerOptions {
  int max_tokens = -1;
  std::string system;
  std::string chat_template;  ///< name of a built-in one or a file; "" = the model's own
  std::vector<std::string> stop;
  bool no_prompt_lookup = false;
  std::optional<std::string> grammar;
  std::optional<std::string> json_schema;
};

/// The number that a text is from its first character to its last; nothing else may be there.
template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && rest == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

/// What is wrong with a number, or "": CLI11 by itself reads "0,7" as 7, "010" as 8, "true" as 1 and "" as 0.
template <typename Number>
std::string check_number(const std::string& text) {
  const std::optional<Number> number = parse_number<Number>(text);
  bool plain = number.has_value();
  if constexpr (std::is_integral_v<Number>) {
    plain = plain && std::to_string(*number) == text;
  }
  return plain ? "" : "expected a number, found \"" + text + "\"";
}

/// An option that takes one number.
template <typename Number>
CLI::Option* add_number(CLI::App& command, const std::string& name, Number& number, const std::string& help) {
  return command.add_option(name, number, help)->check(check_number<Number>)->type_name("N")->capture_default_str();
}

/// The same for one that may be left out.
CLI::Option* add_number(CLI::App& command, const std::string& name, std::optional<int>& number, const std::string& help);

/// All of ModelOptions, for every command that takes a model, whether or not one runs. Where the command has a --context of its
/// own already, -c has no long name.
void add_model_options(CLI::App& command, ModelOptions& options);
void add_sampling_options(CLI::App& command, SamplingOptions& options);
void add_answer_options(CLI::App& command, AnswerOptions& options);
/// An option that may be repeated and takes every text as it is (CLI11 would read "[a,b]" as a list).
CLI::Option* add_texts(CLI::App& command, const std::string& name, std::vector<std::string>& texts, const std::string& help);

/// An engine with one session.
struct Loaded {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Session> session;
  double load_ms = 0;  ///< from opening the file to the session being ready
};

/// What the model options ask of the engine.
struct EngineRequest {
  EngineOptions options;
  std::vector<AdapterFile> adapters;
};

/// The same for a command that loads nothing: an option without a use is checked, too. Errors of open_model for an adapter, of
/// check_options and check_headers.
Result<EngineRequest> engine_request(const ModelOptions& options);

/// The files that load() reads: the model's and the adapters'.
std::vector<std::string> files_read(const ModelOptions& options);

/// Loads the model with a progress line. Errors of open_model, engine_request, Engine::load, Session::create, Engine::load_adapter.
Result<Loaded> load(const ModelOptions& options);

/// The tokens that a session of the model may hold: -c, else what it was trained for, from the file's header. INT_MAX where that does
/// not say: load() will. Errors of open_model and estimate.
Result<int> most_context(const ModelOptions& options);

/// Tokens read from an empty context at a time: `asked`, else 512 or what the context holds. Without -c the context becomes as large.
/// kInvalidArgument when more are asked for than it holds; errors of most_context.
Result<int> settle_chunk(std::optional<int> asked, ModelOptions& options);

/// Everything Generator::start needs. Errors of grammar_of_gbnf and grammar_of_schema, kInvalidArgument for a malformed bias; a
/// random seed unless one was given.
Result<GenerateOptions> generate_options(const SamplingOptions& sampling, const AnswerOptions& answer);

/// "1,2,3", "[1, 2]", or numbers on lines → ids. kInvalidArgument names what is not a number.
Result<std::vector<int32_t>> parse_ids(std::string_view text);

}  // namespace tessera::cli

// Implements the shared options.
#include "core/cli/options.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <random>

#include "core/cli/console.h"
#include "core/cli/model_files.h"
#include "core/engine/estimate.h"
#include "core/engine/tune.h"
#include "nlohmann/json.hpp"

namespace tessera::cli {

namespace {

Result<std::pair<int32_t, float>> parse_bias(const std::string& text) {
  if (const size_t colon = text.find(':'); colon != std::string::npos) {
    const std::string_view pair = text;
    const size_t sign = pair.substr(colon + 1).starts_with('+') ? 1 : 0;
    const std::optional<int32_t> id = parse_number<int32_t>(pair.substr(0, colon));
    const std::optional<float> bias = parse_number<float>(pair.substr(colon + 1 + sign));
    if (id && bias) {
      return std::pair(*id, *bias);
    }
  }
  return Error{ErrorCode::kInvalidArgument, "--logit-bias \"" + text + "\": expected ID:VALUE", "for example --logit-bias 198:-100"};
}

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 21) ^ device();  // within 2^53, so that JSON readers keep every digit
}

Result<std::string> template_source(const std::string& name_or_file) {
  if (name_or_file.empty()) {
    return std::string();
  }
  Result<std::string> known = named_chat_template(name_or_file);
  if (known) {
    return known;
  }
  Result<std::string> file = read_text_file(name_or_file);
  if (file) {
    return file;
  }
  return Error{ErrorCode::kNotFound, "--chat-template: " + known.error().message + ", and as a file: " + file.error().message,
               known.error().hint + ", or a Jinja file"};
}

/// The grammar that the options ask for; null for none. Either may be a file or what would be in it.
Result<AnswerGrammar> answer_grammar(const AnswerOptions& answer) {
  if (answer.grammar && answer.json_schema) {
    return Error{ErrorCode::kInvalidArgument, "--grammar does not go with --json-schema", "give one of them"};
  }
  if (answer.grammar) {
    const bool written = answer.grammar->find("::=") != std::string::npos;
    const Result<std::string> source = written ? *answer.grammar : read_text_file(*answer.grammar);
    return source ? grammar_of_gbnf(source.value()) : Result<AnswerGrammar>(source.error());
  }
  if (answer.json_schema) {
    const bool written = answer.json_schema->find('{') != std::string::npos;
    const Result<nlohmann::ordered_json> schema =
        written ? parse_json_text(*answer.json_schema, "--json-schema") : read_json_file(*answer.json_schema);
    return schema ? grammar_of_schema(schema.value()) : Result<AnswerGrammar>(schema.error());
  }
  return AnswerGrammar();
}

// "FILE" or "FILE:SCALE" → the two; a colon with no number behind it belongs to the name.
std::pair<std::string, float> parse_adapter(const std::string& text) {
  if (const size_t colon = text.rfind(':'); colon != std::string::npos) {
    if (const std::optional<float> scale = parse_number<float>(std::string_view(text).substr(colon + 1))) {
      return {text.substr(0, colon), *scale};
    }
  }
  return {text, 1};
}

Result<void> add_adapters(const std::vector<AdapterFile>& files, Loaded& loaded) {
  std::vector<std::pair<std::shared_ptr<const Adapter>, float>> adapters;
  for (const AdapterFile& file : files) {
    auto adapter = loaded.engine->load_adapter(file.parts);
    if (!adapter) {
      return file.failure(adapter.error());
    }
    adapters.emplace_back(std::move(*adapter), file.scale);
  }
  return adapters.empty() ? Result<void>() : loaded.session->set_adapters(std::move(adapters));
}

}  // namespace

CLI::Option* add_texts(CLI::App& command, const std::string& name, std::vector<std::string>& texts, const std::string& help) {
  return command.add_option_function<std::string>(
                    name, [&texts](const std::string& text) { texts.push_back(text); }, help)
      ->trigger_on_parse()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

CLI::Option* add_number(CLI::App& command, const std::string& name, std::optional<int>& number, const std::string& help) {
  return command.add_option(name, number, help)->check(check_number<int>)->type_name("N");
}

void add_model_options(CLI::App& command, ModelOptions& options) {
  add_texts(command, "-m,--model", options.files,
            "Model: a GGUF, any part of a split one (NAME-00001-of-0000N.gguf), or the manifest.json of `tessera split`; repeat the "
            "option to give parts by hand")
      ->type_name("FILE");
  command.add_flag("--json", options.json, "Print exactly one JSON object");
  const std::string group = "Where a model runs (every command that takes a model takes these)";
  add_number(command, "-t,--threads", options.threads, "Threads, 1 to 64; 0 = as many as help, which a short trial finds out")
      ->group(group);
  const bool taken = command.get_option_no_throw("--context") != nullptr;
  add_number(command, taken ? "-c" : "-c,--context", options.context, "Context in tokens; 0 = what the model was trained for, at most 4096")
      ->group(group);
  command
      .add_option("--kv", options.kv,
                  "Number format of the K and V cache: q16_8 (keys 16 bits, values 8), f32, f16 or q8_0; auto = q16_8 for quantised models")
      ->check(CLI::IsMember({"auto", "q16_8", "f32", "f16", "q8_0"}))
      ->type_name("TYPE")
      ->capture_default_str()
      ->group(group);
  std::string names;
  for (const std::string& name : kernel_names()) {
    names += (names.empty() ? "" : ", ") + name;
  }
  command.add_option("--kernels", options.kernels, "Inner loops; the first is the default here: " + names)->type_name("NAME")->group(group);
  add_texts(command, "--lora", options.lora, "LoRA adapter to add to the model, times SCALE; may be repeated")
      ->type_name("FILE[:SCALE]")
      ->group(group);
}

void add_sampling_options(CLI::App& command, SamplingOptions& options) {
  SamplerOptions& sampler = options.sampler;
  const auto add = [&command](const char* name, auto& value, const char* help) {
    add_number(command, name, value, help)->type_name("X")->group("Sampling");
  };
  add("--temp", sampler.temperature, "Temperature; 0 always takes the most likely token");
  add("--top-k", sampler.top_k, "Keep the K most likely tokens; 0 = off");
  add("--typical", sampler.typical_p, "Locally typical sampling; 1 = off");
  add("--top-p", sampler.top_p, "Keep the smallest set with this probability; 1 = off");
  add("--min-p", sampler.min_p, "Keep tokens with this share of the best probability; 0 = off");
  add("--repeat-penalty", sampler.repeat_penalty, "Weaken tokens that occurred; 1 = off");
  add("--frequency-penalty", sampler.frequency_penalty, "Taken off a logit per occurrence, -2 to 2");
  add("--presence-penalty", sampler.presence_penalty, "Taken off a logit that occurred, -2 to 2");
  add("--penalty-window", sampler.penalty_window, "How many of the last tokens the penalties see");
  add_texts(command, "--logit-bias", options.logit_bias, "Add V to a token's logit; -100 forbids it; may be repeated")
      ->type_name("ID:V")
      ->group("Sampling");
  command
      .add_option_function<uint64_t>(
          "--seed",
          [&options](const uint64_t& seed) {
            options.sampler.seed = seed;
            options.seed_given = true;
          },
          "Seed of the random draws; a random one if left out")
      ->check(check_number<uint64_t>)
      ->type_name("N")
      ->group("Sampling");
}

void add_answer_options(CLI::App& command, AnswerOptions& options) {
  add_number(command, "-n,--max-tokens", options.max_tokens, "New tokens at most; -1 = until the context is full");
  command.add_option("--system", options.system, "System message")->type_name("TEXT");
  command.add_option("--chat-template", options.chat_template, "Jinja file or name of a built-in template, instead of the model's own")
      ->type_name("NAME|FILE");
  add_texts(command, "--stop", options.stop, "End the answer before this text; may be repeated")->type_name("TEXT");
  command.add_flag("--no-prompt-lookup", options.no_prompt_lookup,
                   "Do not guess tokens from what stood in the text before: slower where an answer quotes; the answer is the same");
  command.add_option("--grammar", options.grammar, "What the answer has to be: a GBNF file, or the grammar itself (docs/grammar.md)")
      ->type_name("FILE|TEXT");
  command.add_option("--json-schema", options.json_schema, "The answer is JSON that fits this schema: a file, or the schema itself")
      ->type_name("FILE|TEXT");
}

Result<EngineRequest> engine_request(const ModelOptions& options) {
  EngineRequest request;
  request.options.threads = options.threads;
  request.options.context_size = options.context;
  request.options.kernels = options.kernels;
  request.options.kv_type = kv_type_from_name(options.kv);
  for (const std::string& text : options.lora) {
    const auto [path, scale] = parse_adapter(text);
    auto parts = open_model({path});
    if (!parts) {
      return parts.error();
    }
    request.adapters.push_back({path, std::move(*parts), scale});
  }
  if (Result<void> checked = check_options(request.options, request.adapters); !checked) {
    return checked.error();
  }
  if (Result<void> readable = check_headers(request.adapters); !readable) {
    return readable.error();
  }
  return request;
}

std::vector<std::string> files_read(const ModelOptions& options) {
  std::vector<std::string> files = model_file_names(options.files);
  for (const std::string& text : options.lora) {
    files.push_back(parse_adapter(text).first);
  }
  return files;
}

Result<Loaded> load(const ModelOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  auto parts = open_model(options.files);
  if (!parts) {
    return parts.error();
  }
  Result<EngineRequest> request = engine_request(options);
  if (!request) {
    return request.error();
  }
  Progress progress("loading", false);
  request->options.on_progress = [&progress](uint64_t done, uint64_t total) {
    progress.update(done, total, human_bytes(done) + " of " + human_bytes(total));
    return true;
  };
  Loaded loaded;
  auto engine = Engine::load(std::move(*parts), request->options);
  if (!engine) {
    return engine.error();
  }
  loaded.engine = std::move(*engine);
  auto session = Session::create(*loaded.engine);
  if (!session) {
    return session.error();
  }
  loaded.session = std::move(*session);
  if (Result<void> tuned = tune(*loaded.engine, *loaded.session, {options.kernels, options.threads}); !tuned) {
    return tuned.error();
  }
  if (Result<void> adapted = add_adapters(request->adapters, loaded); !adapted) {
    return adapted.error();
  }
  loaded.load_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return loaded;
}

Result<int> most_context(const ModelOptions& options) {
  if (options.context > 0) {
    return options.context;
  }
  auto parts = open_model(options.files);
  if (!parts) {
    return parts.error();
  }
  const Result<Estimate> found = estimate(std::move(*parts), {});
  if (!found) {
    return found.error();
  }
  const int trained = found.value().trained_context;
  return trained > 0 ? trained : std::numeric_limits<int>::max();
}

Result<int> settle_chunk(std::optional<int> asked, ModelOptions& options) {
  constexpr int kUsual = 512;
  const Result<int> most = most_context(options);
  if (!most) {
    return most.error();
  }
  const int chunk = asked.value_or(std::min(kUsual, most.value()));
  if (chunk > most.value()) {
    return Error{ErrorCode::kInvalidArgument,
                 "--chunk is " + std::to_string(chunk) + ", the context holds " + std::to_string(most.value()) + " tokens",
                 "give a smaller --chunk"};
  }
  if (options.context == 0) {
    options.context = std::max(chunk, 1);
  }
  return chunk;
}

Result<GenerateOptions> generate_options(const SamplingOptions& sampling, const AnswerOptions& answer) {
  GenerateOptions options;
  Result<AnswerGrammar> grammar = answer_grammar(answer);
  if (!grammar) {
    return grammar.error();
  }
  options.grammar = std::move(*grammar);
  options.sampler = sampling.sampler;
  for (const std::string& text : sampling.logit_bias) {
    const Result<std::pair<int32_t, float>> bias = parse_bias(text);
    if (!bias) {
      return bias.error();
    }
    options.sampler.logit_bias.push_back(bias.value());
  }
  if (!sampling.seed_given) {
    options.sampler.seed = random_seed();
  }
  options.max_tokens = answer.max_tokens;
  options.stop = answer.stop;
  options.prompt_lookup = !answer.no_prompt_lookup;
  Result<std::string> source = template_source(answer.chat_template);
  if (!source) {
    return source.error();
  }
  options.template_override = std::move(*source);
  return options;
}

Result<std::vector<int32_t>> parse_ids(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto trimmed = [&](std::string_view part) {
    part.remove_prefix(std::min(part.find_first_not_of(kSpace), part.size()));
    return part.substr(0, part.find_last_not_of(kSpace) + 1);
  };
  text = trimmed(text);
  if (text.starts_with('[') && text.ends_with(']')) {
    text = trimmed(text.substr(1, text.size() - 2));
  }
  std::vector<int32_t> ids;
  for (bool more = !text.empty(); more;) {
    const std::string_view word = text.substr(0, text.find_first_of(" \t\r\n,"));
    const std::optional<int32_t> id = parse_number<int32_t>(word);
    if (!id) {
      return Error{ErrorCode::kInvalidArgument,
                   "token " + std::to_string(ids.size()) + " is \"" + std::string(word) + "\", expected a number", "give ids like 1,2,3"};
    }
    ids.push_back(*id);
    text = trimmed(text.substr(word.size()));
    const bool comma = text.starts_with(',');  // behind it there must be a number
    text = comma ? trimmed(text.substr(1)) : text;
    more = comma || !text.empty();
  }
  return ids;
}

}  // namespace tessera::cli

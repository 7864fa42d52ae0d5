// Owns `tessera inspect`, `tessera estimate` and `tessera split`: GGUF files as files.
#include <array>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/cli/commands.h"
#include "core/cli/console.h"
#include "core/cli/model_files.h"
#include "core/cli/output_file.h"
#include "core/engine/estimate.h"
#include "core/engine/inspect.h"
#include "nlohmann/json.hpp"

namespace tessera::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownValue = 80;  ///< characters of a metadata value on one line

struct SplitOptions {
  ModelOptions model;
  std::string folder;
  std::string shard_size = "16M";
};

std::string one_line(const Json& value) {
  if (value.is_object() && value.contains("first")) {
    return one_line(value["count"]) + " x " + one_line(value["type"]) + ", first " + one_line(value["first"]);
  }
  const std::string text = clean(value.dump(-1, ' ', false, Json::error_handler_t::replace));
  return text.size() <= kShownValue ? text : text.substr(0, kShownValue) + " ...";
}

void print_inspection(const Json& report) {
  for (const auto& [key, value] : report.items()) {
    if (!value.is_structured()) {
      print(coloured(key, "1") + "  " + one_line(value) + "\n");
    }
  }
  const auto section = [&report](const char* name) -> const Json& {
    print("\n" + coloured(name, "1") + "\n");
    return report[name];
  };
  for (const auto& [key, value] : section("metadata").items()) {
    print("  " + clean(key) + "  " + one_line(value) + "\n");
  }
  for (const Json& tensor : section("tensors")) {
    print("  " + clean(tensor.value("name", "")) + "  " + tensor.value("dtype", "") + "  " + one_line(tensor["shape"]) + "  " +
          human_bytes(tensor.value("bytes", uint64_t{0})) + "\n");
  }
  for (const auto& [type, bytes] : section("bytes_per_type").items()) {
    print("  " + type + "  " + human_bytes(bytes.get<uint64_t>()) + "\n");
  }
}

/// The model's report, with those of the adapters where there are any.
Result<Json> inspection(const ModelOptions& options) {
  const Result<EngineRequest> request = engine_request(options);
  if (!request) {
    return request.error();
  }
  const auto parts = open_model(options.files);
  if (!parts) {
    return parts.error();
  }
  Result<Json> report = inspect(parts.value());
  const std::vector<AdapterFile>& adapters = request.value().adapters;
  if (!report || adapters.empty()) {
    return report;
  }
  if (const Result<Estimate> fits = estimate(parts.value(), {}, adapters); !fits) {
    return fits.error();
  }
  Json& list = (*report)["lora"] = Json::array();
  for (const AdapterFile& file : adapters) {
    const Result<Json> adapter = inspect(file.parts);
    if (!adapter) {
      return file.failure(adapter.error());
    }
    list.push_back({{"file", file.name}});
    list.back().update(adapter.value());
  }
  return report;
}

int inspect_model(const ModelOptions& options) {
  const Result<Json> report = inspection(options);
  if (!report) {
    return fail(report.error());
  }
  if (options.json) {
    return print_json(report.value());
  }
  print_inspection(report.value());
  for (const Json& adapter : report.value().value("lora", Json::array())) {
    print("\n");
    print_inspection(adapter);
  }
  return 0;
}

int estimate_model(const ModelOptions& options) {
  const Result<EngineRequest> request = engine_request(options);
  if (!request) {
    return fail(request.error());
  }
  auto parts = open_model(options.files);
  if (!parts) {
    return fail(parts.error());
  }
  const Result<Estimate> found = estimate(std::move(*parts), request.value().options, request.value().adapters);
  if (!found) {
    return fail(found.error());
  }
  if (options.json) {
    return print_json(estimate_json(found.value()));
  }
  const Estimate& e = found.value();
  for (const std::string& reason : e.unsupported) {
    print("unsupported: " + clean(reason) + "\n");
  }
  if (!e.unsupported.empty()) {
    return 0;  // sizes that could not be said are 0
  }
  // Why a model takes what it takes: its weights times the bits of each.
  std::array<char, 96> size;
  std::snprintf(size.data(), size.size(), "%.1f million weights of %.1f bits", static_cast<double>(e.parameters) / 1e6,
                e.bits_per_weight());
  print("model      " + clean(e.name.empty() ? e.architecture : e.name) + ", " + e.quantization + ": " + size.data() + "\nfile       " +
        human_bytes(e.tensor_bytes) + " of weights, context of " + std::to_string(e.context_size) + " tokens\n");
  print("weights    " + human_bytes(e.weights_bytes) + "\nkv cache   " + human_bytes(e.kv_bytes) + "\nworkspace  " +
        human_bytes(e.workspace_bytes) + (e.lora_bytes > 0 ? "\nadapters   " + human_bytes(e.lora_bytes) : "") + "\nthe rest   " +
        human_bytes(e.other_bytes) + "\ntotal      " + human_bytes(e.total_bytes()) +
        (e.parts == 1  ? ", fits a browser tab\n"
         : e.parts > 1 ? ", fits a browser tab in " + std::to_string(e.parts) + " parts\n"
                       : ", does not fit a browser tab\n"));
  return 0;
}

/// "16M", "512k", "1G" or plain bytes; powers of 1024.
Result<uint64_t> parse_size(const std::string& text) {
  uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
  const int shift = unit.empty() ? 0 : unit == "k" || unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (error != std::errc() || shift < 0 || number == 0 || number > (uint64_t{1} << 40 >> shift)) {
    return Error{ErrorCode::kInvalidArgument, "--shard-size \"" + text + "\": expected a size like 16M, 512k or 1G", ""};
  }
  return number << shift;
}

int split(const SplitOptions& options) {
  if (const Result<EngineRequest> checked = engine_request(options.model); !checked) {
    return fail(checked.error());
  }
  const Result<uint64_t> size = parse_size(options.shard_size);
  if (!size) {
    return fail(size.error());
  }
  if (options.model.files.size() != 1) {
    return fail({ErrorCode::kInvalidArgument, "split takes one model file", "name it with -m MODEL.gguf"});
  }
  const std::string& model = options.model.files.front();
  const Result<std::string> name = model_name(model);
  auto parts = open_model({model});
  if (!parts || !name) {
    return fail(parts ? name.error() : parts.error());
  }
  if (parts->size() != 1) {
    return fail(
        {ErrorCode::kUnsupported, "the model is already split into " + std::to_string(parts->size()) + " GGUF parts", "join them first"});
  }
  const std::filesystem::path folder(options.folder);
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) {
    return fail({ErrorCode::kIo, "cannot create the folder " + options.folder + ": " + failure.message(), ""});
  }
  const std::vector<std::string> inputs = files_read(options.model);
  const std::string manifest_path = (folder / "manifest.json").string();
  if (Result<void> unread = check_not_read(manifest_path, inputs); !unread) {
    return fail(unread.error());
  }
  Progress progress("writing", false);
  const uint64_t total = parts->front()->size();
  uint64_t written = 0;
  const auto write_shard = [&](const std::string& path, std::span<const std::byte> bytes) -> Result<void> {
    if (Result<void> unread = check_not_read((folder / path).string(), inputs); !unread) {
      return unread;
    }
    // A folder that has a manifest is complete, so an older one goes before the first shard and its own comes after the last.
    if (std::error_code kept; written == 0 && !std::filesystem::remove(manifest_path, kept) && kept) {
      return Error{ErrorCode::kIo, "cannot remove the old " + manifest_path + ": " + kept.message(), "remove it by hand"};
    }
    written += bytes.size();
    progress.update(written, total, human_bytes(written) + " of " + human_bytes(total));
    return write_file((folder / path).string(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, true);
  };
  const Result<Json> manifest = split_into_shards(parts->front(), name.value(), size.value(), write_shard);
  if (!manifest) {
    return fail(manifest.error());
  }
  if (Result<void> done = write_file(manifest_path, manifest.value().dump(2) + "\n", true); !done) {
    return fail(done.error());
  }
  if (options.model.json) {
    return print_json(manifest.value());
  }
  print(std::to_string(manifest.value()["shards"].size()) + " shards and manifest.json in " + options.folder + "\n");
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  const auto options = std::make_shared<ModelOptions>();
  CLI::App* command = app.add_subcommand("inspect", "Show metadata, tensors and bytes per type");
  command->footer("With --lora the same of each adapter, and an error where it does not fit the model; --json has them in \"lora\".");
  add_model_options(*command, *options);
  command->callback([options, &action] { action = [options] { return inspect_model(*options); }; });
}

void add_estimate(CLI::App& app, Action& action) {
  const auto options = std::make_shared<ModelOptions>();
  CLI::App* command = app.add_subcommand("estimate", "Say how much memory a model will take, from its first bytes");
  command->footer(
      "-m and --lora may be parts of files, from the beginning to the end of the tensor directory. --json prints {\"weights_bytes\", "
      "\"kv_bytes\", \"workspace_bytes\", \"other_bytes\", \"total_bytes\", \"fits_wasm32\", \"parts\", \"unsupported\"}, with "
      "--lora also \"lora_bytes\".");
  add_model_options(*command, *options);
  command->callback([options, &action] { action = [options] { return estimate_model(*options); }; });
}

void add_split(CLI::App& app, Action& action) {
  const auto options = std::make_shared<SplitOptions>();
  CLI::App* command = app.add_subcommand("split", "Cut a model into shards and a manifest.json for the web page");
  command->footer("Existing shards and the manifest in OUT_DIR are replaced.\n--json prints the manifest.");
  add_model_options(*command, options->model);
  command->add_option("OUT_DIR", options->folder, "Folder for the shards; created if missing")->required();
  command->add_option("--shard-size", options->shard_size, "Bytes a shard, with k, M or G for powers of 1024")
      ->type_name("SIZE")
      ->capture_default_str();
  command->callback([options, &action] { action = [options] { return split(*options); }; });
}

}  // namespace tessera::cli

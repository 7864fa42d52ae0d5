// Implements the estimate: the same functions that load a model, asked for sizes only.
#include "core/engine/estimate.h"

#include <algorithm>

#include "core/gguf/gguf_file.h"
#include "core/kernels/kernels.h"
#include "core/model/kv_cache.h"
#include "core/model/lora.h"
#include "core/model/workspace.h"
#include "core/text/tokenizer.h"
#include "nlohmann/json.hpp"

namespace tessera {

namespace {

/// What all but model, session and vocabulary takes, whatever the model (docs/performance.md). In a tab there are also the two blocks that
/// loading reads, since no file is mapped there.
#if defined(__EMSCRIPTEN__)
constexpr uint64_t kProgramBytes = 9'500'000;
#else
constexpr uint64_t kProgramBytes = 6'300'000;
#endif

/// An error that only means "not by this build" becomes a reason; any other is returned.
Result<Estimate> refused(Estimate estimate, const Error& error) {
  if (error.code != ErrorCode::kUnsupported) {
    return error;
  }
  estimate.unsupported.push_back(error.message);
  return estimate;
}

std::string text_of(const GgufFile& file, std::string_view key) {
  const Result<std::string> text = file.get_string(key);
  return text ? text.value() : "";
}

void describe(const GgufFile& file, Estimate& found) {
  found.name = text_of(file, "general.name");
  found.architecture = text_of(file, "general.architecture");
  found.quantization = file.main_format();
  found.parameters = file.parameters();
  for (const TensorInfo& tensor : file.tensors()) {
    found.tensor_bytes += tensor.bytes;
  }
}

Result<uint64_t> measure_adapters(std::span<const AdapterFile> adapters, const Config& config) {
  uint64_t bytes = 0;
  for (const AdapterFile& adapter : adapters) {
    const Result<GgufFile> file = GgufFile::open_headers(adapter.parts);
    const Result<uint64_t> size = file ? AdapterSet::measure(file.value(), config, Workspace::kMaxBatch) : file.error();
    if (!size) {
      return adapter.failure(size.error());
    }
    bytes += size.value();
  }
  return bytes;
}

}  // namespace

Result<Estimate> estimate(std::vector<std::shared_ptr<const ByteSource>> parts, const EngineOptions& options,
                          std::span<const AdapterFile> adapters) {
  if (const Result<void> checked = check_options(options, adapters); !checked) {
    return checked.error();
  }
  Estimate found;
  const Result<GgufFile> file = GgufFile::open_headers(std::move(parts));
  if (!file) {
    return refused(found, file.error());
  }
  describe(file.value(), found);
  const Result<Config> config = Config::from_gguf(file.value());
  if (!config) {
    return refused(found, config.error());
  }
  const Result<int> context = choose_context(options.context_size, config.value().trained_context);
  if (!context) {
    return context.error();
  }
  found.kv_type = choose_kv_type(options.kv_type, file.value(), config.value());
  found.context_size = context.value();
  found.trained_context = config.value().trained_context;
  found.kv_bytes = KvCache::bytes(config.value(), context.value(), found.kv_type);
  found.other_bytes = Tokenizer::bytes(file.value()) + kProgramBytes;
  found.workspace_bytes = Workspace::bytes(config.value(), find_kernels(options.kernels)->code_bytes);
  if (const Result<void> fits = KvCache::check(config.value(), found.kv_type); !fits) {
    found.unsupported.push_back(fits.error().message);
  }
  const Result<uint64_t> lora = measure_adapters(adapters, config.value());
  if (!lora) {
    return lora.error();
  }
  found.lora_bytes = lora.value();
  const Result<PartSize> whole = measure_part(file.value(), config.value(), context.value(), found.kv_type, {}, options.kernels);
  if (!whole) {
    return refused(std::move(found), whole.error());
  }
  found.weights_bytes = whole.value().weight_bytes;
  const uint64_t memory = options.most_bytes > 0 ? options.most_bytes : kWasm32Bytes;
  const uint64_t room = memory - std::min(memory, found.lora_bytes);  // each part holds the adapters
  if (const auto parts = plan_parts(file.value(), config.value(), context.value(), found.kv_type, room, options.kernels)) {
    found.parts = static_cast<int>(parts.value().size());
  }
  return found;
}

nlohmann::ordered_json estimate_json(const Estimate& estimate) {
  nlohmann::ordered_json object = {{"weights_bytes", estimate.weights_bytes},
                                   {"kv_bytes", estimate.kv_bytes},
                                   {"workspace_bytes", estimate.workspace_bytes},
                                   {"other_bytes", estimate.other_bytes},
                                   {"total_bytes", estimate.total_bytes()},
                                   {"fits_wasm32", estimate.fits_wasm32()},
                                   {"parts", estimate.parts},
                                   {"unsupported", estimate.unsupported}};
  if (estimate.lora_bytes > 0) {
    object["lora_bytes"] = estimate.lora_bytes;
  }
  return object;
}

}  // namespace tessera

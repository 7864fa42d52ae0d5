// Implements the estimate: the same functions that load a model, asked for sizes only.
#include "core/engine/estimate.h"

#include "core/engine/engine.h"
#include "core/gguf/gguf_file.h"
#include "core/kernels/kernels.h"
#include "core/model/kv_cache.h"
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

}  // namespace

Result<Estimate> estimate(std::vector<std::shared_ptr<const ByteSource>> parts, int context_size, std::optional<KvType> asked,
                          uint64_t most_bytes) {
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
  const Result<int> context = choose_context(context_size, config.value().trained_context);
  if (!context) {
    return context.error();
  }
  found.kv_type = choose_kv_type(asked, file.value(), config.value());
  found.context_size = context.value();
  found.trained_context = config.value().trained_context;
  found.kv_bytes = KvCache::bytes(config.value(), context.value(), found.kv_type);
  found.other_bytes = Tokenizer::bytes(file.value()) + kProgramBytes;
  found.workspace_bytes = Workspace::bytes(config.value(), find_kernels("")->code_bytes);
  if (const Result<void> fits = KvCache::check(config.value(), found.kv_type); !fits) {
    found.unsupported.push_back(fits.error().message);
  }
  const Result<PartSize> whole = measure_part(file.value(), config.value(), context.value(), found.kv_type, {});
  if (!whole) {
    return refused(std::move(found), whole.error());
  }
  found.weights_bytes = whole.value().weight_bytes;
  if (const auto parts = plan_parts(file.value(), config.value(), context.value(), found.kv_type, most_bytes)) {
    found.parts = static_cast<int>(parts.value().size());
  }
  return found;
}

nlohmann::ordered_json estimate_json(const Estimate& estimate) {
  return {{"weights_bytes", estimate.weights_bytes},
          {"kv_bytes", estimate.kv_bytes},
          {"workspace_bytes", estimate.workspace_bytes},
          {"other_bytes", estimate.other_bytes},
          {"total_bytes", estimate.total_bytes()},
          {"fits_wasm32", estimate.fits_wasm32()},
          {"parts", estimate.parts},
          {"unsupported", estimate.unsupported}};
}

}  // namespace tessera

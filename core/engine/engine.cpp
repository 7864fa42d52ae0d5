// Implements loading: bytes → GGUF → tokenizer and weights, with every option checked before anything large is allocated.
#include "core/engine/engine.h"

#include <algorithm>
#include <chrono>

#include "core/engine/parts.h"
#include "core/gguf/gguf_file.h"
#include "core/kernels/kernels.h"
#include "core/model/kv_cache.h"
#include "core/model/lora.h"
#include "core/model/model.h"
#include "core/model/workspace.h"
#include "core/parallel/thread_pool.h"
#include "core/text/tokenizer.h"
#include "nlohmann/json.hpp"

namespace tessera {

namespace {

constexpr int kDefaultContext = 4096;

Error no_kernels(const std::string& name, const std::vector<std::string>& choices) {
  std::string names;
  for (const std::string& known : choices) {
    names += (names.empty() ? "" : ", ") + known;
  }
  return Error{ErrorCode::kInvalidArgument, "kernels: \"" + name + "\" does not run here, expected one of: " + names,
               "leave the option out to use the best"};
}

Result<const KernelTable*> choose_kernels(const std::string& name) {
  if (const KernelTable* kernels = find_kernels(name)) {
    return kernels;
  }
  return no_kernels(name, kernel_names());
}

Result<int> choose_threads(int threads) {
  if (threads < 0 || threads > kMaxThreads) {
    return Error{ErrorCode::kInvalidArgument, "threads is " + std::to_string(threads) + ", expected 1 to " + std::to_string(kMaxThreads),
                 "0 = as many as help"};
  }
  return threads > 0 ? threads : usual_threads();
}

// Whether what will be loaded fits the bytes that it may take.
Result<void> check_size(const GgufFile& file, const Config& config, int context_size, KvType kv_type, const EngineOptions& options) {
  if (options.most_bytes == 0) {
    return {};
  }
  const Result<PartSize> size = measure_part(file, config, context_size, kv_type, options.layers);
  if (!size) {
    return size.error();
  }
  if (size.value().bytes() > options.most_bytes) {
    return Error{
        ErrorCode::kOutOfMemory,
        "the model needs " + std::to_string(size.value().bytes()) + " bytes, this memory holds " + std::to_string(options.most_bytes),
        "choose a smaller context size, or a model with fewer or smaller weights"};
  }
  return {};
}

}  // namespace

Result<void> check_options(const EngineOptions& options, std::span<const AdapterFile> adapters) {
  if (const Result<const KernelTable*> kernels = choose_kernels(options.kernels); !kernels) {
    return kernels.error();
  }
  if (const Result<int> threads = choose_threads(options.threads); !threads) {
    return threads.error();
  }
  if (options.context_size < 0) {
    return Error{ErrorCode::kInvalidArgument, "context size is " + std::to_string(options.context_size) + ", expected 1 or more",
                 "0 chooses a size"};
  }
  std::vector<float> scales;
  for (const AdapterFile& adapter : adapters) scales.push_back(adapter.scale);
  return AdapterSet::check(scales);
}

Result<void> check_headers(std::span<const AdapterFile> adapters) {
  for (const AdapterFile& adapter : adapters) {
    if (const Result<GgufFile> file = GgufFile::open_headers(adapter.parts); !file) {
      return adapter.failure(file.error());
    }
  }
  return {};
}

Result<int> choose_context(int context_size, int trained) {
  if (context_size < 0 || context_size > trained) {
    return Error{ErrorCode::kInvalidArgument,
                 "context size is " + std::to_string(context_size) + ", expected 1 to " + std::to_string(trained) +
                     ", what the model was trained for",
                 "0 chooses a size"};
  }
  return context_size > 0 ? context_size : std::min(trained, kDefaultContext);
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const KernelTable* table : available_kernels()) {
    names.emplace_back(table->name);
  }
  return names;
}

KvType choose_kv_type(std::optional<KvType> asked, const GgufFile& file, const Config& config) {
  if (asked) {
    return *asked;
  }
  const std::string_view format = file.main_format();
  const bool floats = format == "F32" || format == "F16" || format == "BF16";
  return !floats && KvCache::check(config, KvType::kQ16_8).ok() ? KvType::kQ16_8 : KvType::kF32;
}

Engine::Engine() = default;
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::load(std::vector<std::shared_ptr<const ByteSource>> parts, const EngineOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const Result<const KernelTable*> kernels = choose_kernels(options.kernels);
  if (!kernels) {
    return kernels.error();
  }
  const Result<int> threads = choose_threads(options.threads);
  if (!threads) {
    return threads.error();
  }
  Result<GgufFile> file = GgufFile::open_split(std::move(parts));
  if (!file) {
    return file.error();
  }
  Result<Config> config = Config::from_gguf(*file);
  if (!config) {
    return config.error();
  }
  const Result<int> context_size = choose_context(options.context_size, config->trained_context);
  if (!context_size) {
    return context_size.error();
  }
  const KvType kv_type = choose_kv_type(options.kv_type, *file, *config);
  if (const Result<void> fits = check_size(*file, *config, context_size.value(), kv_type, options); !fits) {
    return fits.error();
  }
  Result<std::unique_ptr<TextModel>> text = TextModel::from_gguf(*file);
  if (!text) {
    return text.error();
  }
  if (!options.chat_template.empty()) {
    if (const Result<void> usable = (*text)->set_chat_template(options.chat_template); !usable) {
      return usable.error();
    }
  }
  file->forget_arrays();
  std::unique_ptr<Engine> engine(new Engine);
  engine->pool_ = std::make_unique<ThreadPool>(threads.value());
  engine->loaded_kernels_ = kernels.value();
  Result<Weights> weights = load_weights(*file, *config, *kernels.value(), *engine->pool_, options.on_progress, options.layers);
  if (!weights) {
    return weights.error();
  }
  engine->text_ = std::move(*text);
  engine->kernels_ = std::make_unique<KernelTable>(*kernels.value());
  engine->model_ = std::make_unique<Model>(Model{std::move(*config), std::move(*weights), engine->kernels_.get()});
  engine->describe(*file, context_size.value(), kv_type);
  engine->info_.load_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return engine;
}

std::vector<std::string> Engine::kernel_choices() const {
  const KernelTable& own = *loaded_kernels_;
  std::vector<std::string> names = {std::string(own.name)};
  for (const KernelTable* table : available_kernels()) {
    const bool differs = std::ranges::any_of(formats_, [&](DType dtype) { return table->matmul_for(dtype) != own.matmul_for(dtype); });
    if (table->reads_as(own) && differs) names.emplace_back(table->name);
  }
  return names;
}

Result<void> Engine::use(std::string_view kernels, int threads) {
  const KernelTable* table = find_kernels(kernels);
  if (table == nullptr || !table->reads_as(*loaded_kernels_)) {
    return no_kernels(std::string(kernels), kernel_choices());
  }
  const int streams = kernels_->streams;
  *kernels_ = *table;
  kernels_->streams = streams;
  pool_->use(threads);
  info_.kernels = table->name;
  info_.threads = pool_->size();
  return {};
}

void Engine::use_streams(int streams) {
  kernels_->streams = streams;
  info_.streams = streams;
}

Result<std::shared_ptr<const Adapter>> Engine::load_adapter(std::vector<std::shared_ptr<const ByteSource>> parts) const {
  const Result<GgufFile> file = GgufFile::open_split(std::move(parts));
  if (!file) {
    return file.error();
  }
  Result<Adapter> adapter = Adapter::load(file.value(), model_->config);
  if (!adapter) {
    return adapter.error();
  }
  return std::shared_ptr<const Adapter>(std::make_shared<Adapter>(std::move(*adapter)));
}

void Engine::describe(const GgufFile& file, int context_size, KvType kv_type) {
  const Config& config = model_->config;
  if (const Result<std::string> name = file.get_string("general.name")) {
    info_.name = name.value();
  }
  info_.architecture = config.architecture;
  info_.quantization = file.main_format();
  info_.parameters = file.parameters();
  info_.context_size = context_size;
  info_.trained_context = config.trained_context;
  info_.vocab_size = std::min(config.vocab_size, tokenizer().vocab().size());
  info_.threads = pool_->size();
  info_.kernels = model_->kernels->name;
  info_.streams = model_->kernels->streams;
  info_.kv_type = kv_type;
  info_.weight_bytes = model_->weights.storage.size();
  info_.kv_bytes = KvCache::bytes(config, context_size, kv_type, model_->weights.range);
  info_.workspace_bytes = Workspace::bytes(config, model_->kernels->code_bytes);
  info_.has_chat_template = text_->has_chat_template();
  info_.template_error = text_->template_error();
  for (const TensorInfo& tensor : file.tensors()) {
    if (std::ranges::find(formats_, tensor.dtype) == formats_.end()) formats_.push_back(tensor.dtype);
  }
}

std::vector<int32_t> Engine::tokenize(std::string_view text, bool parse_special, bool bos) const {
  return text_->tokenize(text, parse_special, bos);
}

Result<std::string> Engine::detokenize(std::span<const int32_t> ids, bool show_special) const {
  return text_->detokenize(ids, show_special);
}

std::string Engine::token_bytes(int32_t id) const { return tokenizer().token_bytes(id, true); }

Result<std::vector<int32_t>> Engine::chat_prompt(const nlohmann::ordered_json& context, std::string_view template_override) const {
  return text_->chat_prompt(context, template_override);
}

std::vector<int32_t> Engine::raw_prompt(std::string_view text) const { return text_->raw_prompt(text); }

TurnEnds Engine::turn_ends(std::string_view template_override) const { return text_->turn_ends(template_override); }

}  // namespace tessera

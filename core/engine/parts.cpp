#include "core/engine/parts.h"

#include <algorithm>
#include <string>

#include "core/engine/engine.h"
#include "core/gguf/gguf_file.h"
#include "core/kernels/kernels.h"
#include "core/model/kv_cache.h"
#include "core/model/weights.h"
#include "core/model/workspace.h"

namespace tessera {
namespace {

std::string gigabytes(uint64_t bytes) { return std::to_string((bytes + 50'000'000) / 100'000'000 / 10.0).substr(0, 4) + " GB"; }

// The ends of parts that take at most `limit` bytes each, filled one after another; layers[i] is what layer i takes, `every` what each
// part takes besides. Empty: some layer is larger.
std::vector<int> fill(const std::vector<uint64_t>& layers, uint64_t every, uint64_t limit) {
  std::vector<int> ends;
  uint64_t filled = every;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (every + layers[i] > limit) return {};
    if (filled + layers[i] > limit) {
      ends.push_back(static_cast<int>(i));
      filled = every;
    }
    filled += layers[i];
  }
  ends.push_back(static_cast<int>(layers.size()));
  return ends;
}

// As few parts as `most` allows, with the least limit that gives as few.
std::vector<int> fill_evenly(const std::vector<uint64_t>& layers, uint64_t every, uint64_t most) {
  std::vector<int> ends = fill(layers, every, most);
  uint64_t too_little = 0, enough = most;
  constexpr uint64_t kExact = 1 << 20;
  while (!ends.empty() && enough - too_little > kExact) {
    const uint64_t middle = too_little + (enough - too_little) / 2;
    std::vector<int> found = fill(layers, every, middle);
    if (found.empty() || found.size() > ends.size()) {
      too_little = middle;
    } else {
      ends = std::move(found);
      enough = middle;
    }
  }
  return ends;
}

}  // namespace

Result<PartSize> measure_part(const GgufFile& file, const Config& config, int context_size, KvType kv_type, const LayerRange& range,
                              std::string_view kernels) {
  const KernelTable& table = *find_kernels(kernels);
  const Result<WeightSize> weights = measure_weights(file, config, table.tile_rows, range);
  if (!weights) {
    return weights.error();
  }
  return PartSize{.layers = range,
                  .weight_bytes = weights.value().stored,
                  .kv_bytes = KvCache::bytes(config, context_size, kv_type, range),
                  .workspace_bytes = Workspace::bytes(config, table.code_bytes),
                  .read_bytes = weights.value().read};
}

Result<std::vector<PartSize>> plan_parts(const GgufFile& file, const Config& config, int context_size, KvType kv_type, uint64_t most_bytes,
                                         std::string_view kernels) {
  const Result<PartSize> whole = measure_part(file, config, context_size, kv_type, {}, kernels);
  if (!whole) {
    return whole.error();
  }
  if (whole.value().bytes() <= most_bytes) {
    return std::vector<PartSize>{whole.value()};
  }
  std::vector<uint64_t> layers;
  for (int i = 0; i < config.layers; ++i) {
    const Result<PartSize> layer = measure_part(file, config, context_size, kv_type, {i, i + 1}, kernels);
    if (!layer) {
      return layer.error();
    }
    layers.push_back(layer.value().weight_bytes + layer.value().kv_bytes);
  }
  const std::vector<int> ends = fill_evenly(layers, whole.value().workspace_bytes, most_bytes);
  if (ends.empty() || ends.size() > kMostParts) {
    return Error{ErrorCode::kOutOfMemory,
                 "the model needs " + gigabytes(whole.value().bytes()) + ", which do not fit " + std::to_string(kMostParts) +
                     " memories of " + gigabytes(most_bytes),
                 "choose a smaller context size, or a model with fewer or smaller weights"};
  }
  std::vector<PartSize> parts;
  for (const int end : ends) {
    const LayerRange range{parts.empty() ? 0 : parts.back().layers.end, end};
    const Result<PartSize> part = measure_part(file, config, context_size, kv_type, range, kernels);
    if (!part) {
      return part.error();
    }
    parts.push_back(part.value());
  }
  return parts;
}

Result<std::vector<PartSize>> plan_parts(std::vector<std::shared_ptr<const ByteSource>> sources, int context_size,
                                         std::optional<KvType> kv_type, uint64_t most_bytes) {
  const Result<GgufFile> file = GgufFile::open_headers(std::move(sources));
  if (!file) {
    return file.error();
  }
  const Result<Config> config = Config::from_gguf(file.value());
  if (!config) {
    return config.error();
  }
  const Result<int> context = choose_context(context_size, config.value().trained_context);
  if (!context) {
    return context.error();
  }
  return plan_parts(file.value(), config.value(), context.value(), choose_kv_type(kv_type, file.value(), config.value()), most_bytes);
}

}  // namespace tessera

// Owns what the model's tests share: loading a GGUF without an engine, and the logits of a sequence in batches of chosen sizes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/byte_source.h"
#include "core/model/forward.h"
#include "doctest/doctest.h"
#include "tests/core/source_path.h"

namespace tessera::testing {

/// `path` counts from the repository's root.
inline GgufFile open_model(const std::string& path) {
  auto source = map_file(source_path(path));
  REQUIRE(source);
  auto file = GgufFile::open(source.value());
  REQUIRE(file);
  return std::move(file).value();
}

struct Loaded {
  ThreadPool pool;
  Model model;
  explicit Loaded(const GgufFile& file, const KernelTable& kernels, int threads) : pool(threads) {
    auto config = Config::from_gguf(file);
    REQUIRE(config);
    model.config = *config;
    model.kernels = &kernels;
    auto weights = load_weights(file, model.config, kernels, pool, {});
    REQUIRE_MESSAGE(weights, (weights ? "" : weights.error().message));
    model.weights = std::move(*weights);
  }
};

inline std::vector<int32_t> some_tokens(int count, int vocab) {
  std::vector<int32_t> tokens(count);
  for (int i = 0; i < count; ++i) tokens[i] = (i * 37 + 11) % vocab;
  return tokens;
}

/// Logits [tokens][vocab] of the sequence, computed in batches of the given sizes (the last one repeats); `context` 0 = no more than they
/// need. `rows` of attention's scratch, where there are to be fewer than usual.
inline std::vector<float> all_logits(Loaded& loaded, const std::vector<int32_t>& tokens, std::vector<int> batches,
                                     KvType kv = KvType::kQ16_8, int context = 0, int rows = Workspace::kMaxBatch) {
  const Config& config = loaded.model.config;
  auto cache = KvCache::create(config, context > 0 ? context : static_cast<int>(tokens.size()), kv);
  auto workspace = Workspace::create(config, loaded.model.kernels->code_bytes);
  REQUIRE(cache);
  REQUIRE(workspace);
  workspace->attention_scratch.rows = rows;
  std::vector<float> logits;
  size_t done = 0, which = 0;
  while (done < tokens.size()) {
    const int batch = static_cast<int>(std::min<size_t>(batches[std::min(which++, batches.size() - 1)], tokens.size() - done));
    forward(loaded.model, loaded.pool, std::span(tokens).subspan(done, batch), *cache, *workspace);
    for (int t = 0; t < batch; ++t) {
      compute_logits(loaded.model, loaded.pool, t, 1, *workspace);
      logits.insert(logits.end(), workspace->logits, workspace->logits + config.vocab_size);
    }
    done += batch;
  }
  return logits;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline GgufFile open_golden(const std::string& name) { return open_model("tests/golden/architectures/" + name + ".gguf"); }

inline std::vector<int32_t> golden_tokens(const GgufFile& file) {
  const auto ids = file.get_ints("golden.tokens");
  REQUIRE(ids);
  return {ids.value()->begin(), ids.value()->end()};
}

/// max |ours - theirs| over the kept positions.
inline double largest_difference(const GgufFile& file, const std::vector<float>& logits, int vocab) {
  const std::vector<int64_t>& positions = *file.get_ints("golden.positions").value();
  const std::vector<double>& expected = *file.get_floats("golden.logits").value();
  REQUIRE(expected.size() == positions.size() * vocab);
  double largest = 0;
  for (size_t p = 0; p < positions.size(); ++p) {
    for (int id = 0; id < vocab; ++id) {
      const double difference = std::fabs(logits[positions[p] * vocab + id] - expected[p * vocab + id]);
      largest = std::isfinite(difference) ? std::max(largest, difference) : INFINITY;
    }
  }
  return largest;
}

}  // namespace tessera::testing

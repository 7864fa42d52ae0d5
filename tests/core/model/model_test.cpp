// The forward pass on the tiny models: one arithmetic over kernels, threads, batches and prefixes; cache types; bad files.
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/byte_source.h"
#include "core/model/forward.h"
#include "doctest/doctest.h"
#include "tests/core/source_path.h"

namespace tessera {
namespace {

GgufFile open_tiny(const std::string& name) {
  auto source = map_file(source_path("tests/data/" + name));
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

std::vector<int32_t> some_tokens(int count, int vocab) {
  std::vector<int32_t> tokens(count);
  for (int i = 0; i < count; ++i) tokens[i] = (i * 37 + 11) % vocab;
  return tokens;
}

// Logits [tokens][vocab] of the sequence, computed in batches of the given sizes (the last one repeats).
std::vector<float> all_logits(Loaded& loaded, const std::vector<int32_t>& tokens, std::vector<int> batches, KvType kv = KvType::kF32) {
  const Config& config = loaded.model.config;
  auto cache = KvCache::create(config, static_cast<int>(tokens.size()), kv);
  auto workspace = Workspace::create(config);
  REQUIRE(cache);
  REQUIRE(workspace);
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

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

constexpr const char* kTinyModels[] = {"tiny-llama.gguf", "tiny-gemma3.gguf", "tiny-formats.gguf"};

}  // namespace

TEST_CASE("one arithmetic: kernels, threads and batches give the same bits") {
  for (const char* name : kTinyModels) {
    CAPTURE(name);
    const GgufFile file = open_tiny(name);
    Loaded reference(file, *find_kernels("scalar"), 1);
    const auto tokens = some_tokens(70, reference.model.config.vocab_size);
    for (KvType kv : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
      const auto expected = all_logits(reference, tokens, {70}, kv);
      for (const KernelTable* kernels : available_kernels()) {
        CAPTURE(kernels->name);
        for (int threads : {1, 2, 3}) {
          Loaded loaded(file, *kernels, threads);
          CHECK(same_bits(expected, all_logits(loaded, tokens, {70}, kv)));
          CHECK(same_bits(expected, all_logits(loaded, tokens, {1}, kv)));
          CHECK(same_bits(expected, all_logits(loaded, tokens, {3, 33, 1, 16}, kv)));
        }
      }
    }
  }
}

TEST_CASE("a truncated timeline gives the bits of a fresh one") {
  const GgufFile file = open_tiny("tiny-gemma3.gguf");
  Loaded loaded(file, *find_kernels(""), 2);
  const auto tokens = some_tokens(50, loaded.model.config.vocab_size);
  auto cache = KvCache::create(loaded.model.config, 64, KvType::kF32);
  auto workspace = Workspace::create(loaded.model.config);
  const auto other = some_tokens(60, loaded.model.config.vocab_size / 2);
  forward(loaded.model, loaded.pool, std::span(tokens).first(30), *cache, *workspace);
  forward(loaded.model, loaded.pool, std::span(other).first(20), *cache, *workspace);
  cache->truncate(30);
  forward(loaded.model, loaded.pool, std::span(tokens).subspan(30), *cache, *workspace);
  compute_logits(loaded.model, loaded.pool, 19, 1, *workspace);
  const auto expected = all_logits(loaded, tokens, {50});
  const int vocab = loaded.model.config.vocab_size;
  CHECK(std::memcmp(workspace->logits, expected.data() + 49 * vocab, vocab * sizeof(float)) == 0);
}

TEST_CASE("a source that cannot be viewed in place loads the same weights") {
  class NoView final : public ByteSource {
   public:
    explicit NoView(std::shared_ptr<const ByteSource> inner) : inner_(std::move(inner)) {}
    uint64_t size() const override { return inner_->size(); }
    Result<void> read(uint64_t offset, std::span<std::byte> out) const override { return inner_->read(offset, out); }

   private:
    std::shared_ptr<const ByteSource> inner_;
  };
  for (const char* name : kTinyModels) {
    CAPTURE(name);
    auto mapped = map_file(source_path(std::string("tests/data/") + name));
    REQUIRE(mapped);
    auto streamed = GgufFile::open(std::make_shared<NoView>(mapped.value()));
    REQUIRE(streamed);
    Loaded direct(open_tiny(name), *find_kernels(""), 2), indirect(streamed.value(), *find_kernels(""), 2);
    const auto tokens = some_tokens(9, direct.model.config.vocab_size);
    CHECK(same_bits(all_logits(direct, tokens, {9}), all_logits(indirect, tokens, {9})));
  }
}

TEST_CASE("loading reports progress and can be stopped") {
  const GgufFile file = open_tiny("tiny-llama.gguf");
  auto config = Config::from_gguf(file);
  REQUIRE(config);
  ThreadPool pool(1);
  uint64_t last = 0, all = 0;
  auto weights = load_weights(file, *config, *find_kernels(""), pool, [&](uint64_t done, uint64_t total) {
    CHECK(done >= last);
    last = done;
    all = total;
    return true;
  });
  REQUIRE(weights);
  CHECK(last == all);
  auto stopped = load_weights(file, *config, *find_kernels(""), pool, [](uint64_t, uint64_t) { return false; });
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == ErrorCode::kAborted);
}

TEST_CASE("metadata and tensors that do not fit each other are refused by name") {
  const GgufFile file = open_tiny("tiny-llama.gguf");
  auto config = Config::from_gguf(file);
  REQUIRE(config);
  ThreadPool pool(1);
  Config wrong = *config;
  wrong.ffn_width *= 2;
  auto shape = load_weights(file, wrong, *find_kernels(""), pool, {});
  REQUIRE_FALSE(shape);
  CHECK(shape.error().code == ErrorCode::kBadFile);
  CHECK(shape.error().message.find("blk.0.ffn_gate.weight") != std::string::npos);
  wrong = *config;
  wrong.layers += 1;
  auto missing = load_weights(file, wrong, *find_kernels(""), pool, {});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::kNotFound);
  wrong = *config;
  wrong.layers -= 1;
  auto unused = load_weights(file, wrong, *find_kernels(""), pool, {});
  REQUIRE_FALSE(unused);
  CHECK(unused.error().code == ErrorCode::kUnsupported);
}

}  // namespace tessera

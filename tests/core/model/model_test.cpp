// The forward pass on the tiny models: one arithmetic over kernels, threads, batches and prefixes; cache types; bad files.
#include <cstring>
#include <string>
#include <vector>

#include "tests/core/model/loaded.h"

namespace tessera {
namespace {

using namespace testing;

GgufFile open_tiny(const std::string& name) { return open_model("tests/data/" + name); }

constexpr const char* kTinyModels[] = {"tiny-llama.gguf", "tiny-gemma3.gguf", "tiny-formats.gguf"};

}  // namespace

TEST_CASE("one arithmetic: kernels, threads and batches give the same bits") {
  for (const char* name : kTinyModels) {
    CAPTURE(name);
    const GgufFile file = open_tiny(name);
    Loaded reference(file, *find_kernels("scalar"), 1);
    const auto tokens = some_tokens(70, reference.model.config.vocab_size);
    for (KvType kv : {KvType::kQ16_8, KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
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

TEST_CASE("queries that have no room for all their segments at once have the same bits in several rounds") {
  for (const char* name : kTinyModels) {
    CAPTURE(name);
    const GgufFile file = open_tiny(name);
    Loaded reference(file, *find_kernels("scalar"), 1);
    const auto tokens = some_tokens(300, reference.model.config.vocab_size);
    for (KvType kv : {KvType::kQ16_8, KvType::kF32}) {
      const auto expected = all_logits(reference, tokens, {128}, kv);
      for (int threads : {1, 3}) {
        Loaded loaded(file, *available_kernels().front(), threads);
        for (int rows : {1, 2, 3, 5, 7, 128}) {
          CAPTURE(rows);
          CHECK(same_bits(expected, all_logits(loaded, tokens, {110, 12, 4, 3, 100, 33, 15, 4, 7, 1, 4}, kv, 0, rows)));
        }
      }
    }
  }
}

TEST_CASE("a window layer's ring gives the bits of a cache that keeps everything") {
  const GgufFile file = open_tiny("tiny-gemma3.gguf");
  Loaded ring(file, *find_kernels(""), 2), full(file, *find_kernels(""), 2);
  const auto tokens = some_tokens(1500, ring.model.config.vocab_size);
  const auto check = [&](int window, KvType kv) {
    CAPTURE(window);
    CAPTURE(kv_type_name(kv));
    ring.model.config.window = full.model.config.window = window;
    // The cache of `full` is made for layers that see all, then its forward pass looks through the window.
    Config no_windows = full.model.config;
    no_windows.window = 0;
    auto cache = KvCache::create(no_windows, static_cast<int>(tokens.size()), kv);
    auto workspace = Workspace::create(full.model.config, full.model.kernels->code_bytes);
    REQUIRE(cache);
    REQUIRE(workspace);
    const int vocab = full.model.config.vocab_size;
    const auto found = all_logits(ring, tokens, {128, 1, 77}, kv);
    std::vector<float> expected;
    for (size_t done = 0; done < tokens.size();) {
      const int batch = static_cast<int>(std::min<size_t>(128, tokens.size() - done));
      forward(full.model, full.pool, std::span(tokens).subspan(done, batch), *cache, *workspace);
      for (int t = 0; t < batch; ++t) {
        compute_logits(full.model, full.pool, t, 1, *workspace);
        expected.insert(expected.end(), workspace->logits, workspace->logits + vocab);
      }
      done += batch;
    }
    CHECK(same_bits(expected, found));
    CHECK(KvCache::bytes(ring.model.config, 1500, kv) < KvCache::bytes(no_windows, 1500, kv));
  };
  for (int window : {1, 16, 33, 300}) check(window, KvType::kF32);
  for (int window : {16, 129, 300}) check(window, KvType::kQ16_8);
}

TEST_CASE("a truncated timeline gives the bits of a fresh one") {
  const GgufFile file = open_tiny("tiny-gemma3.gguf");
  Loaded loaded(file, *find_kernels(""), 2);
  const auto tokens = some_tokens(50, loaded.model.config.vocab_size);
  auto cache = KvCache::create(loaded.model.config, 64, KvType::kQ16_8);
  auto workspace = Workspace::create(loaded.model.config, loaded.model.kernels->code_bytes);
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

// The estimate of the real models against what the allocator has handed out: loaded, one session. What a whole process and a tab take
// at the peak is in docs/performance.md.
#include <cstdio>
#include <filesystem>
#include <numeric>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "core/engine/engine.h"
#include "core/engine/estimate.h"
#include "core/engine/session.h"
#include "core/engine/text_model.h"
#include "core/gguf/gguf_file.h"
#include "core/text/tokenizer.h"
#include "doctest/doctest.h"
#include "tests/core/source_path.h"

using namespace tessera;

namespace {

/// Bytes that the allocator has handed out; 0 where that cannot be asked (another C library, a sanitizer's allocator).
uint64_t allocated() {
#if defined(__GLIBC__)
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#else
  return 0;
#endif
}

std::vector<std::shared_ptr<const ByteSource>> parts_of(const std::string& path) { return {map_file(path).value()}; }

}  // namespace

TEST_CASE("estimate: the real models take what was foretold, and their vocabulary") {
  if (allocated() == 0) {
    std::printf("SKIPPED: this C library does not say how much memory is allocated\n");
    return;
  }
  struct Case {
    const char* model;
    int context;
    KvType kv;
  };
  for (const Case& each : {Case{"smollm2-135m-instruct-q4_1", 64, KvType::kF32}, Case{"smollm2-135m-instruct-q4_1", 512, KvType::kQ8_0},
                           Case{"smollm2-135m-instruct-q4_1", 8192, KvType::kF16}, Case{"gemma-3-270m-q4_k_m", 64, KvType::kQ16_8},
                           Case{"gemma-3-270m-q4_k_m", 2048, KvType::kF32}}) {
    const std::string path = source_path(std::string("build/models/") + each.model + ".gguf");
    if (!std::filesystem::exists(path)) {
      std::printf("SKIPPED: build/models/%s.gguf is not there (scripts/get-model gets it)\n", each.model);
      continue;
    }
    INFO(each.model, " ", each.context);
    const auto foretold = estimate(parts_of(path), {.context_size = each.context, .kv_type = each.kv});
    REQUIRE(foretold.ok());
    uint64_t before = allocated();
    double vocabulary = 0;
    {
      const auto text = TextModel::open(parts_of(path));
      vocabulary = static_cast<double>(allocated() - before);
    }
    const auto said = static_cast<double>(Tokenizer::bytes(GgufFile::open(parts_of(path).front()).value()));
    CHECK(said / vocabulary == doctest::Approx(1.0).epsilon(0.1));
    before = allocated();
    EngineOptions options;
    options.threads = 2;
    options.context_size = each.context;
    options.kv_type = each.kv;
    const auto engine = Engine::load(parts_of(path), options).value();
    const auto session = Session::create(*engine).value();
    std::vector<int32_t> ids(static_cast<size_t>(std::min(each.context, 64)));
    std::iota(ids.begin(), ids.end(), 1000);
    REQUIRE(session->sync(ids).ok());
    const double taken = static_cast<double>(allocated() - before) - vocabulary;
    CHECK(taken / static_cast<double>(foretold.value().total_bytes() - foretold.value().other_bytes) ==
          doctest::Approx(1.0).epsilon(0.005));
    // 64 MB beside it is what fits_wasm32 leaves for the vocabulary and the program.
    CHECK(vocabulary < 32u << 20);
    CHECK(foretold.value().other_bytes < 64u << 20);
  }
}

TEST_CASE("estimate: adapters take what was foretold") {
  if (allocated() == 0) {
    std::printf("SKIPPED: this C library does not say how much memory is allocated\n");
    return;
  }
  const std::string folder = "tests/golden/architectures/", lora = source_path(folder + "llama.lora.gguf");
  const auto model = parts_of(source_path(folder + "llama.gguf"));
  const auto foretold = estimate(model, {}, std::vector<AdapterFile>{{lora, parts_of(lora), 1}});
  const auto engine = Engine::load(model, {.threads = 1}).value();
  const auto session = Session::create(*engine).value();
  const uint64_t before = allocated();
  REQUIRE(session->set_adapters({{engine->load_adapter(parts_of(lora)).value(), 1.0f}}).ok());
  // So small an adapter has a noticeable share of the allocator's own bytes.
  CHECK(static_cast<double>(allocated() - before) / static_cast<double>(foretold.value().lora_bytes) == doctest::Approx(1.0).epsilon(0.1));
}

// Collecting importance: every matrix of the layers is seen once a token, experts as often as they are chosen, and the file reads back.
#include "core/engine/importance.h"

#include <cmath>

#include "tests/core/engine/tiny.h"

using namespace tessera;
using namespace tessera::testing;

namespace {

Result<ImportanceReport> collect(const std::vector<std::shared_ptr<const ByteSource>>& parts, int tokens, int chunk) {
  const auto engine = Engine::load(parts, {.threads = 2, .kernels = "", .on_progress = {}}).value().release();
  const std::unique_ptr<const Engine> owner(engine);
  const auto session = new_session(*engine);
  return collect_importance(*session, parts, some_tokens(*engine, tokens), std::nullopt, chunk, {});
}

std::vector<std::shared_ptr<const ByteSource>> architecture(const std::string& name) {
  return {map_file(source_path("tests/golden/architectures/" + name + ".gguf")).value()};
}

}  // namespace

TEST_CASE("importance: every matrix of every layer, counted by token") {
  const auto parts = tiny_parts("tiny-llama");
  const auto report = collect(parts, 100, 32).value();
  CHECK(report.chunks == 3);  // the last 4 tokens are less than half a chunk
  const auto file = GgufFile::open(parts.front()).value();
  size_t matrices = 0;
  for (const TensorInfo& tensor : file.tensors()) {
    if (tensor.shape.size() < 2 || !tensor.name.starts_with("blk.")) continue;
    ++matrices;
    REQUIRE(report.sums.contains(tensor.name));
    const ColumnSums& own = report.sums.at(tensor.name);
    CHECK(own.squares.size() == tensor.width());
    CHECK(own.counts == std::vector{96.0f});
    double sum = 0;
    for (const float square : own.squares) sum += square;
    CHECK(sum > 0);
    CHECK(std::isfinite(sum));
  }
  CHECK(report.sums.size() == matrices);
  CHECK(report.sums.at("blk.0.attn_q.weight").squares == report.sums.at("blk.0.attn_v.weight").squares);
  CHECK(report.sums.at("blk.0.attn_q.weight").squares != report.sums.at("blk.0.ffn_up.weight").squares);
}

TEST_CASE("importance: experts count the tokens they are chosen for, a fused tensor counts once") {
  const auto experts = collect(architecture("mixtral"), 60, 30).value();
  const ColumnSums& up = experts.sums.at("blk.0.ffn_up_exps.weight");
  float chosen = 0;
  for (const float count : up.counts) chosen += count;
  CHECK(up.counts.size() > 1);
  CHECK(chosen == 60 * 2);
  CHECK(up.squares.size() % up.counts.size() == 0);
  const auto fused = collect(architecture("phi3"), 20, 20).value();
  CHECK(fused.sums.at("blk.0.attn_qkv.weight").counts == std::vector{20.0f});
  CHECK(fused.sums.at("blk.0.ffn_up.weight").counts == std::vector{20.0f});
  CHECK(!fused.sums.contains("blk.0.attn_q.weight"));
}

TEST_CASE("importance: the matrices around a short convolution are seen, its taps are none") {
  const auto report = collect(architecture("lfm2"), 20, 20).value();
  CHECK(report.sums.at("blk.0.shortconv.in_proj.weight").counts == std::vector{20.0f});
  CHECK(report.sums.at("blk.0.shortconv.out_proj.weight").squares.size() == 64);
  CHECK(report.sums.contains("blk.1.attn_q.weight"));
  CHECK(!report.sums.contains("blk.0.shortconv.conv.weight"));
  CHECK(!report.sums.contains("blk.0.attn_q.weight"));
}

TEST_CASE("importance: the file reads back, and what cannot be collected is refused") {
  const auto report = collect(tiny_parts("tiny-gemma3"), 64, 32).value();
  const auto bytes = importance_file(report, "text.txt", 32).value();
  const auto matrix = ImportanceMatrix::read(std::make_shared<MemorySource>(bytes)).value();
  CHECK(matrix.entries() == report.sums.size());
  CHECK(matrix.chunks() == 2);
  CHECK(matrix.dataset() == "text.txt");
  const auto& [name, sums] = *report.sums.begin();
  const auto columns = matrix.columns(name, sums.squares.size(), 32);
  REQUIRE(columns.ok());
  double mean = 0;
  for (const float value : *columns.value()) mean += value / static_cast<double>(sums.squares.size());
  CHECK(std::fabs(mean - 1) < 1e-3);
  CHECK(collect(tiny_parts("tiny-llama"), 1, 32).error().code == ErrorCode::kInvalidArgument);
  CHECK(collect(tiny_parts("tiny-llama"), 10, 1).error().code == ErrorCode::kInvalidArgument);
}

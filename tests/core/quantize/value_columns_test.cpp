// The value matrix's tiny columns: found, weighed more, and nearer to the original than in the same matrix under another name.
#include "core/quantize/value_columns.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/rng.h"
#include "core/quantize/quantize_file.h"
#include "core/tensor/dequantize.h"
#include "doctest/doctest.h"

using namespace tessera;

namespace {

constexpr uint64_t kWidth = 512, kRows = 128;
constexpr size_t kTiny = 77;  // the column that meets an enormous channel

std::vector<float> weights_with_tiny_column() {
  Rng rng(5);
  std::vector<float> weights(kWidth * kRows);
  for (float& weight : weights) weight = rng.uniform() + rng.uniform() + rng.uniform() - 1.5f;
  for (size_t row = 0; row < kRows; ++row) weights[row * kWidth + kTiny] *= 0.1f;
  return weights;
}

std::shared_ptr<const ByteSource> source_of(const std::string& name, const std::vector<float>& weights) {
  GgufWriter writer;
  writer.set("general.architecture", std::string("llama"));
  writer.set("llama.block_count", uint64_t{1});
  const auto bytes = std::as_bytes(std::span(weights));
  REQUIRE(writer.add_tensor(name, DType::kF32, {kWidth, kRows}, {bytes.begin(), bytes.end()}).ok());
  return std::make_shared<MemorySource>(writer.to_bytes().value());
}

GgufFile model_of(const std::string& name, const std::vector<float>& weights) { return GgufFile::open(source_of(name, weights)).value(); }

struct Errors {
  double tiny = 0, all = 0;  ///< Σ error² of the tiny column and of the matrix
};
Errors errors_as(const std::string& name, const std::string& type) {
  const std::vector<float> weights = weights_with_tiny_column();
  QuantizeOptions options;
  options.type = type;
  options.pure = true;
  options.threads = 1;
  auto quantizer = Quantizer::open({source_of(name, weights)}, std::move(options)).value();
  std::vector<std::byte> out;
  const auto done = quantizer->write([&out](std::span<const std::byte> piece) -> Result<void> {
    out.insert(out.end(), piece.begin(), piece.end());
    return {};
  });
  REQUIRE(done.ok());
  const GgufFile file = GgufFile::open(std::make_shared<MemorySource>(std::move(out))).value();
  const TensorInfo& tensor = file.tensors().front();
  std::vector<std::byte> packed(static_cast<size_t>(tensor.bytes));
  REQUIRE(file.read(tensor, 0, packed).ok());
  std::vector<float> values(weights.size());
  dequantize_row(tensor.dtype, packed.data(), weights.size(), values.data());
  Errors errors;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double error = std::pow(static_cast<double>(weights[i]) - values[i], 2);
    errors.all += error;
    if (i % kWidth == kTiny) errors.tiny += error;
  }
  return errors;
}

}  // namespace

TEST_CASE("value columns: emphasis is the squared inverse of a column's share of half the mean, from 1 to 1024") {
  std::vector<float> weights(kWidth * kRows, 0.5f);
  for (size_t row = 0; row < kRows; ++row) {
    weights[row * kWidth + 3] = 0.25f;   // a quarter of the others' square
    weights[row * kWidth + 4] = 0.001f;  // beyond the limit
    weights[row * kWidth + 5] = 1.0f;    // above the mean
    weights[row * kWidth + 7] = 0.4f;    // below the mean, as ordinary columns are
  }
  const GgufFile file = model_of("blk.0.attn_v.weight", weights);
  CHECK(is_value_matrix(file.tensors().front()));
  const std::vector<float> emphasis = value_column_emphasis(file, file.tensors().front()).value();
  REQUIRE(emphasis.size() == kWidth);
  CHECK(emphasis[3] == doctest::Approx(4.0f).epsilon(0.02));
  CHECK(emphasis[4] == doctest::Approx(1024.0f));
  CHECK(emphasis[5] == 1.0f);
  CHECK(emphasis[6] == 1.0f);
  CHECK(emphasis[7] == 1.0f);
}

TEST_CASE("value columns: no emphasis without a finite weight above zero, and none for other matrices") {
  std::vector<float> weights(kWidth * kRows, 0.0f);
  const GgufFile zeros = model_of("blk.0.attn_v.weight", weights);
  CHECK(value_column_emphasis(zeros, zeros.tensors().front()).value().empty());
  weights[9] = std::numeric_limits<float>::quiet_NaN();
  const GgufFile broken = model_of("blk.0.attn_v.weight", weights);
  CHECK(value_column_emphasis(broken, broken.tensors().front()).value().empty());
  const GgufFile keys = model_of("blk.0.attn_k.weight", weights);
  CHECK_FALSE(is_value_matrix(keys.tensors().front()));
}

TEST_CASE("value columns: a tiny column of the value matrix comes out nearer, the whole matrix hardly further off") {
  for (const char* type : {"Q4_0", "Q5_0", "Q8_0", "IQ4_NL", "Q4_K_S", "Q6_K"}) {
    INFO(type);
    const Errors value = errors_as("blk.0.attn_v.weight", type), key = errors_as("blk.0.attn_k.weight", type);
    CHECK(value.tiny < 0.75 * key.tiny);
    CHECK(value.all < 1.1 * key.all);
  }
}

// Every format against what the gguf Python package says of it (tests/data/quants.bin, made by scripts/make_quant_vectors.py).
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "core/tensor/dequantize.h"
#include "core/tensor/quantize.h"
#include "doctest/doctest.h"
#include "tests/core/source_path.h"

using namespace tessera;

namespace {

constexpr size_t kWeights = 512;

struct Vectors {
  uint32_t id;
  std::vector<std::byte> bytes;
  std::vector<float> values;
  std::vector<std::byte> quantised;  ///< of the common input; empty where the package cannot
};

class VectorFile {
 public:
  VectorFile() {
    std::ifstream file(source_path("tests/data/quants.bin"), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    data_.resize(text.size());
    std::memcpy(data_.data(), text.data(), text.size());
    REQUIRE(data_.size() > kWeights * 4);
    input = take<float>(kWeights);
    while (position_ < data_.size()) {
      const uint32_t id = take<uint32_t>(1)[0];
      auto bytes = take<std::byte>(take<uint32_t>(1)[0]);
      auto values = take<float>(kWeights);
      formats.push_back({id, std::move(bytes), std::move(values), take<std::byte>(take<uint32_t>(1)[0])});
    }
  }
  std::vector<float> input;
  std::vector<Vectors> formats;

 private:
  template <class T>
  std::vector<T> take(size_t count) {
    std::vector<T> items(count);
    REQUIRE(count * sizeof(T) <= data_.size() - position_);
    if (count > 0) std::memcpy(items.data(), data_.data() + position_, count * sizeof(T));
    position_ += count * sizeof(T);
    return items;
  }
  std::vector<std::byte> data_;
  size_t position_ = 0;
};

/// Signal to noise in dB of `format` on normal random weights.
double snr(DType format) {
  Rng rng(42);
  constexpr size_t kCount = 65536;
  std::vector<float> in(kCount), out(kCount);
  for (float& value : in) {
    value = -6.0f;  // the sum of twelve uniform numbers is nearly normal
    for (int i = 0; i < 12; ++i) value += rng.uniform();
  }
  std::vector<std::byte> bytes(row_bytes(format, kCount));
  quantize_row(format, in.data(), kCount, bytes.data());
  dequantize_row(format, bytes.data(), kCount, out.data());
  double signal = 0, noise = 0;
  for (size_t i = 0; i < kCount; ++i) {
    signal += static_cast<double>(in[i]) * in[i];
    noise += static_cast<double>(in[i] - out[i]) * (in[i] - out[i]);
  }
  return noise == 0 ? 999 : 10 * std::log10(signal / noise);
}

}  // namespace

TEST_CASE("dequantisation equals the gguf package on random bit patterns, from any address") {
  const VectorFile file;
  REQUIRE(file.formats.size() == all_dtypes().size());
  for (const Vectors& vectors : file.formats) {
    CAPTURE(gguf_dtype_name(vectors.id));
    const auto format = dtype_from_gguf(vectors.id);
    REQUIRE(format.has_value());
    REQUIRE(row_bytes(*format, kWeights) == vectors.bytes.size());
    std::vector<std::byte> shifted(1);
    shifted.insert(shifted.end(), vectors.bytes.begin(), vectors.bytes.end());
    std::vector<float> values(kWeights);
    dequantize_row(*format, shifted.data() + 1, kWeights, values.data());
    for (size_t i = 0; i < kWeights; ++i) REQUIRE(values[i] == vectors.values[i]);
  }
}

TEST_CASE("quantisation gives the bytes of the gguf package where that can quantise") {
  const VectorFile file;
  int compared = 0;
  for (const Vectors& vectors : file.formats) {
    if (vectors.quantised.empty() || !can_quantize(*dtype_from_gguf(vectors.id))) continue;
    CAPTURE(gguf_dtype_name(vectors.id));
    std::vector<std::byte> bytes(vectors.quantised.size());
    quantize_row(*dtype_from_gguf(vectors.id), file.input.data(), kWeights, bytes.data());
    for (size_t i = 0; i < bytes.size(); ++i) {
      CAPTURE(i);
      REQUIRE(bytes[i] == vectors.quantised[i]);
    }
    ++compared;
  }
  CHECK(compared == 8);
}

TEST_CASE("signal to noise of each format on normal weights lies in its own narrow band") {
  struct Band {
    DType format;
    double low, high;
  };
  const Band bands[] = {{DType::kF32, 998, 1000},   {DType::kF16, 70, 80},    {DType::kBF16, 52, 56}, {DType::kQ4_0, 20, 22},
                        {DType::kQ4_1, 20, 23},     {DType::kQ5_0, 26, 28.5}, {DType::kQ5_1, 27, 29}, {DType::kQ8_0, 43, 47},
                        {DType::kQ4_K, 19.5, 22.5}, {DType::kQ5_K, 25, 29},   {DType::kQ6_K, 33, 37}};
  for (const Band& band : bands) {
    CAPTURE(traits(band.format).name);
    const double decibel = snr(band.format);
    CHECK(decibel > band.low);
    CHECK(decibel < band.high);
  }
}

TEST_CASE("zero, constant and single-weight blocks quantise without harm in every format") {
  for (const DTypeTraits& format : all_dtypes()) {
    if (!can_quantize(format.dtype)) continue;
    CAPTURE(format.name);
    for (const float value : {0.0f, 1e-39f, -3.0f, 5.0f}) {
      std::vector<float> in(256, value), out(256);
      in[7] = 2 * value;
      std::vector<std::byte> bytes(row_bytes(format.dtype, 256));
      quantize_row(format.dtype, in.data(), 256, bytes.data());
      dequantize_row(format.dtype, bytes.data(), 256, out.data());
      for (size_t i = 0; i < 256; ++i) REQUIRE(std::fabs(out[i] - in[i]) <= std::fabs(value) * 0.14f + 1e-6f);
    }
  }
}

TEST_CASE("the table of formats") {
  uint32_t last = 0;
  for (const DTypeTraits& format : all_dtypes()) {
    const auto id = static_cast<uint32_t>(format.dtype);
    CHECK((id > last || id == 0));
    CHECK(id < kDTypeNumbers);
    last = id;
    CHECK(dtype_from_gguf(id) == format.dtype);
    CHECK(gguf_dtype_name(id) == format.name);
    CHECK(&traits(format.dtype) == &format);
  }
  CHECK(row_bytes(DType::kQ4_K, 1024) == 576);
  CHECK_FALSE(dtype_from_gguf(16).has_value());
  CHECK(gguf_dtype_name(16) == "IQ2_XXS");
  CHECK_FALSE(dtype_from_gguf(40).has_value());
  CHECK(gguf_dtype_name(40) == "NVFP4");
  CHECK(gguf_dtype_name(4711) == "unknown");
}

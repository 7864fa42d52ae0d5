// The searched quantisation of every format: never worse than plain rounding, within known bounds, and exact where that is possible.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/base/rng.h"
#include "core/quantize/plan.h"
#include "core/quantize/search_row.h"
#include "core/tensor/dequantize.h"
#include "core/tensor/quantize.h"
#include "doctest/doctest.h"

using namespace tessera;

namespace {

constexpr size_t kWidth = 2048;
constexpr size_t kRows = 16;

std::vector<DType> block_formats() {
  std::vector<DType> formats;
  for (const FileType& type : file_types()) {
    const bool known = std::find(formats.begin(), formats.end(), type.base) != formats.end();
    if (!known && traits(type.base).block_weights > 1) formats.push_back(type.base);
  }
  return formats;
}

/// Nearly normal weights, as in a trained matrix.
std::vector<float> normal_weights(uint64_t seed) {
  Rng rng(seed);
  std::vector<float> weights(kWidth * kRows);
  for (float& value : weights) {
    value = -6.0f;
    for (int i = 0; i < 12; ++i) value += rng.uniform();
    value *= 0.02f;
  }
  return weights;
}

using Quantise = void (*)(DType, const float*, uint64_t, const float*, std::byte*);
void plain(DType format, const float* in, uint64_t width, const float*, std::byte* out) { quantize_row(format, in, width, out); }

/// Σ w·error² / Σ w·x² over all rows.
double relative_error(DType format, const std::vector<float>& in, const std::vector<float>& w, const float* importance, Quantise quantise) {
  std::vector<std::byte> bytes(row_bytes(format, kWidth));
  std::vector<float> out(kWidth);
  double error = 0, power = 0;
  for (size_t row = 0; row < kRows; ++row) {
    const float* x = in.data() + row * kWidth;
    quantise(format, x, kWidth, importance, bytes.data());
    dequantize_row(format, bytes.data(), kWidth, out.data());
    for (size_t i = 0; i < kWidth; ++i) {
      const double difference = static_cast<double>(x[i]) - out[i];
      error += w[i] * difference * difference;
      power += w[i] * static_cast<double>(x[i]) * x[i];
    }
  }
  return error / power;
}

const std::vector<float> kEqual(kWidth, 1.0f);

/// 4 % above what the search reached when it was written; plain rounding is above all of them.
double bound(DType format) {
  switch (format) {
    case DType::kQ2_K: return 0.0767;
    case DType::kQ3_K: return 0.0214;
    case DType::kQ4_0: return 0.0066;
    case DType::kQ4_1: return 0.0050;
    case DType::kIQ4_NL: return 0.00556;
    case DType::kIQ4_XS: return 0.00565;
    case DType::kQ4_K: return 0.00507;
    case DType::kQ5_0: return 0.00163;
    case DType::kQ5_1: return 0.00116;
    case DType::kQ5_K: return 0.00121;
    case DType::kQ6_K: return 0.000293;
    case DType::kQ8_0: return 0.0000253;
    default: return 0;
  }
}

}  // namespace

TEST_CASE("search: the error stays within its bound and below plain rounding's") {
  const std::vector<float> in = normal_weights(7);
  CHECK(block_formats().size() == 12);
  for (const DType format : block_formats()) {
    INFO(traits(format).name);
    const double searched = relative_error(format, in, kEqual, nullptr, search_row);
    CHECK(searched < bound(format));
    CHECK(searched > bound(format) / 2);  // too good to be true would be a broken measure
    if (can_quantize(format)) CHECK(searched < relative_error(format, in, kEqual, nullptr, plain));
  }
}

TEST_CASE("search: importance moves the error to where it matters less") {
  const std::vector<float> in = normal_weights(8);
  std::vector<float> importance(kWidth);
  Rng rng(9);
  for (float& value : importance) value = std::exp(4.0f * rng.uniform());
  for (const DType format : block_formats()) {
    INFO(traits(format).name);
    const double with = relative_error(format, in, importance, importance.data(), search_row);
    const double without = relative_error(format, in, importance, nullptr, search_row);
    CHECK(with < without);
  }
}

TEST_CASE("search: what a format can store exactly it hardly changes") {
  // The second quantisation of a file is the first one's weights: no format may lose much on its own grid.
  const std::vector<float> in = normal_weights(10);
  std::vector<float> grid(kWidth);
  for (const DType format : block_formats()) {
    INFO(traits(format).name);
    std::vector<std::byte> bytes(row_bytes(format, kWidth));
    search_row(format, in.data(), kWidth, nullptr, bytes.data());
    dequantize_row(format, bytes.data(), kWidth, grid.data());
    std::vector<float> again(kWidth);
    search_row(format, grid.data(), kWidth, nullptr, bytes.data());
    dequantize_row(format, bytes.data(), kWidth, again.data());
    double error = 0, power = 0;
    for (size_t i = 0; i < kWidth; ++i) {
      error += std::pow(static_cast<double>(grid[i]) - again[i], 2);
      power += std::pow(static_cast<double>(grid[i]), 2);
    }
    CHECK(error / power < 0.05 * bound(format));
  }
}

TEST_CASE("search: zeros, one weight, equal weights and the largest number") {
  for (const DType format : block_formats()) {
    INFO(traits(format).name);
    std::vector<std::byte> bytes(row_bytes(format, 256));
    std::vector<float> in(256, 0.0f), out(256, 1.0f);
    const auto round_trip = [&](const float* importance) {
      search_row(format, in.data(), 256, importance, bytes.data());
      dequantize_row(format, bytes.data(), 256, out.data());
    };
    round_trip(nullptr);
    CHECK(std::all_of(out.begin(), out.end(), [](float value) { return value == 0.0f; }));
    in[37] = -0.5f;
    round_trip(nullptr);
    CHECK(std::fabs(out[37] + 0.5f) < 0.02f);
    std::fill(in.begin(), in.end(), 0.25f);
    round_trip(nullptr);
    CHECK(std::fabs(out[5] - 0.25f) < 0.01f);
    std::fill(in.begin(), in.end(), -65504.0f);
    in[100] = 65504.0f;
    round_trip(nullptr);
    CHECK(std::all_of(out.begin(), out.end(), [](float value) { return std::isfinite(value); }));
    Rng rng(11);
    for (float& value : in) value = std::clamp((rng.uniform() - 0.5f) * 200000.0f, -65504.0f, 65504.0f);
    round_trip(nullptr);  // the best offset would be below -65504
    CHECK(std::all_of(out.begin(), out.end(), [](float value) { return std::isfinite(value); }));
    const std::vector<float> none(256, 0.0f);
    round_trip(none.data());  // importance that says nothing at all
    CHECK(std::all_of(out.begin(), out.end(), [](float value) { return std::isfinite(value); }));
  }
}

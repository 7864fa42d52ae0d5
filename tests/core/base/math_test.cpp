// Our elementary functions against the platform's in double precision.
#include "core/base/math.h"

#include <cmath>
#include <initializer_list>
#include <limits>

#include "doctest/doctest.h"

namespace tessera {

TEST_CASE("exp2_weight is accurate for what a softmax gives it") {
  for (float x = 0.0f; x >= -100.0f; x -= 0.0137f) {
    CAPTURE(x);
    const double expected = std::exp2(static_cast<double>(x) + kWeightBits);
    REQUIRE(std::fabs(exp2_weight(x) - expected) <= 3e-6 * expected);
    REQUIRE(exp2_weight(x) <= exp2_weight(0.0f));
  }
  CHECK(exp2_weight(0.0f) == 1 << kWeightBits);
  for (const float x : {-std::numeric_limits<float>::infinity(), -1000.0f, NAN}) CHECK(exp2_weight(x) == exp2_weight(kLeastWeightLog2));
}

TEST_CASE("exp_f32 is accurate and well defined everywhere") {
  for (float x = -86.9f; x < 87.9f; x += 0.00717f) {
    const double expected = std::exp(static_cast<double>(x));
    REQUIRE(std::fabs(exp_f32(x) - expected) <= 3e-7 * expected);
  }
  CHECK(exp_f32(0.0f) == 1.0f);
  CHECK(exp_f32(-std::numeric_limits<float>::infinity()) == 0.0f);
  CHECK(exp_f32(-1000.0f) == 0.0f);
  CHECK(exp_f32(NAN) == 0.0f);
  CHECK(std::isfinite(exp_f32(1e30f)));
}

TEST_CASE("silu and gelu") {
  for (float x = -20.0f; x < 20.0f; x += 0.013f) {
    const double d = x;
    CHECK(std::fabs(silu(x) - d / (1 + std::exp(-d))) < 3e-6);
    CHECK(std::fabs(gelu_tanh(x) - 0.5 * d * (1 + std::tanh(std::sqrt(2 / M_PI) * (d + 0.044715 * d * d * d)))) < 3e-6);
  }
}

TEST_CASE("tanh and soft caps") {
  for (float x = -60.0f; x < 60.0f; x += 0.0131f) {
    CHECK(std::fabs(tanh_f32(x) - std::tanh(static_cast<double>(x))) < 2e-7);
    CHECK(std::fabs(soft_cap(x, 30.0f) - 30.0 * std::tanh(x / 30.0)) < 1e-5);
  }
  CHECK(soft_cap(1e30f, 50.0f) == 50.0f);
  CHECK(soft_cap(-1e30f, 50.0f) == -50.0f);
}

TEST_CASE("double exp, log, sin and cos") {
  for (double x = -50; x < 50; x += 0.0371) REQUIRE(std::fabs(exp_f64(x) - std::exp(x)) <= 1e-13 * std::exp(x));
  for (double x = 1e-6; x < 1e7; x *= 1.013) REQUIRE(std::fabs(log_f64(x) - std::log(x)) < 1e-13);
  for (double x = -200000; x < 200000; x += 37.123) {
    REQUIRE(std::fabs(sin_cos_f64(x).sin - std::sin(x)) < 1e-10);
    REQUIRE(std::fabs(sin_cos_f64(x).cos - std::cos(x)) < 1e-10);
  }
}

}  // namespace tessera

// f16 and bf16 against their definition: exact values, and each rounding boundary between neighbours.
#include "core/base/half.h"

#include <cmath>
#include <initializer_list>
#include <limits>

#include "doctest/doctest.h"

using namespace tessera;

namespace {

/// Value of non-negative finite binary16 bits straight from IEEE 754's definition.
double defined_f16(uint16_t bits) {
  const int exponent = bits >> 10, mantissa = bits & 1023;
  return exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
}

}  // namespace

static_assert(f16_to_f32(0x3c00) == 1.0f && f32_to_f16(-2.0f) == 0xc000 && f32_to_bf16(1.0f) == 0x3f80);

TEST_CASE("every f16 has its defined value and survives the round trip") {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = f16_to_f32(half);
    REQUIRE(static_cast<double>(value) == defined_f16(half));
    REQUIRE(f32_to_f16(value) == half);
    REQUIRE(f32_to_f16(-value) == (half | 0x8000));
  }
}

TEST_CASE("f32 to f16 rounds to nearest, ties to even, at every boundary") {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<uint16_t>(bits), high = static_cast<uint16_t>(bits + 1);
    const auto middle = static_cast<float>((defined_f16(low) + defined_f16(high)) / 2);
    REQUIRE(f32_to_f16(middle) == (low % 2 == 0 ? low : high));
    REQUIRE(f32_to_f16(std::nextafter(middle, 1e6f)) == high);
    REQUIRE(f32_to_f16(std::nextafter(middle, -1e6f)) == low);
  }
  CHECK(f32_to_f16(65519.996f) == 0x7bff);
  CHECK(f32_to_f16(65520.0f) == 0x7c00);
  CHECK(f32_to_f16(-1e30f) == 0xfc00);
  CHECK(f32_to_f16(1e-40f) == 0);
}

TEST_CASE("infinities and NaNs keep their kind and sign") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  CHECK(f16_to_f32(0x7c00) == kInfinity);
  CHECK(f16_to_f32(0xfc00) == -kInfinity);
  CHECK(f32_to_f16(-kInfinity) == 0xfc00);
  CHECK(f32_to_bf16(kInfinity) == 0x7f80);
  for (const uint32_t bits : {0x7f800001u, 0x7fc00000u, 0xff80ffffu, 0x7fffffffu}) {
    const auto value = std::bit_cast<float>(bits);
    CHECK(std::isnan(f16_to_f32(f32_to_f16(value))));
    CHECK(std::isnan(bf16_to_f32(f32_to_bf16(value))));
    CHECK((f32_to_f16(value) >> 15) == (bits >> 31));
  }
  CHECK(std::isnan(f16_to_f32(0x7c01)));
}

TEST_CASE("bf16 rounds to nearest, ties to even, at every boundary") {
  for (uint32_t bits = 0; bits < 0x7f7f; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    REQUIRE(f32_to_bf16(bf16_to_f32(half)) == half);
    const auto middle = std::bit_cast<float>((bits << 16) | 0x8000u);
    REQUIRE(f32_to_bf16(middle) == (bits % 2 == 0 ? bits : bits + 1));
    REQUIRE(f32_to_bf16(std::bit_cast<float>((bits << 16) | 0x8001u)) == bits + 1);
    REQUIRE(f32_to_bf16(std::bit_cast<float>((bits << 16) | 0x7fffu)) == bits);
  }
}

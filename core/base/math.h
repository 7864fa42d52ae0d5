// Owns the elementary functions of the one arithmetic: the same bits on every platform, because they are only +, -, *, / and
// bit moves in a written order (libm's exp differs between platforms).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

// The f32 functions are `static`: each kernel file must keep its own copy, compiled for its own instruction set.

namespace tessera {

/// Adding and taking off 1.5·2^23 rounds |x| < 2^22 to the nearest integer, ties to even.
inline constexpr float kRoundMagic = 12582912.0f;

/// Nearest integer of |x| < 2^22, ties to even.
static inline float round_nearest(float x) { return (x + kRoundMagic) - kRoundMagic; }

inline constexpr float kExpLow = -87.0f, kExpHigh = 88.0f;
inline constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
inline constexpr float kExpTaylor[] = {1.0f / 5040.0f, 1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f, 1.0f};
inline constexpr float kLn2 = 0.693147182f;
inline constexpr float kWeightExp2[] = {0.00958285574f, 0.0559064299f, 0.240240991f, 0.693124175f, 1.0f};
inline constexpr int kWeightBits = 13;
inline constexpr float kWeightMagic = kRoundMagic + kWeightBits, kLeastWeightLog2 = -100.0f;
inline constexpr float kGeluScale = 1.5957691216057308f;  ///< 2 · sqrt(2/π)
inline constexpr float kGeluCubic = 0.044715f;

/// The polynomial with these coefficients, the highest power first.
template <size_t kTerms>
static inline float horner(const float (&coefficients)[kTerms], float x) {
  float p = coefficients[0];
#pragma GCC unroll 8
  for (size_t i = 1; i < kTerms; ++i) p = p * x + coefficients[i];
  return p;
}

/// x · 2^n for normal numbers, where `shifted` is n + kRoundMagic.
static inline float add_exponent(float x, float shifted) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(x) + (std::bit_cast<uint32_t>(shifted) << 23));
}

/// e^x in f32; relative error < 2e-7. Below -87 it is 0, above 88 it is e^88; NaN counts as below.
/// x = n·ln2 + r, |r| ≤ ln2/2, e^r by the Taylor polynomial of degree 7, then 2^n by the exponent bits.
static inline float exp_f32(float x) {
  if (!(x >= kExpLow)) return 0.0f;
  x = x < kExpHigh ? x : kExpHigh;
  const float shifted = x * kLog2E + kRoundMagic;
  const float n = shifted - kRoundMagic;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  return add_exponent(horner(kExpTaylor, r), shifted);
}

/// 2^(x + kWeightBits) for x ≤ 0, as the weights of a softmax are that become codes of kWeightBits bits afterwards: relative error < 3e-6,
/// exact for x = 0. Below -100 (and for NaN) it is that of -100. By the minimax polynomial of degree 4; n = round(x) + kWeightBits.
static inline float exp2_weight(float x) {
  x = x > kLeastWeightLog2 ? x : kLeastWeightLog2;
  const float shifted = x + kWeightMagic;
  const float r = x - (shifted - kWeightMagic);
  return add_exponent(horner(kWeightExp2, r), shifted);
}

/// x · sigmoid(x): SiLU, also called swish.
static inline float silu(float x) { return x / (1.0f + exp_f32(-x)); }

/// GELU in its tanh form (Hendrycks & Gimpel 2016); 0.5·(1 + tanh u) is written as sigmoid(2u).
static inline float gelu_tanh(float x) {
  const float u2 = kGeluScale * (x + kGeluCubic * x * x * x);
  return x / (1.0f + exp_f32(-u2));
}

/// g · sigmoid(α · g) · (u + 1), g being gate up to the limit, u being up within ±limit: the SwiGLU of gpt-oss (model card, 2025).
inline constexpr float kSwigluAlpha = 1.702f, kSwigluLimit = 7.0f;
static inline float clamped_swiglu(float gate, float up) {
  const float g = gate < kSwigluLimit ? gate : kSwigluLimit;
  const float above = up > -kSwigluLimit ? up : -kSwigluLimit;
  const float u = above < kSwigluLimit ? above : kSwigluLimit;
  return g / (1.0f + exp_f32(-(g * kSwigluAlpha))) * (u + 1.0f);
}

/// tanh x, written 1 - 2 / (e^2x + 1); absolute error < 2e-7.
static inline float tanh_f32(float x) { return 1.0f - 2.0f / (exp_f32(2.0f * x) + 1.0f); }

/// cap · tanh(x / cap): x, bent so that it stays within ±cap (Gemma 2 report, 2024).
static inline float soft_cap(float x, float cap) { return cap * tanh_f32(x / cap); }

/// e^x in f64; relative error < 1e-14 for |x| ≤ 700, clamped beyond.
double exp_f64(double x);

/// Natural logarithm of a normal positive number; absolute error < 1e-14.
double log_f64(double x);

/// sin and cos of |x| ≤ 2^27; absolute error < 1e-11.
struct SinCos {
  double sin;
  double cos;
};
SinCos sin_cos_f64(double x);

}  // namespace tessera

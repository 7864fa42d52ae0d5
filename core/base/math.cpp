#include "core/base/math.h"

namespace tessera {

double exp_f64(double x) {
  constexpr double kLog2E = 1.4426950408889634, kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  constexpr double kMagic = 6755399441055744.0;  // 1.5·2^52
  x = x > -700.0 ? x : -700.0;
  x = x < 700.0 ? x : 700.0;
  const double shifted = x * kLog2E + kMagic;
  const double n = shifted - kMagic;
  const double r = (x - n * kLn2High) - n * kLn2Low;
  // Taylor series of degree 13 around 0 for |r| ≤ 0.35, from the smallest term up.
  double p = 1.0;
  for (int k = 13; k >= 1; --k) p = 1.0 + p * r / k;
  const uint64_t exponent = (std::bit_cast<uint64_t>(shifted) - std::bit_cast<uint64_t>(kMagic)) << 52;
  return std::bit_cast<double>(std::bit_cast<uint64_t>(p) + exponent);
}

double log_f64(double x) {
  // x = m·2^e with m in [√½, √2); log m = 2·artanh(s), s = (m-1)/(m+1), |s| < 0.172.
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  int exponent = static_cast<int>((bits >> 52) & 0x7ff) - 1022;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffull) | 0x3fe0000000000000ull);
  if (m < 0.7071067811865476) {
    m *= 2.0;
    exponent -= 1;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double s2 = s * s;
  double series = 0.0;
  for (int k = 23; k >= 1; k -= 2) series = series * s2 + 1.0 / k;
  constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  return exponent * kLn2High + (2.0 * s * series + exponent * kLn2Low);
}

SinCos sin_cos_f64(double x) {
  // Reduce by π/2 held in three parts (Cody & Waite), then Taylor series on |r| ≤ π/4.
  constexpr double kTwoOverPi = 0.6366197723675814, kMagic = 6755399441055744.0;
  constexpr double kPart1 = 1.57079632673412561417e+00, kPart2 = 6.07710050630396597660e-11, kPart3 = 2.02226624879595063154e-21;
  const double shifted = x * kTwoOverPi + kMagic;
  const double n = shifted - kMagic;
  const double r = ((x - n * kPart1) - n * kPart2) - n * kPart3;
  const double r2 = r * r;
  double sine = 1.0, cosine = 1.0;
  for (int k = 17; k >= 3; k -= 2) sine = 1.0 - sine * r2 / (k * (k - 1));
  sine *= r;
  for (int k = 16; k >= 2; k -= 2) cosine = 1.0 - cosine * r2 / (k * (k - 1));
  switch (std::bit_cast<uint64_t>(shifted) & 3) {
    case 0: return {sine, cosine};
    case 1: return {cosine, -sine};
    case 2: return {-sine, -cosine};
    default: return {-cosine, sine};
  }
}

}  // namespace tessera

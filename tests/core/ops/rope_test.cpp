// Rotary embedding against its definition in double precision, and products over threads.
#include "core/ops/rope.h"

#include <cmath>
#include <vector>

#include "doctest/doctest.h"

namespace tessera {

TEST_CASE("rope turns pairs by position / base^(2i/dims), in both pairings") {
  for (bool split_halves : {false, true}) {
    RopeConfig config{.dims = 8, .base = 10000.0, .scale = 0.5, .split_halves = split_halves};
    const int first = 1000, head_dim = 12, half = 4;
    std::vector<float> cosines(2 * half), sines(2 * half), x(head_dim);
    rope_table(config, nullptr, first, 2, cosines.data(), sines.data());
    for (int i = 0; i < head_dim; ++i) x[i] = 0.1f * static_cast<float>(i + 1);
    const auto before = x;
    rope_apply(config, cosines.data() + half, sines.data() + half, 1, head_dim, 2.0f, x.data());
    for (int i = 0; i < half; ++i) {
      const double angle = 0.5 * (first + 1) * std::pow(10000.0, -2.0 * i / 8);
      const int a = split_halves ? i : 2 * i, b = split_halves ? i + half : 2 * i + 1;
      CHECK(x[a] == doctest::Approx(2 * (before[a] * std::cos(angle) - before[b] * std::sin(angle))).epsilon(1e-5));
      CHECK(x[b] == doctest::Approx(2 * (before[a] * std::sin(angle) + before[b] * std::cos(angle))).epsilon(1e-5));
    }
    for (int i = 8; i < head_dim; ++i) CHECK(x[i] == 2 * before[i]);
  }
}

}  // namespace tessera

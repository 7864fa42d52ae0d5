// The looks at all logits: each finds what it should in rows of any length, whatever is no number among them.
#include "core/sample/logit_scans.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/base/math.h"
#include "doctest/doctest.h"

namespace tessera {

TEST_CASE("the first value above a bound, in rows of any length and from any place") {
  for (const size_t length : {0, 1, 63, 64, 65, 127, 128, 200}) {
    std::vector<float> values(length, 1.0f);
    CAPTURE(length);
    for (size_t from = 0; from <= length; from += 7) CHECK(first_above(values, from, 1.0f) == length);
    for (size_t at = 0; at < length; ++at) {
      values[at] = 2.0f;
      for (size_t from = 0; from <= length; from += 7) REQUIRE(first_above(values, from, 1.0f) == (from <= at ? at : length));
      values[at] = 1.0f;
    }
  }
}

TEST_CASE("what is no number is above nothing, infinity above all else") {
  std::vector<float> values(100, std::numeric_limits<float>::quiet_NaN());
  CHECK(first_above(values, 0, std::numeric_limits<float>::lowest()) == 100);
  values[70] = -std::numeric_limits<float>::infinity();
  values[90] = std::numeric_limits<float>::infinity();
  CHECK(first_above(values, 0, std::numeric_limits<float>::lowest()) == 90);
  CHECK(first_above(values, 0, std::numeric_limits<float>::max()) == 90);
}

TEST_CASE("the largest value, copies that are finite, and weights, in rows of any length") {
  constexpr float kLowest = std::numeric_limits<float>::lowest(), kHighest = std::numeric_limits<float>::max();
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  CHECK(largest({}) == kLowest);
  for (const size_t length : {1, 15, 16, 17, 100}) {
    CAPTURE(length);
    std::vector<float> values(length, kNan), out(length, 7.0f);
    CHECK(largest(values) == kLowest);
    for (size_t at = 0; at < length; ++at) {
      values.assign(length, at % 2 == 0 ? -kInf : -3.0f);
      values[at] = -1.0f;
      REQUIRE(largest(values) == -1.0f);
      weigh_all(values, -1.0f, out);
      for (size_t i = 0; i < length; ++i) REQUIRE(out[i] == (i == at ? 1.0f : exp_f32(values[i] + 1.0f)));
      values[at] = at % 3 == 0 ? kInf : at % 3 == 1 ? kNan : 5.0f;
      copy_finite(values, out);
      REQUIRE(out[at] == (at % 3 == 0 ? kHighest : at % 3 == 1 ? kLowest : 5.0f));
      for (size_t i = 0; i < length; ++i) REQUIRE((i == at || out[i] == std::max(values[i], kLowest)));
    }
  }
}

}  // namespace tessera

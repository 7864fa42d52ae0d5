// The first value above a bound is found wherever it is, and by all that is no number it is not.
#include "core/sample/first_above.h"

#include <limits>
#include <vector>

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

}  // namespace tessera

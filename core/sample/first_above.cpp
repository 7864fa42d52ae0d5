#include "core/sample/first_above.h"

namespace tessera {

size_t first_above(std::span<const float> values, size_t from, float bound) {
  // Where nearly all are below, a compiler's vectors see that for so many at once.
  constexpr size_t kBlock = 64;
  for (; from + kBlock <= values.size(); from += kBlock) {
    int above = 0;
    for (size_t i = 0; i < kBlock; ++i) above |= values[from + i] > bound ? 1 : 0;
    if (above != 0) break;
  }
  while (from < values.size() && !(values[from] > bound)) ++from;
  return from;
}

}  // namespace tessera

// Owns the look-up in the ranges of case_table.cpp.
#include "core/base/case_mapping.h"

#include <algorithm>

namespace tessera {
namespace {

char32_t map_case(std::span<const CaseRange> ranges, char32_t c) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), c, [](char32_t value, const CaseRange& range) { return value < range.first; });
  if (after == ranges.begin()) return c;
  const CaseRange& range = *(after - 1);
  if (c > range.last || (c - range.first) % range.step != 0) return c;
  return static_cast<char32_t>(static_cast<int32_t>(c) + range.delta);
}

}  // namespace

char32_t lower_case(char32_t c) { return map_case(lower_case_ranges(), c); }
char32_t upper_case(char32_t c) { return map_case(upper_case_ranges(), c); }

}  // namespace tessera

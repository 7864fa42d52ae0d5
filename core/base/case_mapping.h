// Owns the case of single characters.
#pragma once

#include <cstdint>
#include <span>

namespace tessera {

/// The one character that is `c` in lower or in upper case; `c` itself where there is none, or where it takes more than one. By
/// case_table.cpp, in the WebAssembly modules by JavaScript (wasm/case_mapping.cpp), whose Unicode may be newer.
char32_t lower_case(char32_t c);
char32_t upper_case(char32_t c);

/// Characters first, first + step, … last map to themselves plus delta. Sorted by `first`.
struct CaseRange {
  uint32_t first;
  uint32_t last;
  uint32_t step;
  int32_t delta;
};
std::span<const CaseRange> lower_case_ranges();
std::span<const CaseRange> upper_case_ranges();

}  // namespace tessera

// Owns sets of code points and what they are in UTF-8.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera::grammar {

struct CodePointRange {
  uint32_t first;
  uint32_t last;
};
/// Sorted ranges that neither overlap nor touch.
using CodePoints = std::vector<CodePointRange>;

/// The set that ranges in any order are together.
CodePoints united(std::vector<CodePointRange> ranges);
/// All Unicode scalar values that are not in the set.
CodePoints all_but(const CodePoints& set);
/// What is in both.
CodePoints common(const CodePoints& a, const CodePoints& b);

struct ByteRange {
  uint8_t first;
  uint8_t last;
};
/// Sequences of byte ranges, one to four long, that together are the UTF-8 of the set and of nothing else. Surrogates have none.
std::vector<std::vector<ByteRange>> utf8_sequences(const CodePoints& set);

}  // namespace tessera::grammar

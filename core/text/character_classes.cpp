// Owns the unpacking of the Unicode tables.
#include "core/text/character_classes.h"

#include "core/text/unicode_tables.h"

namespace tessera {

CharacterClasses::CharacterClasses() {
  constexpr uint32_t kClasses = 9;
  uint32_t first = 0, number = 0, shift = 0;
  for (const uint8_t byte : kCharacterRuns) {
    number |= (byte & 127u) << shift;
    shift += 7;
    if (byte & 128) continue;
    const uint32_t end = first + number / kClasses;
    while (pages_.size() << kPageBits < end) pages_.push_back(static_cast<uint16_t>(runs_.size()));
    runs_.push_back(first << 4 | number % kClasses);
    first = end;
    number = shift = 0;
  }
  pages_.push_back(static_cast<uint16_t>(runs_.size() - 1));
  for (uint32_t c = 0; c < 128; ++c) ascii_[c] = look_up(c);
}

ClassSet CharacterClasses::look_up(uint32_t code_point) const {
  uint32_t low = pages_[code_point >> kPageBits];
  uint32_t high = pages_[(code_point >> kPageBits) + 1];
  while (low < high) {  // the last run that begins at or before the code point
    const uint32_t middle = (low + high + 1) / 2;
    if (runs_[middle] >> 4 <= code_point) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return static_cast<ClassSet>(1u << (runs_[low] & 15));
}

}  // namespace tessera

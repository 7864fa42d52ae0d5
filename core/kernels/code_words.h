// Owns where a packed block keeps codes of two to six bits, or eight, and how a SIMD file takes them out (see pack.h).
#pragma once

#include <array>
#include <cstddef>

namespace tessera {

/// Some bits of a word of codes, four of them: the line, the row's word in it, where they lie, at which bit of each byte, and where in the
/// codes.
struct BitPlace {
  int line;
  int shift;
  int bits;
  int to_bit;
};
using BitPlaces = std::array<BitPlace, 3>;  ///< those that are not needed have no bits

/// Where codes of `bits` bits hold word `word` (0…7).
constexpr BitPlaces places_of(int bits, int word) {
  if (bits == 2) return {{{word / 4, word % 4 * 2, 2, 0}}};
  const int whole = bits == 4 || bits == 8 ? 8 : bits == 3 ? 6 : bits;
  if (word < whole) return {{{word % bits, word / bits * bits, bits, 0}}};
  const int rest = word - whole;
  if (bits == 3) return {{{2 * rest, 6, 2, 0}, {1, 6 + rest, 1, 2}}};
  if (bits == 6) return {{{3 * rest, 6, 2, 0}, {3 * rest + 1, 6, 2, 2}, {3 * rest + 2, 6, 2, 4}}};
  if (rest < 2) return {{{2 * rest, 5, 3, 0}, {2 * rest + 1, 5, 2, 3}}};
  return {{{4, 5, 3, 0}, {1, 7, 1, 3}, {3, 7, 1, 4}}};
}

/// The places of all words.
template <int kBits>
inline constexpr std::array<BitPlaces, 8> kCodePlaces = [] {
  std::array<BitPlaces, 8> all{};
  for (int word = 0; word < 8; ++word) all[word] = places_of(kBits, word);
  return all;
}();

/// Codes 4·word … 4·word+3 of each row, word = 0…7, of a block whose lines of codes begin at `lines`. The places are known to the compiler
/// where a loop over words is unrolled.
template <class Isa, int kBits>
static inline typename Isa::Bytes load_code_word(const std::byte* lines, int word) {
  const auto line = [lines](int i) { return Isa::load_bytes(lines + static_cast<ptrdiff_t>(Isa::kRows) * 4 * i); };
  if constexpr (kBits == 8) return line(word);
  const auto part = [line](const BitPlace& place) { return Isa::move_bits(line(place.line), place.shift, place.bits, place.to_bit); };
  const BitPlaces& places = kCodePlaces<kBits>[word];
  auto codes = part(places[0]);
  if (places[1].bits > 0) codes = Isa::or_bytes(codes, part(places[1]));
  if (places[2].bits > 0) codes = Isa::or_bytes(codes, part(places[2]));
  return codes;
}

}  // namespace tessera

// Owns how a SIMD file takes codes of two to six bits, or eight, out of the lines of a packed block (see pack.h).
#pragma once

#include <cstddef>

namespace tessera {

/// Codes of kBits bits. All words of a block and the shifts in them are known to the compiler where loops over words are unrolled.
template <class Isa, int kBits>
struct CodeWords {
  using Bytes = typename Isa::Bytes;

  /// Codes 4·word … 4·word+3 of each row, word = 0…7, of the block whose lines of codes begin at `lines`.
  static Bytes load(const std::byte* lines, int word) {
    const auto line = [lines](int i) { return Isa::load_bytes(lines + static_cast<ptrdiff_t>(Isa::kRows) * 4 * i); };
    if constexpr (kBits == 8) {
      return line(word);
    } else if constexpr (kBits == 6) {
      if (word < 6) return bits<6, 0>(line(word), 0);
      const int first = 3 * (word - 6);
      return either(bits<2, 0>(line(first), 6), either(bits<2, 2>(line(first + 1), 6), bits<2, 4>(line(first + 2), 6)));
    } else if constexpr (kBits == 5) {
      if (word < 5) return bits<5, 0>(line(word), 0);
      const int first = 2 * (word - 5);
      const Bytes lower = bits<3, 0>(line(first), 5);
      if (word < 7) return either(lower, bits<2, 3>(line(first + 1), 5));
      return either(lower, either(bits<1, 3>(line(1), 7), bits<1, 4>(line(3), 7)));
    } else if constexpr (kBits == 4) {
      return bits<4, 0>(line(word % 4), word / 4 * 4);
    } else if constexpr (kBits == 3) {
      if (word < 6) return bits<3, 0>(line(word % 3), word / 3 * 3);
      return either(bits<2, 0>(line(2 * (word - 6)), 6), bits<1, 2>(line(1), word));
    } else {
      static_assert(kBits == 2);
      return bits<2, 0>(line(word / 4), word % 4 * 2);
    }
  }

 private:
  template <int kCount, int kTo>
  static Bytes bits(Bytes a, int from) {
    return Isa::template move_bits<kCount, kTo>(a, from);
  }
  static Bytes either(Bytes a, Bytes b) { return Isa::or_bytes(a, b); }
};

}  // namespace tessera

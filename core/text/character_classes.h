// Owns the question "what kind of character is this?" for the pre-tokenisers.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace tessera {

/// A set of character classes: the general categories that the regular expressions of pre-tokenisers name.
using ClassSet = uint16_t;
inline constexpr ClassSet kUpper = 1;         ///< \p{Lu}\p{Lt}
inline constexpr ClassSet kLower = 2;         ///< \p{Ll}
inline constexpr ClassSet kCaseless = 4;      ///< \p{Lm}\p{Lo}
inline constexpr ClassSet kMark = 8;          ///< \p{M}
inline constexpr ClassSet kNumber = 16;       ///< \p{N}
inline constexpr ClassSet kPunctuation = 32;  ///< \p{P}
inline constexpr ClassSet kSpace = 64;        ///< \s: the White_Space property
inline constexpr ClassSet kSign = 128;        ///< \p{S}
inline constexpr ClassSet kOther = 256;       ///< controls, unassigned, private use
inline constexpr ClassSet kLetter = kUpper | kLower | kCaseless;

/// The class of every code point, unpacked from unicode_tables. Immutable.
class CharacterClasses {
 public:
  CharacterClasses();

  /// The one class that the code point is in; kOther for what is not a code point.
  ClassSet of(uint32_t code_point) const {
    if (code_point < 128) return ascii_[code_point];
    return code_point < 0x110000 ? look_up(code_point) : kOther;
  }

 private:
  static constexpr uint32_t kPageBits = 7;
  ClassSet look_up(uint32_t code_point) const;

  std::array<ClassSet, 128> ascii_;
  std::vector<uint32_t> runs_;   ///< first code point << 4 | number of the class, in order
  std::vector<uint16_t> pages_;  ///< page of 128 code points → the run that its first one is in
};

}  // namespace tessera

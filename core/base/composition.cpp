// Owns NFC by tables, for what is not a WebAssembly module.
#ifndef __EMSCRIPTEN__
#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/base/normal_form.h"
#include "core/base/normal_form_tables.h"
#include "core/base/utf8.h"

namespace tessera {
namespace {

// Hangul syllables are computed: Unicode Standard, chapter 3.12.
constexpr uint32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11A7;
constexpr uint32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;

struct Character {
  uint32_t code_point;
  uint8_t combining_class;
};

uint8_t combining_class(uint32_t code_point) {
  const auto* const end = std::end(kCombiningRanges);
  const auto* range = std::upper_bound(std::begin(kCombiningRanges), end, code_point,
                                       [](uint32_t value, const CombiningRange& other) { return value < other.first; });
  if (range == std::begin(kCombiningRanges)) return 0;
  --range;
  return code_point <= range->last ? range->combining_class : 0;
}

void decompose(uint32_t code_point, std::vector<Character>& out) {
  if (code_point >= kSyllables && code_point < kSyllables + kLeadCount * kVowelCount * kTailCount) {
    const uint32_t index = code_point - kSyllables;
    out.push_back({kLeads + index / (kVowelCount * kTailCount), 0});
    out.push_back({kVowels + index / kTailCount % kVowelCount, 0});
    if (index % kTailCount != 0) out.push_back({kTails + index % kTailCount, 0});
    return;
  }
  const auto* const found = std::lower_bound(std::begin(kDecompositions), std::end(kDecompositions), code_point,
                                             [](const Decomposition& row, uint32_t value) { return row.code_point < value; });
  if (found == std::end(kDecompositions) || found->code_point != code_point) {
    out.push_back({code_point, combining_class(code_point)});
    return;
  }
  decompose(found->first, out);
  if (found->second != 0) decompose(found->second, out);
}

/// What two characters compose to, or 0.
uint32_t compose(uint32_t first, uint32_t second) {
  if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels && second < kVowels + kVowelCount)
    return kSyllables + ((first - kLeads) * kVowelCount + second - kVowels) * kTailCount;
  if (first >= kSyllables && (first - kSyllables) / kTailCount < kLeadCount * kVowelCount && (first - kSyllables) % kTailCount == 0 &&
      second > kTails && second < kTails + kTailCount) {
    return first + second - kTails;
  }
  const auto before = [](const Composition& row, const std::pair<uint32_t, uint32_t>& pair) {
    return std::pair(row.first, row.second) < pair;
  };
  const auto* const found = std::lower_bound(std::begin(kCompositions), std::end(kCompositions), std::pair(first, second), before);
  return found != std::end(kCompositions) && found->first == first && found->second == second ? found->code_point : 0;
}

}  // namespace

std::string compose_utf8(std::string_view text) {
  std::vector<Character> characters;
  for (; !text.empty(); text.remove_prefix(decode_utf8(text).length)) decompose(decode_utf8(text).code_point, characters);
  for (auto begin = characters.begin(); begin != characters.end();) {
    const auto is_starter = [](const Character& c) { return c.combining_class == 0; };
    begin = std::find_if_not(begin, characters.end(), is_starter);
    const auto end = std::find_if(begin, characters.end(), is_starter);
    std::stable_sort(begin, end, [](const Character& a, const Character& b) { return a.combining_class < b.combining_class; });
    begin = end;
  }
  std::vector<Character> composed;
  constexpr size_t kNone = SIZE_MAX;
  size_t starter = kNone;  // the last one, which takes in what follows unless a mark of the same or a higher class is in between
  for (const Character& next : characters) {
    const bool adjacent = starter != kNone && starter + 1 == composed.size();
    const bool blocked = starter == kNone || (!adjacent && composed.back().combining_class >= next.combining_class);
    if (const uint32_t whole = blocked ? 0 : compose(composed[starter].code_point, next.code_point); whole != 0) {
      composed[starter].code_point = whole;
      continue;
    }
    if (next.combining_class == 0) starter = composed.size();
    composed.push_back(next);
  }
  std::string out;
  for (const Character& character : composed) append_utf8(out, character.code_point);
  return out;
}

}  // namespace tessera
#endif

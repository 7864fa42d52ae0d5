// Owns reading and walking the map.
#include "core/text/character_map.h"

#include "core/base/utf8.h"

namespace tessera {
namespace {

constexpr std::string_view kKey = "tokenizer.ggml.precompiled_charsmap";

// A unit of the double array: its label in the low byte, whether a value hangs below it, and where its children are.
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
bool has_value(uint32_t unit) { return unit >> 8 & 1; }
uint32_t label_of(uint32_t unit) { return unit & (0x80000000u | 0xff); }
uint32_t value_of(uint32_t unit) { return unit & 0x7fffffffu; }

}  // namespace

Result<CharacterMap> CharacterMap::read(const GgufFile& file) {
  CharacterMap map;
  if (!file.find(kKey)) return map;
  Result<const std::vector<int64_t>*> values = file.get_ints(kKey);
  if (!values) return values.error();
  const std::vector<int64_t>& bytes = **values;
  if (bytes.empty()) return map;
  const auto word = [&](size_t at) {
    uint32_t number = 0;
    for (size_t i = 0; i < 4; ++i) number |= static_cast<uint32_t>(bytes[at + i] & 0xff) << (8 * i);
    return number;
  };
  const size_t trie_bytes = bytes.size() < 4 ? 0 : word(0);
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes > bytes.size() - 4) {
    return Error{ErrorCode::kBadFile,
                 std::string(kKey) + " has " + std::to_string(bytes.size()) + " bytes and a trie of " + std::to_string(trie_bytes) +
                     ", expected a trie of whole units that fits",
                 "The vocabulary of this file is damaged; download or convert it again."};
  }
  for (size_t at = 4; at < 4 + trie_bytes; at += 4) map.units_.push_back(word(at));
  for (size_t at = 4 + trie_bytes; at < bytes.size(); ++at) map.texts_.push_back(static_cast<char>(bytes[at] & 0xff));
  map.texts_.push_back('\0');
  return map;
}

size_t CharacterMap::match(std::string_view text, size_t& replacement) const {
  size_t longest = 0;
  uint32_t node = offset_of(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const uint32_t byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_value(unit) || node >= units_.size() || value_of(units_[node]) >= texts_.size()) continue;
    longest = i + 1;
    replacement = value_of(units_[node]);
  }
  return longest;
}

std::string CharacterMap::apply(std::string_view text) const {
  if (empty()) return std::string(text);
  std::string result;
  while (!text.empty()) {
    size_t replacement = 0;
    size_t length = match(text, replacement);
    if (length > 0) {
      result += texts_.c_str() + replacement;
    } else {
      const Utf8Step step = decode_utf8(text);
      append_utf8(result, step.code_point);
      length = step.length;
    }
    text.remove_prefix(length);
  }
  return result;
}

}  // namespace tessera

// Owns the memory of words already encoded in one call: ordinary text repeats a small set of words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tessera {

/// Word → ids for the length of one encode() call; the words must stay where they are that long. Bounded in memory.
class WordCache {
 public:
  /// Appends the ids of `word` to `out`; calls `encode(word, out)` for a word not seen before.
  template <class Encode>
  void append(std::string_view word, std::vector<int32_t>& out, const Encode& encode) {
    if (word.size() > kLongestWord) return encode(word, out);
    if (const auto found = entries_.find(word); found != entries_.end()) {
      const auto [start, count] = found->second;
      out.insert(out.end(), ids_.begin() + start, ids_.begin() + start + count);
      return;
    }
    const size_t before = out.size();
    encode(word, out);
    if (entries_.size() == kMostWords) return;
    entries_.emplace(word, std::pair(static_cast<uint32_t>(ids_.size()), static_cast<uint32_t>(out.size() - before)));
    ids_.insert(ids_.end(), out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
  }

 private:
  static constexpr size_t kLongestWord = 64;
  static constexpr size_t kMostWords = 1 << 16;
  std::unordered_map<std::string_view, std::pair<uint32_t, uint32_t>> entries_;  ///< word → start and count in ids_
  std::vector<int32_t> ids_;
};

}  // namespace tessera

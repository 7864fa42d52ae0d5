// Owns the memory of words already encoded in one call: ordinary text repeats a small set of words.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace tessera {

/// Word → where its ids stand in the output of one encode() call. The words and the output must stay as they are that long.
/// Bounded in memory: a word may push out another one.
class WordCache {
 public:
  explicit WordCache(size_t text_bytes) : entries_(std::bit_ceil(std::min(text_bytes / 8, kMostWords) + 1)) {}

  /// Appends the ids of `word` to `out`; calls `encode(word, out)` for a word not seen before.
  template <class Encode>
  void append(std::string_view word, std::vector<int32_t>& out, const Encode& encode) {
    if (word.size() > kLongestWord) return encode(word, out);
    Entry& entry = entries_[std::hash<std::string_view>()(word) & (entries_.size() - 1)];
    const size_t begin = out.size();
    if (entry.word == word) {
      out.resize(begin + entry.count);
      std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(entry.begin), entry.count, out.begin() + static_cast<std::ptrdiff_t>(begin));
      return;
    }
    encode(word, out);
    entry = {word, begin, out.size() - begin};
  }

 private:
  static constexpr size_t kLongestWord = 64;
  static constexpr size_t kMostWords = (1 << 16) - 1;
  struct Entry {
    std::string_view word;
    size_t begin = 0;
    size_t count = 0;
  };
  std::vector<Entry> entries_;
};

}  // namespace tessera

// Owns the merging loop that byte-level BPE and SentencePiece share: neighbours are joined best pair first until no pair
// can be joined. O(n log n) for a word of n symbols (a priority queue over a linked list).
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace tessera {

/// A stretch of the word that is one symbol; symbols form a doubly linked list in text order.
struct MergeSymbol {
  uint32_t begin;   ///< byte offset in the word
  uint32_t length;  ///< bytes; 0 = swallowed by its left neighbour
  int32_t id;       ///< what the tokenizer calls it; -1 = nothing it knows
  int32_t previous = -1;
  int32_t next = -1;
};

/// What two neighbours become.
struct MergeResult {
  float priority;  ///< the highest goes first, of equals the leftmost
  int32_t id;
};

/// Working memory of the loop; reused from word to word.
class MergeQueue {
 public:
  void clear() { symbols_.clear(); }

  /// Adds a symbol at the end of the word.
  void push(uint32_t begin, uint32_t length, int32_t id) {
    const auto index = static_cast<int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({begin, length, id, index - 1, -1});
  }

  /// Merges until `find(left, right) → std::optional<MergeResult>` knows no pair, then calls `emit(symbol)` in text order.
  template <class Find, class Emit>
  void run(const Find& find, const Emit& emit) {
    candidates_.clear();
    for (size_t i = 1; i < symbols_.size(); ++i) consider(static_cast<int32_t>(i - 1), static_cast<int32_t>(i), find);
    std::make_heap(candidates_.begin(), candidates_.end());
    while (!candidates_.empty()) {
      std::pop_heap(candidates_.begin(), candidates_.end());
      const Candidate best = candidates_.back();
      candidates_.pop_back();
      if (is_current(best)) join(best, find);
    }
    for (const MergeSymbol& symbol : symbols_) {
      if (symbol.length > 0) emit(symbol);
    }
  }

 private:
  struct Candidate {
    uint64_t order;   ///< priority, then position: the largest is the next to merge
    uint32_t length;  ///< of both symbols when the candidate was found; differs once either has grown
    int32_t id;

    int32_t left() const { return static_cast<int32_t>(~static_cast<uint32_t>(order)); }
    bool operator<(const Candidate& other) const { return order < other.order; }
  };

  /// One integer that compares like (priority, -left).
  static uint64_t order_of(float priority, int32_t left) {
    const auto bits = std::bit_cast<uint32_t>(priority + 0.0f);  // -0 becomes +0
    const uint32_t sortable = bits >> 31 ? ~bits : bits | 0x80000000u;
    return static_cast<uint64_t>(sortable) << 32 | ~static_cast<uint32_t>(left);
  }

  template <class Find>
  bool consider(int32_t left, int32_t right, const Find& find) {
    if (left < 0 || right < 0) return false;
    const std::optional<MergeResult> result = find(symbols_[left], symbols_[right]);
    if (!result) return false;
    candidates_.push_back({order_of(result->priority, left), symbols_[left].length + symbols_[right].length, result->id});
    return true;
  }

  bool is_current(const Candidate& candidate) const {
    const MergeSymbol& left = symbols_[candidate.left()];
    return left.length > 0 && left.next >= 0 && left.length + symbols_[left.next].length == candidate.length;
  }

  template <class Find>
  void join(const Candidate& candidate, const Find& find) {
    const int32_t index = candidate.left();
    MergeSymbol& left = symbols_[index];
    MergeSymbol& right = symbols_[left.next];
    left.length = candidate.length;
    left.id = candidate.id;
    left.next = right.next;
    right.length = 0;
    if (left.next >= 0) symbols_[left.next].previous = index;
    if (consider(left.previous, index, find)) std::push_heap(candidates_.begin(), candidates_.end());
    if (consider(index, left.next, find)) std::push_heap(candidates_.begin(), candidates_.end());
  }

  std::vector<MergeSymbol> symbols_;
  std::vector<Candidate> candidates_;
};

}  // namespace tessera

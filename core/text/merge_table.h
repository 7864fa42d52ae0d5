// Owns the ranked list of merges of a BPE vocabulary.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"
#include "core/text/merge_queue.h"
#include "core/text/vocab.h"

namespace tessera {

/// Two neighbouring symbols → rank and result, in one flat open-addressed table.
class MergeTable {
 public:
  /// Reads `tokenizer.ggml.merges`. Symbols are token ids; one that only occurs on the way to a token gets a number behind
  /// the vocabulary.
  static Result<MergeTable> read(const GgufFile& file, const Vocab& vocab);
  /// What it will take in memory; 0 for a file without merges.
  static uint64_t bytes(const GgufFile& file);
  std::optional<MergeResult> find(int32_t left, int32_t right) const;

 private:
  struct Entry {
    int32_t left = -1;  ///< -1 = free slot
    int32_t right = -1;
    int32_t rank = 0;
    int32_t result = 0;
  };
  static size_t slots(size_t merges);
  explicit MergeTable(size_t merges);
  /// Of several merges of one pair the first, which has the best rank, counts.
  /// False where too many slots are taken between the pair's own and its place, as only a list made to collide has them.
  bool insert(int32_t left, int32_t right, int32_t rank, int32_t result);
  static uint64_t hash(int32_t left, int32_t right);
  size_t first_slot(uint64_t hash) const { return static_cast<size_t>(hash >> 32) & (entries_.size() - 1); }
  size_t slot_of(uint64_t hash, int32_t left, int32_t right) const;
  std::vector<Entry> entries_;
  /// By the first bits of a hash, whether a merge has it. Most pairs are in no merge, and unlike the entries this fits the processor's
  /// cache.
  std::vector<bool> present_;
  int present_shift_;
};

}  // namespace tessera

// Owns reading and looking up merges.
#include "core/text/merge_table.h"

#include <bit>
#include <string>
#include <unordered_map>

namespace tessera {
namespace {

/// Ranks are kept as floats in the merge queue: exact below this.
constexpr size_t kMostMerges = 1 << 24;

/// Bits of present_ for each slot of the table, a power of two. At most a fifth of the pairs that are in no merge is looked up in vain.
constexpr size_t kPresentBits = 4;

/// Slots that may be taken between a pair's own and its place: the vocabularies of Llama 3, Qwen 2 and SmolLM2 have at most 135.
constexpr size_t kLongestRun = 4000;

constexpr std::string_view kKey = "tokenizer.ggml.merges";

}  // namespace

Result<MergeTable> MergeTable::read(const GgufFile& file, const Vocab& vocab) {
  Result<const std::vector<std::string>*> found = file.get_strings(kKey);
  if (!found) return found.error();
  const std::vector<std::string>& lines = **found;
  if (lines.size() > kMostMerges) {
    return Error{ErrorCode::kUnsupported,
                 std::string(kKey) + " has " + std::to_string(lines.size()) + " entries, at most 16777216 are read", ""};
  }
  std::unordered_map<std::string, int32_t> others;
  const auto symbol = [&](std::string_view text) {
    if (const std::optional<int32_t> id = vocab.find_text(text)) return *id;
    return others.try_emplace(std::string(text), vocab.size() + static_cast<int32_t>(others.size())).first->second;
  };
  MergeTable merges(lines.size());
  std::string joined;
  for (size_t rank = 0; rank < lines.size(); ++rank) {
    const std::string_view line = lines[rank];
    const size_t space = line.find(' ', 1);
    if (space == std::string::npos || space + 1 == line.size()) {
      return Error{ErrorCode::kBadFile,
                   std::string(kKey) + "[" + std::to_string(rank) + "] is \"" + lines[rank] + "\", expected two symbols",
                   "The vocabulary of this file is damaged; download or convert it again."};
    }
    const std::string_view left = line.substr(0, space), right = line.substr(space + 1);
    joined.assign(left).append(right);
    // One after the other: each may be new, and takes the next number then.
    const int32_t left_id = symbol(left), right_id = symbol(right), joined_id = symbol(joined);
    if (!merges.insert(left_id, right_id, static_cast<int32_t>(rank), joined_id)) {
      return Error{ErrorCode::kBadFile,
                   std::string(kKey) + "[" + std::to_string(rank) + "] is \"" + lines[rank] + "\", one of more than " +
                       std::to_string(kLongestRun) + " pairs that collide in the table of merges",
                   "This list was made to be slow to read; take the model from a source you trust."};
    }
  }
  return merges;
}

size_t MergeTable::slots(size_t merges) { return std::bit_ceil(merges + merges / 3 + 1); }

MergeTable::MergeTable(size_t merges)
    : entries_(slots(merges)),
      present_(entries_.size() * kPresentBits),
      present_shift_(64 - std::countr_zero(static_cast<uint64_t>(present_.size()))) {}

uint64_t MergeTable::bytes(const GgufFile& file) {
  Result<const std::vector<std::string>*> lines = file.get_strings(kKey);
  if (!lines) return 0;
  const uint64_t entries = slots((*lines)->size());
  return entries * sizeof(Entry) + entries * kPresentBits / 8;
}

uint64_t MergeTable::hash(int32_t left, int32_t right) {
  const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  return key * 0x9e3779b97f4a7c15ull;  // Fibonacci hashing
}

/// The slot of the pair, or the free one where it belongs.
size_t MergeTable::slot_of(uint64_t hash, int32_t left, int32_t right) const {
  const size_t mask = entries_.size() - 1;
  size_t slot = first_slot(hash);
  while (entries_[slot].left >= 0 && (entries_[slot].left != left || entries_[slot].right != right)) slot = (slot + 1) & mask;
  return slot;
}

bool MergeTable::insert(int32_t left, int32_t right, int32_t rank, int32_t result) {
  const uint64_t hashed = hash(left, right);
  const size_t slot = slot_of(hashed, left, right);
  Entry& entry = entries_[slot];
  if (entry.left < 0) entry = {left, right, rank, result};
  present_[static_cast<size_t>(hashed >> present_shift_)] = true;
  return ((slot - first_slot(hashed)) & (entries_.size() - 1)) <= kLongestRun;
}

std::optional<MergeResult> MergeTable::find(int32_t left, int32_t right) const {
  if (left < 0 || right < 0) return std::nullopt;
  const uint64_t hashed = hash(left, right);
  if (!present_[static_cast<size_t>(hashed >> present_shift_)]) return std::nullopt;
  const Entry& entry = entries_[slot_of(hashed, left, right)];
  if (entry.left < 0) return std::nullopt;
  return MergeResult{-static_cast<float>(entry.rank), entry.result};
}

}  // namespace tessera

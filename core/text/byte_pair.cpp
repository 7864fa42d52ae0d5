#include "core/text/byte_pair.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <unordered_map>

#include "core/base/utf8.h"
#include "core/text/word_cache.h"

namespace tessera {
namespace {

/// GPT-2's alphabet: bytes that print stand for themselves, the others for U+0100 and up in order.
constexpr std::array<uint16_t, 256> make_byte_alphabet() {
  std::array<uint16_t, 256> code_points{};
  uint16_t next = 256;
  for (uint16_t byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    code_points[byte] = prints ? byte : next++;
  }
  return code_points;
}
constexpr std::array<uint16_t, 256> kByteAlphabet = make_byte_alphabet();

constexpr size_t kAlphabetEnd = 324;  // 68 bytes do not print
constexpr std::array<int16_t, kAlphabetEnd> make_alphabet_bytes() {
  std::array<int16_t, kAlphabetEnd> bytes{};
  bytes.fill(-1);
  for (int16_t byte = 0; byte < 256; ++byte) bytes[kByteAlphabet[static_cast<size_t>(byte)]] = byte;
  return bytes;
}
constexpr std::array<int16_t, kAlphabetEnd> kAlphabetBytes = make_alphabet_bytes();

std::string spell(std::string_view bytes) {
  std::string spelled;
  for (const char byte : bytes) append_utf8(spelled, kByteAlphabet[static_cast<uint8_t>(byte)]);
  return spelled;
}

/// Ranks are kept as floats in the merge queue: exact below this.
constexpr size_t kMostMerges = 1 << 24;

Result<MergeTable> read_merges(const GgufFile& file, const Vocab& vocab) {
  constexpr std::string_view kKey = "tokenizer.ggml.merges";
  Result<const std::vector<std::string>*> found = file.get_strings(kKey);
  if (!found) return found.error();
  const std::vector<std::string>& lines = **found;
  if (lines.size() > kMostMerges) {
    return Error{ErrorCode::kUnsupported,
                 std::string(kKey) + " has " + std::to_string(lines.size()) + " entries, at most 16777216 are read", ""};
  }
  // Symbols are token ids; a symbol that only occurs on the way to a token gets a number behind the vocabulary.
  std::unordered_map<std::string, int32_t> others;
  const auto symbol = [&](const std::string& text) {
    if (const std::optional<int32_t> id = vocab.find_text(text)) return *id;
    return others.try_emplace(text, vocab.size() + static_cast<int32_t>(others.size())).first->second;
  };
  MergeTable merges(lines.size());
  for (size_t rank = 0; rank < lines.size(); ++rank) {
    const std::string& line = lines[rank];
    const size_t space = line.find(' ', 1);
    if (space == std::string::npos || space + 1 == line.size()) {
      return Error{ErrorCode::kBadFile, std::string(kKey) + "[" + std::to_string(rank) + "] is \"" + line + "\", expected two symbols",
                   "The vocabulary of this file is damaged; download or convert it again."};
    }
    const std::string left = line.substr(0, space);
    const std::string right = line.substr(space + 1);
    merges.insert(symbol(left), symbol(right), static_cast<int32_t>(rank), symbol(left + right));
  }
  return merges;
}

}  // namespace

MergeTable::MergeTable(size_t merges) : entries_(std::bit_ceil(merges + merges / 3 + 1)) {}

/// The slot of the pair, or the free one where it belongs.
size_t MergeTable::slot_of(int32_t left, int32_t right) const {
  const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  const size_t mask = entries_.size() - 1;
  size_t slot = static_cast<size_t>((key * 0x9e3779b97f4a7c15ull) >> 32) & mask;  // Fibonacci hashing
  while (entries_[slot].left >= 0 && (entries_[slot].left != left || entries_[slot].right != right)) slot = (slot + 1) & mask;
  return slot;
}

void MergeTable::insert(int32_t left, int32_t right, int32_t rank, int32_t result) {
  Entry& entry = entries_[slot_of(left, right)];
  if (entry.left < 0) entry = {left, right, rank, result};
}

std::optional<MergeResult> MergeTable::find(int32_t left, int32_t right) const {
  if (left < 0 || right < 0) return std::nullopt;
  const Entry& entry = entries_[slot_of(left, right)];
  if (entry.left < 0) return std::nullopt;
  return MergeResult{-static_cast<float>(entry.rank), entry.result};
}

Result<std::unique_ptr<Tokenizer>> BytePairTokenizer::make(const GgufFile& file, Vocab vocab) {
  Result<std::string> name = file.get_string("tokenizer.ggml.pre");
  if (!name) return name.error();
  const PreTokenizerRules* pre = find_pre_tokenizer(*name);
  if (pre == nullptr) {
    return Error{ErrorCode::kUnsupported, "tokenizer.ggml.pre is \"" + *name + "\", which this build does not know",
                 "Known pre-tokenisers: " + known_pre_tokenizers() + "."};
  }
  Result<MergeTable> merges = read_merges(file, vocab);
  if (!merges) return merges.error();
  return std::unique_ptr<Tokenizer>(new BytePairTokenizer(std::move(vocab), *pre, std::move(*merges)));
}

BytePairTokenizer::BytePairTokenizer(Vocab vocab, const PreTokenizerRules& pre, MergeTable merges)
    : Tokenizer(std::move(vocab)), pre_(pre), merges_(std::move(merges)) {
  for (size_t byte = 0; byte < 256; ++byte) {
    const char text = static_cast<char>(static_cast<uint8_t>(byte));
    const std::optional<int32_t> id = vocab_.find(spell({&text, 1}));
    byte_ids_[byte] = id && vocab_.kind(*id) == TokenKind::kNormal ? *id : -1;
  }
  for (int32_t id = 0; id < vocab_.size(); ++id) {
    const bool always = vocab_.kind(id) == TokenKind::kUserDefined;
    if (always || vocab_.is_special(id)) special_tokens_.add(vocab_.piece(id), id, {always, false});
  }
}

std::vector<int32_t> BytePairTokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<int32_t> ids;
  if (const std::optional<int32_t> bos = vocab_.bos(); options.add_bos && bos) ids.push_back(*bos);
  MergeQueue queue;
  WordCache cache;
  const auto encode_new = [&](std::string_view word, std::vector<int32_t>& out) { encode_word(word, queue, out); };
  for (const TextFragment& fragment : special_tokens_.split(text, options.parse_special)) {
    if (fragment.id >= 0) {
      ids.push_back(fragment.id);
    } else {
      pre_.split(fragment.text, [&](std::string_view word) { cache.append(word, ids, encode_new); });
    }
  }
  return ids;
}

void BytePairTokenizer::encode_word(std::string_view word, MergeQueue& queue, std::vector<int32_t>& out) const {
  if (pre_.rules().ignore_merges) {
    const std::optional<int32_t> id = vocab_.find(spell(word));
    if (id && vocab_.kind(*id) == TokenKind::kNormal) return out.push_back(*id);
  }
  const auto byte_id = [&](size_t i) { return byte_ids_[static_cast<uint8_t>(word[i])]; };
  queue.clear();
  for (size_t i = 0; i < word.size(); ++i) queue.push(static_cast<uint32_t>(i), 1, byte_id(i));
  queue.run([&](const MergeSymbol& left, const MergeSymbol& right) { return merges_.find(left.id, right.id); },
            [&](const MergeSymbol& symbol) {
              if (vocab_.contains(symbol.id)) return out.push_back(symbol.id);
              for (size_t i = symbol.begin; i < symbol.begin + symbol.length; ++i) {
                if (byte_id(i) >= 0) out.push_back(byte_id(i));
              }
            });
}

std::string BytePairTokenizer::token_bytes(int32_t id, bool show_special) const {
  if (!vocab_.contains(id)) return {};
  const std::string& piece = vocab_.piece(id);
  if (vocab_.is_special(id)) return show_special ? piece : std::string();
  if (vocab_.kind(id) == TokenKind::kUserDefined) return piece;
  std::string bytes;
  for (size_t position = 0; position < piece.size();) {
    const Utf8Step step = decode_utf8(std::string_view(piece).substr(position));
    const int16_t byte = step.code_point < kAlphabetEnd ? kAlphabetBytes[step.code_point] : int16_t{-1};
    if (byte >= 0) {
      bytes.push_back(static_cast<char>(static_cast<uint8_t>(byte)));
    } else {
      bytes.append(piece, position, step.length);
    }
    position += step.length;
  }
  return bytes;
}

}  // namespace tessera

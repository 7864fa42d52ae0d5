#include "core/text/sentencepiece.h"

#include <algorithm>
#include <utility>

#include "core/base/utf8.h"
#include "core/text/word_cache.h"

namespace tessera {
namespace {

constexpr uint32_t kSpaceMark = 0x2581;
constexpr std::string_view kSpaceMarkUtf8 = "\xe2\x96\x81";
constexpr uint32_t kNeighbourBits = 21;  // 256 KB; Gemma's 262,144 pieces hold 34,000 different pairs

uint32_t neighbour_slot(uint32_t left, uint32_t right) { return (left * 0x9e3779b1u ^ right * 0x85ebca77u) >> (32 - kNeighbourBits); }

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  size_t start = 0;
  for (size_t found = text.find(from); found != std::string_view::npos; found = text.find(from, start)) {
    result.append(text, start, found - start).append(to);
    start = found + from.size();
  }
  return result.append(text, start);
}

/// The byte of a piece "<0xNN>", or nothing.
std::optional<uint8_t> byte_of(std::string_view piece) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value * 16 + static_cast<int>(digit);
  }
  return static_cast<uint8_t>(value);
}

/// The tokens of Phi-3 whose tokenizer.json says `rstrip`; GGUF has no key for it.
bool phi3_eats_spaces(std::string_view piece) { return piece != "<unk>" && piece != "<s>" && piece != "<|endoftext|>"; }

}  // namespace

Result<std::unique_ptr<Tokenizer>> SentencePieceTokenizer::make(const GgufFile& file, Vocab vocab) {
  Settings settings;
  const Result<std::string> model = file.get_string("tokenizer.ggml.model");
  settings.unigram = model && model.value() == "t5";
  if (model && model.value() == "gemma4") {
    Result<MergeTable> merges = MergeTable::read(file, vocab);
    if (!merges) return merges.error();
    settings.merges = std::move(*merges);
    settings.add_space_prefix = false;
  }
  const std::pair<std::string_view, bool*> flags[] = {{"tokenizer.ggml.add_space_prefix", &settings.add_space_prefix},
                                                      {"tokenizer.ggml.remove_extra_whitespaces", &settings.removes_spaces}};
  for (const auto& [key, target] : flags) {
    if (!file.find(key)) continue;
    Result<bool> flag = file.get_bool(key);
    if (!flag) return flag.error();
    *target = *flag;
  }
  Result<CharacterMap> characters = CharacterMap::read(file);
  if (!characters) return characters.error();
  settings.characters = std::move(*characters);
  const Result<std::string> architecture = file.get_string("general.architecture");
  settings.eats_spaces = architecture && architecture.value() == "phi3";
  return std::unique_ptr<Tokenizer>(new SentencePieceTokenizer(std::move(vocab), std::move(settings)));
}

SentencePieceTokenizer::SentencePieceTokenizer(Vocab vocab, Settings settings)
    : Tokenizer(std::move(vocab)), settings_(std::move(settings)), neighbours_((size_t{1} << kNeighbourBits) / 64) {
  if (settings_.unigram) unigram_.emplace(vocab_);
  byte_ids_.fill(-1);
  for (int32_t id = 0; id < vocab_.size(); ++id) {
    const std::string& piece = vocab_.piece(id);
    const TokenKind kind = vocab_.kind(id);
    if (kind == TokenKind::kByte) {
      if (const std::optional<uint8_t> byte = byte_of(piece)) byte_ids_[*byte] = id;
      continue;
    }
    const bool always = kind == TokenKind::kUserDefined;
    if (always || vocab_.is_special(id)) {
      const bool strips = settings_.eats_spaces && phi3_eats_spaces(piece);
      special_tokens_.add(always ? replace_all(piece, kSpaceMarkUtf8, " ") : piece, id, {always, strips, vocab_.is_end_of_generation(id)});
    }
    if (!vocab_.is_special(id)) note_neighbours(piece);
  }
  has_all_bytes_ = std::find(byte_ids_.begin(), byte_ids_.end(), -1) == byte_ids_.end();
}

void SentencePieceTokenizer::note_neighbours(std::string_view piece) {
  uint32_t left = 0;
  for (size_t position = 0; position < piece.size();) {
    const Utf8Step step = decode_utf8(piece.substr(position));
    const uint32_t slot = neighbour_slot(left, step.code_point);
    if (position > 0) neighbours_[slot / 64] |= uint64_t{1} << (slot % 64);
    left = step.code_point;
    position += step.length;
  }
}

bool SentencePieceTokenizer::may_join(uint32_t left, uint32_t right) const {
  if (has_all_bytes_ && (left == kSpaceMark || right == kSpaceMark)) return false;
  const uint32_t slot = neighbour_slot(left == ' ' ? kSpaceMark : left, right == ' ' ? kSpaceMark : right);
  return neighbours_[slot / 64] >> (slot % 64) & 1;
}

/// Where no merge can cross, from `begin` on.
size_t SentencePieceTokenizer::word_end(std::string_view text, size_t begin) const {
  Utf8Step step = decode_utf8(text.substr(begin));
  for (size_t end = begin + step.length;;) {
    if (end == text.size()) return end;
    const uint32_t left = step.code_point;
    step = decode_utf8(text.substr(end));
    if (!may_join(left, step.code_point)) return end;
    end += step.length;
  }
}

std::vector<int32_t> SentencePieceTokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<int32_t> ids;
  if (const std::optional<int32_t> bos = vocab_.bos(); options.add_bos && bos) ids.push_back(*bos);
  MergeQueue queue;
  WordCache cache(text.size());
  const std::vector<TextFragment> fragments = special_tokens_.split(text, options.parse_special, options.barred);
  std::vector<std::string> changed;  // the cache refers to the texts of all fragments: they must not move
  changed.reserve(fragments.size());
  const bool changes = settings_.removes_spaces || !settings_.characters.empty();
  bool prefix = settings_.add_space_prefix;
  for (const TextFragment& fragment : fragments) {
    if (fragment.id >= 0) {
      ids.push_back(fragment.id);
    } else {
      encode_text(changes ? changed.emplace_back(normalized(fragment.text)) : fragment.text, prefix, cache, queue, ids);
    }
    prefix = settings_.add_space_prefix && fragment.id >= 0;
  }
  // Unigram knows one unknown token for a whole stretch of unknown characters.
  if (const std::optional<int32_t> unknown = vocab_.unknown(); unigram_ && unknown) {
    const auto twice = [&](int32_t left, int32_t right) { return left == right && left == *unknown; };
    ids.erase(std::unique(ids.begin(), ids.end(), twice), ids.end());
  }
  return ids;
}

std::string SentencePieceTokenizer::normalized(std::string_view text) const {
  std::string mapped = settings_.characters.apply(text);
  if (!settings_.removes_spaces) return mapped;
  std::string result;
  for (const char c : mapped) {
    if (c != ' ' || (!result.empty() && result.back() != ' ')) result += c;
  }
  if (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

void SentencePieceTokenizer::encode_text(std::string_view text, bool prefix, WordCache& cache, MergeQueue& queue,
                                         std::vector<int32_t>& out) const {
  const auto encode_new = [&](std::string_view word, std::vector<int32_t>& ids) { encode_word(word, queue, ids); };
  if (text.empty()) return;
  size_t begin = 0;
  if (prefix) {
    // The prefixed word is not part of the text, so the cache cannot keep it. A literal U+2581 must stay a word of its own.
    const bool joins = may_join(' ', decode_utf8(text).code_point);
    begin = joins ? word_end(text, 0) : 0;
    encode_word(std::string(" ").append(text.substr(0, begin)), queue, out);
  }
  while (begin < text.size()) {
    const size_t end = word_end(text, begin);
    cache.append(text.substr(begin, end - begin), out, encode_new);
    begin = end;
  }
}

void SentencePieceTokenizer::encode_word(std::string_view word, MergeQueue& queue, std::vector<int32_t>& out) const {
  if (has_all_bytes_ && word == kSpaceMarkUtf8) return append_bytes(word, out);
  const std::string spelled = replace_all(word, " ", kSpaceMarkUtf8);
  if (!unigram_) return merge(spelled, queue, out);
  for (const UnigramPiece& piece : unigram_->split(vocab_, spelled)) {
    if (piece.id >= 0) {
      out.push_back(piece.id);
    } else {
      append_bytes(std::string_view(spelled).substr(piece.begin, piece.length), out);
    }
  }
}

void SentencePieceTokenizer::merge(std::string_view text, MergeQueue& queue, std::vector<int32_t>& out) const {
  queue.clear();
  for (size_t position = 0; position < text.size();) {
    const Utf8Step step = decode_utf8(text.substr(position));
    const std::optional<int32_t> id = vocab_.find_text(text.substr(position, step.length));
    queue.push(static_cast<uint32_t>(position), step.length, id.value_or(-1));
    position += step.length;
  }
  queue.run(
      [&](const MergeSymbol& left, const MergeSymbol& right) -> std::optional<MergeResult> {
        if (settings_.merges) return settings_.merges->find(left.id, right.id);
        const std::optional<int32_t> id = vocab_.find_text(text.substr(left.begin, left.length + right.length));
        if (!id) return std::nullopt;
        return MergeResult{vocab_.score(*id), *id};
      },
      [&](const MergeSymbol& symbol) {
        if (vocab_.contains(symbol.id)) return out.push_back(symbol.id);
        append_bytes(text.substr(symbol.begin, symbol.length), out);
      });
}

/// Byte tokens where the vocabulary has them, else one unknown token.
void SentencePieceTokenizer::append_bytes(std::string_view bytes, std::vector<int32_t>& out) const {
  const auto byte_id = [&](char byte) { return byte_ids_[static_cast<uint8_t>(byte)]; };
  if (std::all_of(bytes.begin(), bytes.end(), [&](char byte) { return byte_id(byte) >= 0; })) {
    for (const char byte : bytes) out.push_back(byte_id(byte));
  } else if (const std::optional<int32_t> unknown = vocab_.unknown()) {
    out.push_back(*unknown);
  }
}

std::string SentencePieceTokenizer::token_bytes(int32_t id, bool show_special) const {
  if (!vocab_.contains(id)) return {};
  const std::string& piece = vocab_.piece(id);
  if (vocab_.is_special(id)) return show_special ? piece : std::string();
  if (vocab_.kind(id) == TokenKind::kByte) {
    const std::optional<uint8_t> byte = byte_of(piece);
    return byte ? std::string(1, static_cast<char>(*byte)) : std::string();
  }
  return replace_all(piece, kSpaceMarkUtf8, " ");
}

}  // namespace tessera

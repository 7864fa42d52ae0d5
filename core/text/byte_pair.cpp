#include "core/text/byte_pair.h"

#include <optional>

#include "core/base/normal_form.h"
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

}  // namespace

Result<std::unique_ptr<Tokenizer>> BytePairTokenizer::make(const GgufFile& file, Vocab vocab) {
  Result<std::string> name = file.get_string("tokenizer.ggml.pre");
  if (!name) {
    return Error{name.error().code, name.error().message,
                 "It says how text is cut into words; files converted before May 2024 lack it. Download or convert the model again, or set "
                 "the key (gguf_new_metadata.py --pre-tokenizer)."};
  }
  const PreTokenizerRules* pre = find_pre_tokenizer(*name);
  if (pre == nullptr) {
    return Error{ErrorCode::kUnsupported, "tokenizer.ggml.pre is \"" + *name + "\", which this build does not know",
                 "Known pre-tokenisers: " + known_pre_tokenizers() + "."};
  }
  Result<MergeTable> merges = MergeTable::read(file, vocab);
  if (!merges) return merges.error();
  const Result<bool> nfc = file.get_bool("tokenizer.ggml.normalizer.nfc");
  if (!nfc && nfc.error().code != ErrorCode::kNotFound) return nfc.error();
  return std::unique_ptr<Tokenizer>(new BytePairTokenizer(std::move(vocab), *pre, std::move(*merges), nfc && nfc.value()));
}

BytePairTokenizer::BytePairTokenizer(Vocab vocab, const PreTokenizerRules& pre, MergeTable merges, bool normalizes)
    : Tokenizer(std::move(vocab)), pre_(pre), merges_(std::move(merges)), normalizes_(normalizes) {
  for (size_t byte = 0; byte < 256; ++byte) {
    const char text = static_cast<char>(static_cast<uint8_t>(byte));
    const std::optional<int32_t> id = vocab_.find(spell({&text, 1}));
    byte_ids_[byte] = id && vocab_.kind(*id) == TokenKind::kNormal ? *id : -1;
  }
  for (int32_t id = 0; id < vocab_.size(); ++id) {
    const bool always = vocab_.kind(id) == TokenKind::kUserDefined;
    if (always || vocab_.is_special(id)) special_tokens_.add(vocab_.piece(id), id, {always, false, vocab_.is_end_of_generation(id)});
  }
}

std::vector<int32_t> BytePairTokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<int32_t> ids;
  if (const std::optional<int32_t> bos = vocab_.bos(); options.add_bos && bos) ids.push_back(*bos);
  MergeQueue queue;
  WordCache cache(text.size());
  const auto encode_new = [&](std::string_view word, std::vector<int32_t>& out) { encode_word(word, queue, out); };
  const std::vector<TextFragment> fragments = special_tokens_.split(text, options.parse_special, options.barred);
  std::vector<std::string> normalized;  // the cache refers to the texts of all fragments: they must not move
  normalized.reserve(fragments.size());
  for (const TextFragment& fragment : fragments) {
    if (fragment.id >= 0) {
      ids.push_back(fragment.id);
    } else {
      pre_.split(normalizes_ ? normalized.emplace_back(to_nfc(fragment.text)) : fragment.text,
                 [&](std::string_view word) { cache.append(word, ids, encode_new); });
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

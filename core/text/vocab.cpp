#include "core/text/vocab.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

#include "core/base/heap_sort.h"
#include "core/text/pre_tokenizer.h"

namespace tessera {
namespace {

// Ends of turn and of text by which chat families finish. A file whose eos token is another one (a base model's, say)
// must still stop at these.
constexpr std::string_view kEndMarkers[] = {
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot|>",
    "<|EOT|>",
    "<|end_of_turn|>",
    "<end_of_utterance>",
    "<|assistant_end|>",
    "<|END_OF_TURN_TOKEN|>",
    "[|endofturn|]",
    "<turn|>",     // Gemma 4
    "<|return|>",  // gpt-oss
    "<|call|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",  // DeepSeek
};
// The same, but also ordinary text (an HTML tag, a word in angle brackets): only where they are control tokens.
constexpr std::string_view kAmbiguousEndMarkers[] = {"</s>", "<eos>", "[EOS]", "[EOT]"};
// What stands around each message of an answer in the harmony format, which a vocabulary with all of these and <|return|> writes.
constexpr std::string_view kFrameMarkers[] = {"<|start|>", "<|channel|>", "<|message|>", "<|end|>"};

Error bad_key(std::string_view key, std::string_view found, std::string_view expected) {
  return Error{ErrorCode::kBadFile, std::string(key) + " is " + std::string(found) + ", expected " + std::string(expected),
               "The vocabulary of this file is damaged; download or convert it again."};
}

/// An optional id with a role. Absent, or the -1 that some converters write → nullopt; else outside the vocabulary → kBadFile.
Result<std::optional<int32_t>> read_role(const GgufFile& file, std::string_view key, int32_t size) {
  if (!file.find(key)) return std::optional<int32_t>();
  Result<uint64_t> value = file.get_uint(key);
  if (!value) return value.error();
  if (*value == UINT32_MAX) return std::optional<int32_t>();
  if (*value >= static_cast<uint64_t>(size)) return bad_key(key, std::to_string(*value), "an id below " + std::to_string(size));
  return std::optional<int32_t>(static_cast<int32_t>(*value));
}

/// SentencePiece models begin with BOS by default, byte-level ones only where their pre-tokeniser's family does.
bool adds_bos_by_default(const GgufFile& file) {
  const Result<std::string> model = file.get_string("tokenizer.ggml.model");
  if (model && (model.value() == "llama" || model.value() == "gemma4")) return true;
  const Result<std::string> pre = file.get_string("tokenizer.ggml.pre");
  const PreTokenizerRules* known = pre ? find_pre_tokenizer(pre.value()) : nullptr;
  return known != nullptr && known->adds_bos;
}

}  // namespace

Result<Vocab> Vocab::from_gguf(const GgufFile& file) {
  Vocab vocab;
  Result<const std::vector<std::string>*> pieces = file.get_strings("tokenizer.ggml.tokens");
  if (!pieces) return pieces.error();
  const size_t count = (*pieces)->size();
  if (count == 0 || count > static_cast<size_t>(std::numeric_limits<int32_t>::max() / 4)) {
    return bad_key("tokenizer.ggml.tokens", std::to_string(count) + " tokens", "1 to 536870911");
  }
  vocab.pieces_ = **pieces;
  vocab.index_pieces();
  if (Result<void> kinds = vocab.read_kinds(file); !kinds) return kinds.error();
  if (file.find("tokenizer.ggml.scores")) {
    Result<const std::vector<double>*> scores = file.get_floats("tokenizer.ggml.scores");
    if (!scores) return scores.error();
    if ((*scores)->size() != count) {
      return bad_key("tokenizer.ggml.scores", std::to_string((*scores)->size()) + " entries long", std::to_string(count));
    }
    vocab.scores_.assign((*scores)->begin(), (*scores)->end());
  }
  if (Result<void> roles = vocab.read_roles(file); !roles) return roles.error();
  return vocab;
}

uint64_t Vocab::bytes(const GgufFile& file) {
  Result<const std::vector<std::string>*> pieces = file.get_strings("tokenizer.ggml.tokens");
  if (!pieces) return 0;
  const size_t count = (*pieces)->size(), within = std::string().capacity();  // a short text lies in the string itself
  uint64_t bytes = count * (sizeof(std::string) + sizeof(TokenKind)) + slots(count) * sizeof(int32_t);
  if (file.find("tokenizer.ggml.scores")) bytes += count * sizeof(float);
  for (const std::string& piece : **pieces) bytes += piece.size() > within ? piece.size() + 1 : 0;
  return bytes;
}

size_t Vocab::slots(size_t pieces) { return std::bit_ceil(2 * pieces); }

Result<void> Vocab::read_kinds(const GgufFile& file) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  kinds_.assign(pieces_.size(), TokenKind::kNormal);
  if (!file.find(kKey)) return {};
  Result<const std::vector<int64_t>*> kinds = file.get_ints(kKey);
  if (!kinds) return kinds.error();
  if ((*kinds)->size() != pieces_.size()) {
    return bad_key(kKey, std::to_string((*kinds)->size()) + " entries long", std::to_string(pieces_.size()));
  }
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const int64_t kind = (**kinds)[i];
    if (kind < 0 || kind > 6) return bad_key(std::string(kKey) + "[" + std::to_string(i) + "]", std::to_string(kind), "0 to 6");
    kinds_[i] = kind == 0 ? TokenKind::kNormal : static_cast<TokenKind>(kind);  // 0: undefined
    // Looking for such a token takes its length at each place of a text.
    constexpr size_t kLongest = 1000;
    const bool is_sought = is_special(static_cast<int32_t>(i)) || kinds_[i] == TokenKind::kUserDefined;
    if (is_sought && pieces_[i].size() > kLongest) {
      return bad_key("tokenizer.ggml.tokens[" + std::to_string(i) + "]",
                     "a control or user-defined token of " + std::to_string(pieces_[i].size()) + " bytes",
                     "at most " + std::to_string(kLongest));
    }
  }
  return {};
}

Result<void> Vocab::read_roles(const GgufFile& file) {
  std::optional<int32_t> end_of_turn, end_of_message;
  const std::pair<std::string_view, std::optional<int32_t>*> roles[] = {
      {"tokenizer.ggml.bos_token_id", &bos_},           {"tokenizer.ggml.eos_token_id", &eos_},
      {"tokenizer.ggml.unknown_token_id", &unknown_},   {"tokenizer.ggml.eot_token_id", &end_of_turn},
      {"tokenizer.ggml.eom_token_id", &end_of_message},
  };
  for (const auto& [key, target] : roles) {
    Result<std::optional<int32_t>> id = read_role(file, key, size());
    if (!id) return id.error();
    *target = *id;
  }
  constexpr std::string_view kAddBos = "tokenizer.ggml.add_bos_token";
  Result<bool> add_bos = file.find(kAddBos) ? file.get_bool(kAddBos) : adds_bos_by_default(file);
  if (!add_bos) return add_bos.error();
  add_bos_ = *add_bos && bos_;

  for (const std::string_view marker : kFrameMarkers) {
    if (const std::optional<int32_t> id = find(marker)) frame_ids_.push_back(*id);
  }
  if (frame_ids_.size() < std::size(kFrameMarkers) || !find("<|return|>")) frame_ids_.clear();
  for (const std::optional<int32_t>& id : {eos_, end_of_turn, end_of_message}) {
    if (id) end_ids_.push_back(*id);
  }
  for (const std::string_view marker : kEndMarkers) {
    const std::optional<int32_t> id = find(marker);
    if (id && (kind(*id) == TokenKind::kControl || kind(*id) == TokenKind::kUserDefined)) end_ids_.push_back(*id);
  }
  for (const std::string_view marker : kAmbiguousEndMarkers) {
    const std::optional<int32_t> id = find(marker);
    if (id && kind(*id) == TokenKind::kControl) end_ids_.push_back(*id);
  }
  heap_sort(end_ids_.begin(), end_ids_.end());
  end_ids_.erase(std::unique(end_ids_.begin(), end_ids_.end()), end_ids_.end());
  std::erase_if(end_ids_, [this](int32_t id) { return frames_message(id); });
  return {};
}

/// The slot that holds `piece`, or the free one where it belongs.
size_t Vocab::slot_of(std::string_view piece) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = std::hash<std::string_view>()(piece) & mask;
  while (slots_[slot] >= 0 && pieces_[slots_[slot]] != piece) slot = (slot + 1) & mask;
  return slot;
}

void Vocab::index_pieces() {
  slots_.assign(slots(pieces_.size()), -1);
  for (size_t i = 0; i < pieces_.size(); ++i) slots_[slot_of(pieces_[i])] = static_cast<int32_t>(i);
}

std::optional<int32_t> Vocab::find(std::string_view piece) const {
  const int32_t id = slots_[slot_of(piece)];
  return id >= 0 ? std::optional<int32_t>(id) : std::nullopt;
}

std::optional<int32_t> Vocab::find_text(std::string_view piece) const {
  const std::optional<int32_t> id = find(piece);
  return id && !is_special(*id) && kind(*id) != TokenKind::kByte ? id : std::nullopt;
}

bool Vocab::is_special(int32_t id) const { return kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUnknown; }

bool Vocab::is_end_of_generation(int32_t id) const { return std::binary_search(end_ids_.begin(), end_ids_.end(), id); }

bool Vocab::frames_message(int32_t id) const { return std::ranges::find(frame_ids_, id) != frame_ids_.end(); }

}  // namespace tessera

#include "core/text/stream_decoder.h"

#include "core/base/utf8.h"

namespace tessera {
namespace {

/// `bytes` with U+FFFD for what is not UTF-8.
std::string to_valid_utf8(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const size_t valid = valid_utf8_prefix(bytes);
    text.append(bytes.substr(0, valid));
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    append_utf8(text, 0xfffd);
    bytes.remove_prefix(decode_utf8(bytes).length);
  }
  return text;
}

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool at_start, bool show_special)
    : tokenizer_(tokenizer), at_start_(at_start && tokenizer.adds_space_prefix()), show_special_(show_special) {}

std::string StreamDecoder::push(int32_t id) {
  const Vocab& vocab = tokenizer_.vocab();
  if (!vocab.contains(id)) return {};
  std::string bytes = tokenizer_.token_bytes(id, show_special_);
  if (vocab.is_special(id) || vocab.kind(id) == TokenKind::kUserDefined) {
    at_start_ = tokenizer_.adds_space_prefix();
  } else if (at_start_ && !bytes.empty()) {
    if (bytes.front() == ' ') bytes.erase(0, 1);
    at_start_ = false;
  }
  pending_ += bytes;
  const size_t decided = decidable_utf8_prefix(pending_);
  std::string text = to_valid_utf8(std::string_view(pending_).substr(0, decided));
  pending_.erase(0, decided);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text = to_valid_utf8(pending_);
  pending_.clear();
  return text;
}

}  // namespace tessera

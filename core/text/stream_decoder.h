// Owns the way from single tokens to text on a screen: holds bytes back until they are whole characters.
#pragma once

#include <cstdint>
#include <string>

#include "core/text/tokenizer.h"

namespace tessera {

/// Turns a stream of tokens into pieces of valid UTF-8. One object per answer; not thread-safe.
class StreamDecoder {
 public:
  /// `at_start`: the stream begins a text, so a leading space that encode() would have put there is dropped.
  /// `show_special`: control tokens appear as their names instead of not at all.
  StreamDecoder(const Tokenizer& tokenizer, bool at_start, bool show_special = false);

  /// The text that became certain with this token; "" while a character is incomplete. Bytes that can never become
  /// valid UTF-8 come out as U+FFFD.
  std::string push(int32_t id);

  /// Whether a space at the beginning of the next token will be dropped.
  bool drops_space() const { return at_start_; }

  /// What is left at the end; an unfinished character becomes one U+FFFD.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool at_start_;
  bool show_special_;
  std::string pending_;
};

}  // namespace tessera

// Owns the texts of a vocabulary's tokens in the order in which what many begin with is followed once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::grammar {

/// Sorted texts. Immutable; safe to read from several threads.
class TokenTexts {
 public:
  /// `text_of`(id) for the ids 0…count - 1: what a token adds to an answer; "" for one that cannot be part of what a grammar rules.
  TokenTexts(int32_t count, const std::function<std::string(int32_t)>& text_of);

  struct Token {
    int32_t id;
    uint32_t begin;   ///< of its text in the bytes of all
    uint16_t length;  ///< of its text
    uint16_t shared;  ///< bytes at its beginning that are those of the token before it
  };
  std::span<const Token> tokens() const { return tokens_; }
  std::string_view text(const Token& token) const { return std::string_view(bytes_).substr(token.begin, token.length); }
  size_t longest() const { return longest_; }
  /// Of all ids, with or without a text.
  int32_t count() const { return count_; }

 private:
  int32_t count_;
  std::string bytes_;
  std::vector<Token> tokens_;
  size_t longest_ = 0;
};

}  // namespace tessera::grammar

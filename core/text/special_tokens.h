// Owns finding whole tokens in raw text before anything else looks at it: control tokens and user-defined ones.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

/// A piece of raw text: a token found in it (id >= 0), or text that holds none (id == -1).
struct TextFragment {
  int32_t id;
  std::string_view text;
};

/// The tokens to look for, as a trie of their bytes: a search costs no more with thousands of them.
class SpecialTokens {
 public:
  struct Rule {
    bool always = false;       ///< also when control tokens are not to be parsed: user-defined tokens
    bool eats_spaces = false;  ///< ASCII white space behind the token vanishes (`rstrip` of tokenizer.json)
    bool ends_turn = false;    ///< never read where it is barred, even if `always`
  };

  SpecialTokens() { roots_.fill(-1); }

  /// Of several tokens with one text the last counts; an empty text never matches.
  void add(std::string_view text, int32_t id, Rule rule);

  /// Cuts at the leftmost match, there at the longest, as SentencePiece and the `tokenizers` library do. (llama.cpp looks
  /// for the longest in the whole text first: the same unless two tokens overlap in the text.)
  ///
  /// `barred`: sorted offsets of characters that people wrote. No token begins there but user-defined ones, and of those none
  /// that ends a turn and none in brackets (`<…>`, `[…]`) that the text also has where it is not barred: a role marker.
  std::vector<TextFragment> split(std::string_view text, bool parse_special, std::span<const size_t> barred = {}) const;

  /// The characters that control tokens and tokens in brackets begin with, one behind the other in UTF-8.
  const std::string& first_characters() const { return first_characters_; }

 private:
  struct Node {
    uint8_t byte;
    Rule rule;
    int32_t id = -1;  ///< the token that ends here
    int32_t first_child = -1;
    int32_t next_sibling = -1;
  };
  struct Match {
    const Node* node = nullptr;
    size_t length = 0;
  };

  int32_t child(int32_t node, uint8_t byte) const;
  /// What may match at one place of the text.
  struct Permission {
    bool control;
    bool barred;
    bool brackets;                     ///< whether tokens in brackets may begin where it is barred, but for
    std::span<const int32_t> markers;  ///< these
  };
  Match longest_match(std::string_view text, const Permission& permission) const;
  std::vector<TextFragment> split(std::string_view text, std::span<const size_t> barred, Permission permission) const;

  std::array<int32_t, 256> roots_;  ///< first byte → node
  std::string first_characters_;
  std::vector<Node> nodes_;
};

}  // namespace tessera

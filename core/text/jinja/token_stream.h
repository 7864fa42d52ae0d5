// Owns what both parsers share: the tokens, the names met so far, the first error and the nesting.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/text/jinja/ast.h"

namespace tessera::jinja {

/// A parser method that fails returns null (or false) after fail(); only the first error is kept.
class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, SyntaxTree& tree, const Limits& limits)
      : tokens_(std::move(tokens)), tree_(tree), limits_(limits) {
    for (const char* name : {"loop", "caller", "varargs", "kwargs"}) intern(name);
  }

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Offset offset() const { return peek().offset; }
  bool is(TokenKind kind) const { return peek().kind == kind; }
  bool is_operator(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind == TokenKind::kOperator && peek(ahead).text == text;
  }
  bool is_name(std::string_view text, size_t ahead = 0) const { return peek(ahead).kind == TokenKind::kName && peek(ahead).text == text; }

  Token take() {
    Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool take_operator(std::string_view text) { return is_operator(text) && (take(), true); }
  bool take_name(std::string_view text) { return is_name(text) && (take(), true); }

  bool expect_operator(std::string_view text) { return take_operator(text) || unexpected(join_text("'", text, "'")); }
  bool expect(TokenKind kind, std::string_view what) { return (is(kind) && (take(), true)) || unexpected(std::string(what)); }

  NameId intern(const std::string& name) {
    const auto [place, is_new] = ids_.emplace(name, static_cast<NameId>(tree_.names.size()));
    if (is_new) tree_.names.push_back(name);
    return place->second;
  }

  const std::string& name_of(NameId id) const { return tree_.names[id]; }

  bool failed() const { return failed_; }
  const Error& error() const { return error_; }

  /// Records the first failure; always false.
  bool fail(Offset offset, std::string message) {
    if (!failed_) error_ = located_error(tree_.source, offset, {ErrorCode::kTemplate, std::move(message), {}});
    failed_ = true;
    return false;
  }
  bool unexpected(const std::string& wanted) { return fail(offset(), join_text("unexpected ", describe(peek()), ", expected ", wanted)); }

  static std::string describe(const Token& token) {
    switch (token.kind) {
      case TokenKind::kEnd: return "end of template";
      case TokenKind::kPrintEnd: return "'}}'";
      case TokenKind::kBlockEnd: return "'%}'";
      case TokenKind::kString: return "string";
      default: return join_text("'", token.text, "'");
    }
  }

  /// Counts a level of nesting while alive.
  class Level {
   public:
    explicit Level(TokenStream& stream) : stream_(stream) {
      if (++stream_.level_ > stream_.limits_.syntax_depth) {
        stream_.fail(stream_.offset(), join_text("limit reached: nested more than ", stream_.limits_.syntax_depth, " deep"));
      }
    }
    ~Level() { --stream_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenStream& stream_;
  };

  const Limits& limits() const { return limits_; }

  // Unknown filters and tests fail the parse, unless they stand directly in an `if` or a conditional expression (Jinja2's soft frames).
  size_t unknown_count() const { return unknown_.size(); }
  void add_unknown(Offset offset, std::string message) { unknown_.emplace_back(offset, std::move(message)); }
  void forgive_unknown_since(size_t count) { unknown_.resize(std::min(count, unknown_.size())); }
  void condemn_unknown_since(size_t count) {
    if (unknown_.size() > count) fail(unknown_[count].first, unknown_[count].second);
  }

  // Free names met since a macro began: whether it takes varargs, kwargs or a caller.
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
  SyntaxTree& tree_;
  const Limits& limits_;
  std::unordered_map<std::string, NameId> ids_;
  bool failed_ = false;
  Error error_{ErrorCode::kTemplate, {}, {}};
  int level_ = 0;
  std::vector<std::pair<Offset, std::string>> unknown_;
};

}  // namespace tessera::jinja

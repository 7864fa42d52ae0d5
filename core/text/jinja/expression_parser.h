// Owns the grammar of expressions. All methods return null after TokenStream::fail().
#pragma once

#include "core/text/jinja/token_stream.h"

namespace tessera::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  /// With or without `a if b else c`.
  ExpressionPtr expression(bool with_conditional = true);
  /// An expression, or a tuple when a comma follows; ends before `stop_name` ("" = none).
  ExpressionPtr tuple(bool with_conditional, std::string_view stop_name = {});
  /// "name(arguments)|name…" with the innermost input null: the head of filter blocks.
  ExpressionPtr filter_chain();
  /// A primary with its postfixes: the callee of a call block.
  ExpressionPtr call();

 private:
  ExpressionPtr conditional();
  ExpressionPtr logic_or();
  ExpressionPtr logic_and();
  ExpressionPtr logic_not();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr name();
  ExpressionPtr string();
  ExpressionPtr number();
  ExpressionPtr parenthesised();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr object);
  ExpressionPtr filters_and_tests(ExpressionPtr input);
  ExpressionPtr subscript(ExpressionPtr object);
  ExpressionPtr filter(ExpressionPtr input);
  ExpressionPtr test(ExpressionPtr input);
  bool test_arguments(ArgumentExpressions& out);
  bool call_arguments(ArgumentExpressions& out);
  bool call_argument(ArgumentExpressions& out);
  std::string dotted_name();
  bool at_expression_end(std::string_view stop_name) const;

  /// Makes a node one higher than `height`, unless that is too high.
  ExpressionPtr make(Offset offset, int height, decltype(Expression::node) node);
  static int height(const ExpressionPtr& expression) { return expression ? expression->height : 0; }
  static int height(const ArgumentExpressions& arguments);

  TokenStream& stream_;
};

}  // namespace tessera::jinja

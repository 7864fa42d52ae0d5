// Owns the part of the expression grammar that follows a value: attributes, subscripts, calls, filters and tests.
#include <algorithm>

#include "core/text/jinja/expression_parser.h"
#include "core/text/jinja/number_text.h"

namespace tessera::jinja {

ExpressionPtr ExpressionParser::postfix(ExpressionPtr object) {
  while (object) {
    const Offset offset = stream_.offset();
    if (stream_.is_operator(".")) {
      stream_.take();
      const Token part = stream_.take();
      const int highest = height(object);
      if (part.kind == TokenKind::kName) {
        object = make(offset, highest, AttributeExpression{std::move(object), part.text});
      } else if (part.kind == TokenKind::kInteger && part.text.size() < 18) {
        ExpressionPtr index = make(part.offset, 0, Literal{Value::integer(parse_integer(part.text).value_or(0))});
        object = make(offset, highest, SubscriptExpression{std::move(object), std::move(index)});
      } else {
        stream_.fail(part.offset, join_text("unexpected ", TokenStream::describe(part), ", expected a name after '.'"));
        return nullptr;
      }
    } else if (stream_.is_operator("[")) {
      object = subscript(std::move(object));
    } else if (stream_.is_operator("(")) {
      CallExpression node{std::move(object), {}};
      if (!call_arguments(node.arguments)) return nullptr;
      const int highest = std::max(height(node.callee), height(node.arguments));
      object = make(offset, highest, std::move(node));
    } else {
      break;
    }
  }
  return object;
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr input) {
  while (input) {
    if (stream_.is_operator("|")) {
      input = filter(std::move(input));
    } else if (stream_.is_name("is")) {
      input = test(std::move(input));
    } else if (stream_.is_operator("(")) {
      const Offset offset = stream_.offset();
      CallExpression node{std::move(input), {}};
      if (!call_arguments(node.arguments)) return nullptr;
      const int highest = std::max(height(node.callee), height(node.arguments));
      input = make(offset, highest, std::move(node));
    } else {
      break;
    }
  }
  return input;
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr object) {
  const Offset offset = stream_.take().offset;
  ExpressionPtr bounds[3];
  size_t part = 0;
  std::vector<ExpressionPtr> items;
  while (!stream_.is_operator("]")) {
    if (stream_.take_operator(":")) {
      if (++part > 2 || !items.empty()) {
        stream_.fail(offset, "bad slice, expected start:stop:step");
        return nullptr;
      }
    } else if (part == 0 && stream_.take_operator(",") && bounds[0]) {
      items.push_back(std::move(bounds[0]));
    } else {
      if (bounds[part]) {
        stream_.unexpected("']'");
        return nullptr;
      }
      bounds[part] = expression();
      if (!bounds[part]) return nullptr;
    }
  }
  stream_.take();
  int highest = std::max({height(object), height(bounds[0]), height(bounds[1]), height(bounds[2])});
  if (part > 0) {
    return make(offset, highest, SliceExpression{std::move(object), std::move(bounds[0]), std::move(bounds[1]), std::move(bounds[2])});
  }
  if (!items.empty()) {
    if (bounds[0]) items.push_back(std::move(bounds[0]));
    for (const auto& item : items) highest = std::max(highest, height(item));
    bounds[0] = make(offset, highest, SequenceExpression{std::move(items), SequenceType::kTuple});
    ++highest;
  }
  if (!bounds[0]) {
    stream_.fail(offset, "expected a subscript");
    return nullptr;
  }
  return make(offset, highest, SubscriptExpression{std::move(object), std::move(bounds[0])});
}

std::string ExpressionParser::dotted_name() {
  std::string text = stream_.peek().text;
  if (!stream_.expect(TokenKind::kName, "a name")) return {};
  while (stream_.is_operator(".") && stream_.peek(1).kind == TokenKind::kName) {
    stream_.take();
    text += join_text(".", stream_.take().text);
  }
  return text;
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr input) {
  stream_.take();
  const Offset offset = stream_.offset();
  FilterExpression node{std::move(input), nullptr, dotted_name(), {}};
  node.filter = find_filter(node.name);
  if (!node.filter) stream_.add_unknown(offset, join_text("No filter named '", node.name, "'."));
  if (stream_.is_operator("(") && !call_arguments(node.arguments)) return nullptr;
  const int highest = std::max(height(node.input), height(node.arguments));
  return make(offset, highest, std::move(node));
}

ExpressionPtr ExpressionParser::filter_chain() {
  ExpressionPtr chain;
  do {
    const Offset offset = stream_.offset();
    FilterExpression node{std::move(chain), nullptr, dotted_name(), {}};
    node.filter = find_filter(node.name);
    if (!node.filter) stream_.add_unknown(offset, join_text("No filter named '", node.name, "'."));
    if (stream_.is_operator("(") && !call_arguments(node.arguments)) return nullptr;
    const int highest = std::max(height(node.input), height(node.arguments));
    chain = make(offset, highest, std::move(node));
  } while (chain && stream_.take_operator("|"));
  return chain;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr input) {
  stream_.take();
  const bool negated = stream_.take_name("not");
  const Offset offset = stream_.offset();
  TestExpression node{std::move(input), nullptr, dotted_name(), {}};
  node.test = find_test(node.name);
  if (!node.test) stream_.add_unknown(offset, join_text("No test named '", node.name, "'."));
  if (!test_arguments(node.arguments)) return nullptr;
  const int highest = std::max(height(node.input), height(node.arguments));
  ExpressionPtr result = make(offset, highest, std::move(node));
  if (!negated || !result) return result;
  return make(offset, highest + 1, UnaryExpression{UnaryOperator::kNot, std::move(result)});
}

/// `(a, b)`, or one value without brackets: `x is divisibleby 3`.
bool ExpressionParser::test_arguments(ArgumentExpressions& out) {
  if (stream_.is_operator("(")) return call_arguments(out);
  const TokenKind kind = stream_.peek().kind;
  const bool is_value = kind == TokenKind::kName || kind == TokenKind::kString || kind == TokenKind::kInteger ||
                        kind == TokenKind::kFloat || stream_.is_operator("[") || stream_.is_operator("{");
  if (!is_value || stream_.is_name("else") || stream_.is_name("or") || stream_.is_name("and")) return !stream_.failed();
  if (stream_.is_name("is")) return stream_.fail(stream_.offset(), "You cannot chain multiple tests with is");
  out.positional.push_back(call());
  return out.positional.back() != nullptr;
}

bool ExpressionParser::call_arguments(ArgumentExpressions& out) {
  const TokenStream::Level level(stream_);
  stream_.take();
  bool is_first = true;
  while (!stream_.is_operator(")")) {
    if (stream_.failed() || (!is_first && !stream_.expect_operator(","))) return false;
    is_first = false;
    if (stream_.is_operator(")")) break;
    if (!call_argument(out)) return false;
  }
  stream_.take();
  return !stream_.failed();
}

bool ExpressionParser::call_argument(ArgumentExpressions& out) {
  const Offset offset = stream_.offset();
  if (stream_.is_operator("*") || stream_.is_operator("**")) {
    ExpressionPtr& place = stream_.take().text == "*" ? out.star : out.star_star;
    if (place) return stream_.fail(offset, "invalid syntax for function call expression");
    place = expression();
    return place != nullptr;
  }
  if (stream_.is(TokenKind::kName) && stream_.is_operator("=", 1)) {
    if (out.star_star) return stream_.fail(offset, "invalid syntax for function call expression");
    const std::string name = stream_.take().text;
    stream_.take();
    ExpressionPtr value = expression();
    if (!value) return false;
    out.named.emplace_back(name, std::move(value));
    return true;
  }
  if (out.star || out.star_star || !out.named.empty()) return stream_.fail(offset, "invalid syntax for function call expression");
  out.positional.push_back(expression());
  return out.positional.back() != nullptr;
}

}  // namespace tessera::jinja

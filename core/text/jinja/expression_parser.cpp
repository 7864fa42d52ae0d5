// Owns the recursive-descent parser of expressions; precedence as in Jinja2's parser.py, loosest first.
#include "core/text/jinja/expression_parser.h"

#include <algorithm>

#include "core/text/jinja/number_text.h"

namespace tessera::jinja {

ExpressionPtr ExpressionParser::make(Offset offset, int height, decltype(Expression::node) node) {
  if (stream_.failed()) return nullptr;
  if (height + 1 > stream_.limits().evaluation_depth / 2) {
    stream_.fail(offset, join_text("limit reached: an expression of more than ", stream_.limits().evaluation_depth / 2, " chained parts"));
    return nullptr;
  }
  return std::make_unique<Expression>(Expression{offset, height + 1, std::move(node)});
}

int ExpressionParser::height(const ArgumentExpressions& arguments) {
  int highest = std::max(height(arguments.star), height(arguments.star_star));
  for (const auto& argument : arguments.positional) highest = std::max(highest, height(argument));
  for (const auto& argument : arguments.named) highest = std::max(highest, height(argument.second));
  return highest;
}

ExpressionPtr ExpressionParser::expression(bool with_conditional) {
  const TokenStream::Level level(stream_);
  if (stream_.failed()) return nullptr;
  return with_conditional ? conditional() : logic_or();
}

ExpressionPtr ExpressionParser::conditional() {
  const size_t unknown = stream_.unknown_count();
  ExpressionPtr value = logic_or();
  while (value && stream_.is_name("if")) {
    const Offset offset = stream_.take().offset;
    ExpressionPtr test = logic_or();
    if (!test) return nullptr;
    ExpressionPtr otherwise;
    if (stream_.take_name("else")) {
      otherwise = expression();
      if (!otherwise) return nullptr;
    }
    stream_.forgive_unknown_since(unknown);
    const int highest = std::max({height(value), height(test), height(otherwise)});
    value = make(offset, highest, ConditionalExpression{std::move(test), std::move(value), std::move(otherwise)});
  }
  return value;
}

ExpressionPtr ExpressionParser::logic_or() {
  ExpressionPtr left = logic_and();
  while (left && stream_.is_name("or")) {
    const Offset offset = stream_.take().offset;
    ExpressionPtr right = logic_and();
    const int highest = std::max(height(left), height(right));
    left = make(offset, highest, LogicExpression{false, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr ExpressionParser::logic_and() {
  ExpressionPtr left = logic_not();
  while (left && stream_.is_name("and")) {
    const Offset offset = stream_.take().offset;
    ExpressionPtr right = logic_not();
    const int highest = std::max(height(left), height(right));
    left = make(offset, highest, LogicExpression{true, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr ExpressionParser::logic_not() {
  if (!stream_.is_name("not")) return comparison();
  const TokenStream::Level level(stream_);
  const Offset offset = stream_.take().offset;
  ExpressionPtr operand = stream_.failed() ? nullptr : logic_not();
  const int highest = height(operand);
  return make(offset, highest, UnaryExpression{UnaryOperator::kNot, std::move(operand)});
}

ExpressionPtr ExpressionParser::comparison() {
  constexpr std::pair<std::string_view, Comparator> kComparators[] = {{"==", Comparator::kEqual},  {"!=", Comparator::kUnequal},
                                                                      {"<", Comparator::kLess},    {"<=", Comparator::kAtMost},
                                                                      {">", Comparator::kGreater}, {">=", Comparator::kAtLeast}};
  const Offset offset = stream_.offset();
  ExpressionPtr first = sum();
  int highest = height(first);
  std::vector<std::pair<Comparator, ExpressionPtr>> rest;
  while (first) {
    const auto* symbol =
        std::find_if(std::begin(kComparators), std::end(kComparators), [&](const auto& c) { return stream_.is_operator(c.first); });
    Comparator comparator = Comparator::kIn;
    if (symbol != std::end(kComparators)) {
      comparator = symbol->second;
    } else if (stream_.is_name("not") && stream_.is_name("in", 1)) {
      stream_.take();
      comparator = Comparator::kNotIn;
    } else if (!stream_.is_name("in")) {
      break;
    }
    stream_.take();
    ExpressionPtr operand = sum();
    if (!operand) return nullptr;
    highest = std::max(highest, height(operand));
    rest.emplace_back(comparator, std::move(operand));
  }
  if (rest.empty()) return first;
  return make(offset, highest, ComparisonExpression{std::move(first), std::move(rest)});
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = concatenation();
  while (left && (stream_.is_operator("+") || stream_.is_operator("-"))) {
    const Token token = stream_.take();
    ExpressionPtr right = concatenation();
    const int highest = std::max(height(left), height(right));
    const BinaryOperator op = token.text == "+" ? BinaryOperator::kAdd : BinaryOperator::kSubtract;
    left = make(token.offset, highest, BinaryExpression{op, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr ExpressionParser::concatenation() {
  const Offset offset = stream_.offset();
  ExpressionPtr first = product();
  if (!first || !stream_.is_operator("~")) return first;
  int highest = height(first);
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(first));
  while (stream_.take_operator("~")) {
    parts.push_back(product());
    if (!parts.back()) return nullptr;
    highest = std::max(highest, height(parts.back()));
  }
  return make(offset, highest, ConcatenationExpression{std::move(parts)});
}

ExpressionPtr ExpressionParser::product() {
  constexpr std::pair<std::string_view, BinaryOperator> kOperators[] = {{"*", BinaryOperator::kMultiply},
                                                                        {"/", BinaryOperator::kDivide},
                                                                        {"//", BinaryOperator::kFloorDivide},
                                                                        {"%", BinaryOperator::kModulo}};
  ExpressionPtr left = power();
  while (left) {
    const auto* symbol =
        std::find_if(std::begin(kOperators), std::end(kOperators), [&](const auto& o) { return stream_.is_operator(o.first); });
    if (symbol == std::end(kOperators)) break;
    const Offset offset = stream_.take().offset;
    ExpressionPtr right = power();
    const int highest = std::max(height(left), height(right));
    left = make(offset, highest, BinaryExpression{symbol->second, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary(true);
  while (left && stream_.is_operator("**")) {
    const Offset offset = stream_.take().offset;
    ExpressionPtr right = unary(true);
    const int highest = std::max(height(left), height(right));
    left = make(offset, highest, BinaryExpression{BinaryOperator::kPower, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  ExpressionPtr value;
  if (stream_.is_operator("-") || stream_.is_operator("+")) {
    const TokenStream::Level level(stream_);
    const Token sign = stream_.take();
    ExpressionPtr operand = stream_.failed() ? nullptr : unary(false);
    const int highest = height(operand);
    value =
        make(sign.offset, highest, UnaryExpression{sign.text == "-" ? UnaryOperator::kMinus : UnaryOperator::kPlus, std::move(operand)});
  } else {
    value = primary();
  }
  if (value) value = postfix(std::move(value));
  if (value && with_filters) value = filters_and_tests(std::move(value));
  return value;
}

ExpressionPtr ExpressionParser::primary() {
  switch (stream_.peek().kind) {
    case TokenKind::kName: return name();
    case TokenKind::kString: return string();
    case TokenKind::kInteger:
    case TokenKind::kFloat: return number();
    default: break;
  }
  if (stream_.is_operator("(")) return parenthesised();
  if (stream_.is_operator("[")) return list();
  if (stream_.is_operator("{")) return dict();
  stream_.unexpected("an expression");
  return nullptr;
}

ExpressionPtr ExpressionParser::name() {
  const Token token = stream_.take();
  const std::string& text = token.text;
  if (text == "true" || text == "True") return make(token.offset, 0, Literal{Value::boolean(true)});
  if (text == "false" || text == "False") return make(token.offset, 0, Literal{Value::boolean(false)});
  if (text == "none" || text == "None") return make(token.offset, 0, Literal{Value::none()});
  stream_.uses_varargs = stream_.uses_varargs || text == "varargs";
  stream_.uses_kwargs = stream_.uses_kwargs || text == "kwargs";
  stream_.uses_caller = stream_.uses_caller || text == "caller";
  return make(token.offset, 0, NameExpression{stream_.intern(text)});
}

ExpressionPtr ExpressionParser::string() {
  Token token = stream_.take();
  while (stream_.is(TokenKind::kString)) token.text += stream_.take().text;
  return make(token.offset, 0, Literal{Value::string(std::move(token.text))});
}

ExpressionPtr ExpressionParser::number() {
  const Token token = stream_.take();
  if (token.kind == TokenKind::kFloat) return make(token.offset, 0, Literal{Value::real(parse_real(token.text).value_or(0))});
  const auto integer = parse_integer(token.text);
  if (!integer) {
    stream_.fail(token.offset, join_text("the integer ", token.text, " does not fit 64 bits"));
    return nullptr;
  }
  return make(token.offset, 0, Literal{Value::integer(*integer)});
}

bool ExpressionParser::at_expression_end(std::string_view stop_name) const {
  return stream_.is(TokenKind::kPrintEnd) || stream_.is(TokenKind::kBlockEnd) || stream_.is(TokenKind::kEnd) || stream_.is_operator(")") ||
         (!stop_name.empty() && stream_.is_name(stop_name));
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional, std::string_view stop_name) {
  const Offset offset = stream_.offset();
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
  int highest = 0;
  while (!at_expression_end(stop_name)) {
    items.push_back(expression(with_conditional));
    if (!items.back()) return nullptr;
    highest = std::max(highest, height(items.back()));
    if (!stream_.take_operator(",")) break;
    is_tuple = true;
  }
  if (items.empty()) {
    stream_.unexpected("an expression");
    return nullptr;
  }
  if (!is_tuple) return std::move(items.front());
  return make(offset, highest, SequenceExpression{std::move(items), SequenceType::kTuple});
}

ExpressionPtr ExpressionParser::parenthesised() {
  const Offset offset = stream_.take().offset;
  if (stream_.take_operator(")")) return make(offset, 0, SequenceExpression{{}, SequenceType::kTuple});
  ExpressionPtr inside = tuple(true);
  return inside && stream_.expect_operator(")") ? std::move(inside) : nullptr;
}

ExpressionPtr ExpressionParser::list() {
  const Offset offset = stream_.take().offset;
  std::vector<ExpressionPtr> items;
  int highest = 0;
  while (!stream_.is_operator("]")) {
    if (!items.empty() && !stream_.expect_operator(",")) return nullptr;
    if (stream_.is_operator("]")) break;
    items.push_back(expression());
    if (!items.back()) return nullptr;
    highest = std::max(highest, height(items.back()));
  }
  stream_.take();
  return make(offset, highest, SequenceExpression{std::move(items), SequenceType::kList});
}

ExpressionPtr ExpressionParser::dict() {
  const Offset offset = stream_.take().offset;
  DictExpression node;
  int highest = 0;
  while (!stream_.is_operator("}")) {
    if (!node.entries.empty() && !stream_.expect_operator(",")) return nullptr;
    if (stream_.is_operator("}")) break;
    ExpressionPtr key = expression();
    if (!key || !stream_.expect_operator(":")) return nullptr;
    ExpressionPtr value = expression();
    if (!value) return nullptr;
    highest = std::max({highest, height(key), height(value)});
    node.entries.emplace_back(std::move(key), std::move(value));
  }
  stream_.take();
  return make(offset, highest, std::move(node));
}

ExpressionPtr ExpressionParser::call() {
  ExpressionPtr value = primary();
  return value ? postfix(std::move(value)) : nullptr;
}

}  // namespace tessera::jinja

// Owns the evaluation of expressions.
#include <algorithm>

#include "core/text/jinja/interpreter.h"

namespace tessera::jinja {

Result<Value> Interpreter::evaluate(const Expression& expression) {
  if (depth_ >= runtime_.budget.limits().evaluation_depth) {
    runtime_.budget.exhaust(join_text("blocks and calls nested more than ", runtime_.budget.limits().evaluation_depth, " deep"));
  }
  if (!runtime_.budget.charge(1)) return located(expression.offset, runtime_.budget.error());
  ++depth_;
  Result<Value> value = std::visit([&](const auto& node) { return compute(node, expression.offset); }, expression.node);
  --depth_;
  return value;
}

Result<Value> Interpreter::evaluate_or_missing(const ExpressionPtr& expression) { return expression ? evaluate(*expression) : Value(); }

Result<Value> Interpreter::look_up(NameId id) const {
  for (const Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    if (!charge_scope(*scope)) break;
    for (const auto& [name, value] : scope->variables) {
      if (name == id) return value;
    }
  }
  if (!globals_[id].is_missing()) return globals_[id];
  return make_undefined(runtime_.budget, join_text("'", shown(tree_.names[id]), "' is undefined"));
}

Result<Value> Interpreter::compute(const Literal& node, Offset) { return node.value; }

Result<Value> Interpreter::compute(const NameExpression& node, Offset) { return look_up(node.id); }

Result<Value> Interpreter::compute(const SequenceExpression& node, Offset at) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const auto& part : node.items) {
    Result<Value> item = evaluate(*part);
    if (!item) return item;
    items.push_back(std::move(*item));
  }
  return at_position<Value>(at, make_sequence(runtime_.budget, std::move(items), node.type));
}

Result<Value> Interpreter::compute(const DictExpression& node, Offset at) {
  DictData entries;
  for (const auto& [key_node, value_node] : node.entries) {
    Result<Value> key = evaluate(*key_node);
    if (!key) return key;
    Result<Value> value = evaluate(*value_node);
    if (!value) return value;
    if (!entries.set(runtime_.budget, *key, std::move(*value))) {
      return at_position<Value>(key_node->offset, failure("unhashable type: '", type_name(*key), "'"));
    }
  }
  return at_position<Value>(at, make_dict(runtime_.budget, std::move(entries)));
}

Result<Value> Interpreter::compute(const UnaryExpression& node, Offset at) {
  Result<Value> operand = evaluate(*node.operand);
  if (!operand) return operand;
  if (node.op == UnaryOperator::kNot) return Value::boolean(!operand->truthy());
  return at_position(at, node.op == UnaryOperator::kMinus ? negate(*operand) : plus(*operand));
}

Result<Value> Interpreter::compute(const BinaryExpression& node, Offset at) {
  Result<Value> left = evaluate(*node.left);
  if (!left) return left;
  Result<Value> right = evaluate(*node.right);
  if (!right) return right;
  return at_position(at, binary(runtime_, node.op, *left, *right));
}

Result<Value> Interpreter::compute(const LogicExpression& node, Offset) {
  Result<Value> left = evaluate(*node.left);
  if (!left || left->truthy() != node.is_and) return left;
  return evaluate(*node.right);
}

Result<bool> Interpreter::compare(Comparator comparator, const Value& left, const Value& right) {
  Budget& budget = runtime_.budget;
  switch (comparator) {
    case Comparator::kEqual: return equals(budget, left, right);
    case Comparator::kUnequal: return !equals(budget, left, right);
    case Comparator::kIn: return contains(budget, right, left);
    case Comparator::kNotIn: {
      Result<bool> found = contains(budget, right, left);
      if (!found) return found;
      return !*found;
    }
    default: break;
  }
  constexpr std::string_view kSymbols[] = {"<", "<=", ">", ">="};
  const std::string_view symbol = kSymbols[static_cast<size_t>(comparator) - static_cast<size_t>(Comparator::kLess)];
  Result<std::partial_ordering> compared = order(budget, left, right, symbol);
  if (!compared) return compared.error();
  if (comparator == Comparator::kLess) return *compared < 0;
  if (comparator == Comparator::kAtMost) return *compared <= 0;
  return comparator == Comparator::kGreater ? *compared > 0 : *compared >= 0;
}

Result<Value> Interpreter::compute(const ComparisonExpression& node, Offset at) {
  Result<Value> left = evaluate(*node.first);
  for (const auto& [comparator, operand] : node.rest) {
    if (!left) return left;
    Result<Value> right = evaluate(*operand);
    if (!right) return right;
    Result<bool> holds = at_position(at, compare(comparator, *left, *right));
    if (!holds) return holds.error();
    if (!*holds) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Result<Value> Interpreter::compute(const ConcatenationExpression& node, Offset at) {
  std::string text;
  for (const auto& part : node.parts) {
    Result<Value> value = evaluate(*part);
    if (!value) return value;
    if (value->is_string()) {
      text += value->text();
    } else {
      text += to_str(runtime_.budget, *value);
    }
    if (text.size() > runtime_.budget.limits().text_bytes) break;  // make_string reports it
  }
  return at_position<Value>(at, make_string(runtime_.budget, std::move(text)));
}

Result<Value> Interpreter::compute(const ConditionalExpression& node, Offset) {
  Result<Value> test = evaluate(*node.test);
  if (!test) return test;
  if (test->truthy()) return evaluate(*node.then);
  if (node.otherwise) return evaluate(*node.otherwise);
  return Value::undefined("the inline if-expression evaluated to false and no else section was defined.");
}

Result<Value> Interpreter::compute(const AttributeExpression& node, Offset at) {
  Result<Value> object = evaluate(*node.object);
  if (!object) return object;
  return at_position(at, attribute(runtime_.budget, *object, node.name));
}

Result<Value> Interpreter::compute(const SubscriptExpression& node, Offset at) {
  Result<Value> object = evaluate(*node.object);
  if (!object) return object;
  Result<Value> index = evaluate(*node.index);
  if (!index) return index;
  return at_position(at, subscript(runtime_.budget, *object, *index));
}

Result<Value> Interpreter::compute(const SliceExpression& node, Offset at) {
  Result<Value> object = evaluate(*node.object);
  if (!object) return object;
  Result<Value> start = evaluate_or_missing(node.start);
  if (!start) return start;
  Result<Value> stop = evaluate_or_missing(node.stop);
  if (!stop) return stop;
  Result<Value> step = evaluate_or_missing(node.step);
  if (!step) return step;
  return at_position(at, slice(runtime_.budget, *object, *start, *stop, *step));
}

Result<Value> Interpreter::compute(const CallExpression& node, Offset at) {
  Result<Value> callee = evaluate(*node.callee);
  if (!callee) return callee;
  Result<Arguments> arguments = evaluate_arguments(node.arguments, at);
  if (!arguments) return arguments.error();
  return invoke(*callee, std::move(*arguments), at);
}

Result<Value> Interpreter::compute(const FilterExpression& node, Offset at) {
  Result<Value> input = node.input ? evaluate(*node.input) : filter_input_;
  if (!input) return input;
  if (!node.filter) return located(at, failure("No filter named '", node.name, "' found."));
  Result<Arguments> arguments = evaluate_arguments(node.arguments, at);
  if (!arguments) return arguments.error();
  return at_position(at, call_builtin(*node.filter, runtime_, *input, std::move(*arguments)));
}

Result<Value> Interpreter::compute(const TestExpression& node, Offset at) {
  Result<Value> input = evaluate(*node.input);
  if (!input) return input;
  if (!node.test) return located(at, failure("No test named '", node.name, "' found."));
  Result<Arguments> arguments = evaluate_arguments(node.arguments, at);
  if (!arguments) return arguments.error();
  return at_position(at, call_builtin(*node.test, runtime_, *input, std::move(*arguments)));
}

}  // namespace tessera::jinja

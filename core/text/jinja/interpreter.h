// Owns the execution of a syntax tree: one Interpreter per rendering.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/text/jinja/ast.h"
#include "core/text/jinja/builtin.h"
#include "core/text/jinja/loop.h"

namespace tessera::jinja {

/// Variables of a block. Assignments go to the innermost scope, look-ups go outwards.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<NameId, Value>> variables;
};

/// Walks the tree. An error that leaves evaluate() or run() has its position already.
class Interpreter {
 public:
  Interpreter(const SyntaxTree& tree, Runtime& runtime) : tree_(tree), runtime_(runtime), scope_(std::make_shared<Scope>()) {}
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  /// The text the template makes of `variables` (an object). Call once.
  Result<std::string> render(const nlohmann::ordered_json& variables);

 private:
  enum class Flow : uint8_t { kNormal, kBreak, kContinue };

  // Statements.
  Result<Flow> run(const Body& body);
  Result<Flow> run_scoped(const Body& body);
  Result<Flow> execute(const TextStatement& node, Offset at);
  Result<Flow> execute(const PrintStatement& node, Offset at);
  Result<Flow> execute(const IfStatement& node, Offset at);
  Result<Flow> execute(const ForStatement& node, Offset at);
  Result<Flow> execute(const SetStatement& node, Offset at);
  Result<Flow> execute(const SetBlockStatement& node, Offset at);
  Result<Flow> execute(const FilterBlockStatement& node, Offset at);
  Result<Flow> execute(const MacroStatement& node, Offset at);
  Result<Flow> execute(const CallBlockStatement& node, Offset at);
  Result<Flow> execute(const WithStatement& node, Offset at);
  Result<Flow> execute(const GroupStatement& node, Offset at);
  Result<Flow> execute(const BreakStatement& node, Offset at);
  Result<Flow> execute(const ContinueStatement& node, Offset at);
  Result<void> assign(const Target& target, Value value);
  Result<std::vector<Value>> loop_items(const ForStatement& node, const Value& iterable);
  Result<Flow> run_loop(const ForStatement& node, const Value& iterable, int level);
  struct Captured {
    std::string text;
    Flow flow;  // how the body ended: where it broke off, its text is lost and the surrounding loop goes on
  };
  Result<Captured> captured(const Body& body);
  Result<void> write(const Value& value, Offset at);

  // Expressions.
  Result<Value> evaluate(const Expression& expression);
  Result<Value> evaluate_or_missing(const ExpressionPtr& expression);
  Result<Value> compute(const Literal& node, Offset at);
  Result<Value> compute(const NameExpression& node, Offset at);
  Result<Value> compute(const SequenceExpression& node, Offset at);
  Result<Value> compute(const DictExpression& node, Offset at);
  Result<Value> compute(const UnaryExpression& node, Offset at);
  Result<Value> compute(const BinaryExpression& node, Offset at);
  Result<Value> compute(const LogicExpression& node, Offset at);
  Result<Value> compute(const ComparisonExpression& node, Offset at);
  Result<Value> compute(const ConcatenationExpression& node, Offset at);
  Result<Value> compute(const ConditionalExpression& node, Offset at);
  Result<Value> compute(const AttributeExpression& node, Offset at);
  Result<Value> compute(const SubscriptExpression& node, Offset at);
  Result<Value> compute(const SliceExpression& node, Offset at);
  Result<Value> compute(const CallExpression& node, Offset at);
  Result<Value> compute(const FilterExpression& node, Offset at);
  Result<Value> compute(const TestExpression& node, Offset at);
  Result<bool> compare(Comparator comparator, const Value& left, const Value& right);
  Result<Value> look_up(NameId id) const;
  /// Pays for looking through the names of a scope, of which few have many.
  bool charge_scope(const Scope& scope) const { return runtime_.budget.charge(scope.variables.size() / 64); }
  /// Sets a variable of the innermost scope.
  void define(NameId id, Value value);

  // Calls.
  Result<Arguments> evaluate_arguments(const ArgumentExpressions& node, Offset at);
  Result<Value> invoke(const Value& callee, Arguments arguments, Offset at);
  Result<Value> invoke_macro(const FunctionData& function, Arguments arguments, Offset at);
  Result<void> bind_parameters(const MacroDefinition& macro, Arguments arguments, Offset at);
  Result<Value> invoke_loop(LoopData& loop, const Arguments& arguments, Offset at);

  Error located(Offset at, Error error) const { return located_error(tree_.source, at, std::move(error)); }
  /// Adds the position to an error of a leaf function; also reports an exhausted budget.
  template <class T>
  Result<T> at_position(Offset at, Result<T> result) const {
    if (runtime_.budget.exhausted()) return located(at, runtime_.budget.error());
    if (!result) return located(at, result.error());
    return result;
  }

  /// Goes into a new scope (inside `parent`) while alive.
  class Enter {
   public:
    Enter(Interpreter& interpreter, std::shared_ptr<Scope> parent)
        : interpreter_(interpreter), outer_(std::exchange(interpreter.scope_, std::make_shared<Scope>(Scope{std::move(parent), {}}))) {}
    explicit Enter(Interpreter& interpreter) : Enter(interpreter, interpreter.scope_) {}
    ~Enter() { interpreter_.scope_ = std::move(outer_); }
    Enter(const Enter&) = delete;
    Enter& operator=(const Enter&) = delete;

   private:
    Interpreter& interpreter_;
    std::shared_ptr<Scope> outer_;
  };

  const SyntaxTree& tree_;
  Runtime& runtime_;
  std::shared_ptr<Scope> scope_;
  std::vector<Value> globals_;     ///< by NameId: variables of the caller, else global functions, else missing
  std::string* output_ = nullptr;  ///< of the innermost macro or captured block
  Value filter_input_;             ///< text of the filter or set block whose filters run
  int depth_ = 0;
};

}  // namespace tessera::jinja

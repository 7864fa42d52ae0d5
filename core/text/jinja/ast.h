// Owns the syntax tree of a template.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/text/jinja/builtin.h"
#include "core/text/jinja/lexer.h"
#include "core/text/jinja/operators.h"

namespace tessera::jinja {

/// Index into SyntaxTree::names.
using NameId = uint32_t;

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct ArgumentExpressions {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star;       ///< *arguments, or null
  ExpressionPtr star_star;  ///< **arguments, or null
};

// The small node types stay on one line each.
// clang-format off
struct Literal { Value value; };
struct NameExpression { NameId id; };
struct SequenceExpression { std::vector<ExpressionPtr> items; SequenceType type; };
struct DictExpression { std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries; };
enum class UnaryOperator : uint8_t { kNot, kMinus, kPlus };
struct UnaryExpression { UnaryOperator op; ExpressionPtr operand; };
struct BinaryExpression { BinaryOperator op; ExpressionPtr left; ExpressionPtr right; };
struct LogicExpression { bool is_and; ExpressionPtr left; ExpressionPtr right; };
enum class Comparator : uint8_t { kEqual, kUnequal, kLess, kAtMost, kGreater, kAtLeast, kIn, kNotIn };
/// a < b < c: each neighbouring pair must hold; an operand is evaluated once.
struct ComparisonExpression { ExpressionPtr first; std::vector<std::pair<Comparator, ExpressionPtr>> rest; };
struct ConcatenationExpression { std::vector<ExpressionPtr> parts; };
struct ConditionalExpression { ExpressionPtr test; ExpressionPtr then; ExpressionPtr otherwise; /* null: undefined */ };
struct AttributeExpression { ExpressionPtr object; std::string name; };
struct SubscriptExpression { ExpressionPtr object; ExpressionPtr index; };
/// A null bound is open.
struct SliceExpression { ExpressionPtr object; ExpressionPtr start; ExpressionPtr stop; ExpressionPtr step; };
struct CallExpression { ExpressionPtr callee; ArgumentExpressions arguments; };
/// A null input is the text of the enclosing filter or set block; a null filter is unknown and fails when reached.
struct FilterExpression { ExpressionPtr input; const Builtin* filter; std::string name; ArgumentExpressions arguments; };
struct TestExpression { ExpressionPtr input; const Builtin* test; std::string name; ArgumentExpressions arguments; };
// clang-format on

struct Expression {
  Offset offset;
  int height;  ///< of the tree from here down
  std::variant<Literal, NameExpression, SequenceExpression, DictExpression, UnaryExpression, BinaryExpression, LogicExpression,
               ComparisonExpression, ConcatenationExpression, ConditionalExpression, AttributeExpression, SubscriptExpression,
               SliceExpression, CallExpression, FilterExpression, TestExpression>
      node;
};

struct Statement;
using Body = std::vector<Statement>;

/// What an assignment writes: a name, an attribute of a namespace, or several of them.
struct Target {
  Offset offset = 0;
  NameId id = 0;
  std::string attribute;      ///< of the namespace `id`, when not empty
  std::vector<Target> items;  ///< unpacked, when not empty
};

// clang-format off
struct TextStatement { std::string text; };
struct PrintStatement { ExpressionPtr value; };
struct IfStatement { std::vector<std::pair<ExpressionPtr, Body>> branches; Body otherwise; };
struct ForStatement {
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr filter;  ///< or null
  Body body;
  Body otherwise;
  bool recursive = false;
};
struct SetStatement { Target target; ExpressionPtr value; };
/// {% set x %}…{% endset %}; `filter` is null or a chain that ends in a null input.
struct SetBlockStatement { Target target; ExpressionPtr filter; Body body; };
struct FilterBlockStatement { ExpressionPtr filter; Body body; };
struct MacroParameter { NameId id; std::string name; ExpressionPtr otherwise; /* or null */ };
struct MacroDefinition {
  std::string name;
  std::vector<MacroParameter> parameters;
  Body body;
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
};
struct MacroStatement { NameId id; std::unique_ptr<MacroDefinition> macro; };
struct CallBlockStatement { std::unique_ptr<MacroDefinition> caller; ExpressionPtr call; };
struct WithStatement { std::vector<std::pair<Target, ExpressionPtr>> assignments; Body body; };
/// {% generation %} and {% block %}: their content.
struct GroupStatement { Body body; bool has_scope; };
struct BreakStatement {};
struct ContinueStatement {};
// clang-format on

struct Statement {
  Offset offset;
  std::variant<TextStatement, PrintStatement, IfStatement, ForStatement, SetStatement, SetBlockStatement, FilterBlockStatement,
               MacroStatement, CallBlockStatement, WithStatement, GroupStatement, BreakStatement, ContinueStatement>
      node;
};

/// Names that the interpreter itself writes; the parser gives them these ids.
enum ReservedName : NameId { kLoopName, kCallerName, kVarargsName, kKwargsName };

/// A whole template. Immutable after parsing.
struct SyntaxTree {
  std::string source;  ///< normalised; offsets point into it
  std::vector<std::string> names;
  Body body;
};

}  // namespace tessera::jinja

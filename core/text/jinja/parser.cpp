// Owns the grammar of statements.
#include "core/text/jinja/parser.h"

#include <algorithm>

#include "core/text/jinja/expression_parser.h"

namespace tessera::jinja {
namespace {

class StatementParser {
 public:
  explicit StatementParser(TokenStream& stream) : stream_(stream), expressions_(stream) {}

  Body whole_template() {
    Body statements = body({});
    if (!stream_.failed() && !stream_.is(TokenKind::kEnd)) {
      stream_.fail(stream_.offset(), join_text("unknown tag '", stream_.peek(1).text, "', or one that ends no block"));
    }
    stream_.condemn_unknown_since(0);
    return statements;
  }

 private:
  /// Statements up to a tag whose name is one of `ends` (its "{%" and name are not taken), or to the end.
  Body body(std::initializer_list<std::string_view> ends) {
    Body statements;
    const TokenStream::Level level(stream_);
    while (!stream_.failed() && !stream_.is(TokenKind::kEnd)) {
      const Offset offset = stream_.offset();
      if (stream_.is(TokenKind::kText)) {
        statements.push_back({offset, TextStatement{stream_.take().text}});
      } else if (stream_.is(TokenKind::kPrintBegin)) {
        stream_.take();
        ExpressionPtr value = expressions_.tuple(true);
        if (!value || !stream_.expect(TokenKind::kPrintEnd, "'}}'")) break;
        statements.push_back({offset, PrintStatement{std::move(value)}});
      } else if (!stream_.is(TokenKind::kBlockBegin)) {
        stream_.unexpected("a tag");
      } else if (std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return stream_.is_name(end, 1); })) {
        return statements;
      } else if (!tag(statements)) {
        break;
      }
    }
    return statements;
  }

  /// A body whose unknown filters fail the parse even inside an `if`: loops, macros and captured blocks.
  Body strict_body(std::initializer_list<std::string_view> ends) {
    const size_t unknown = stream_.unknown_count();
    Body statements = body(ends);
    stream_.condemn_unknown_since(unknown);
    return statements;
  }

  bool end_of_tag() { return stream_.expect(TokenKind::kBlockEnd, "'%}'"); }

  /// "{% name %}", which body() stopped at.
  bool end_tag(std::string_view name) {
    if (stream_.failed()) return false;
    if (!stream_.is(TokenKind::kBlockBegin) || !stream_.is_name(name, 1)) {
      return stream_.fail(stream_.offset(), join_text("expected '{% ", name, " %}', found the end of the template"));
    }
    stream_.take();
    stream_.take();
    return end_of_tag();
  }

  template <class Node>
  static bool add(Body& out, Offset offset, Node node) {
    out.push_back({offset, std::move(node)});
    return true;
  }

  bool tag(Body& out) {
    const Offset offset = stream_.take().offset;
    if (!stream_.is(TokenKind::kName)) return stream_.unexpected("the name of a tag");
    const std::string name = stream_.take().text;
    if (name == "if") return if_tag(out, offset);
    if (name == "for") return for_tag(out, offset);
    if (name == "set") return set_tag(out, offset);
    if (name == "macro") return macro_tag(out, offset);
    if (name == "call") return call_tag(out, offset);
    if (name == "filter") return filter_tag(out, offset);
    if (name == "with") return with_tag(out, offset);
    if (name == "print") return print_tag(out, offset);
    if (name == "generation") return group_tag(out, offset, false);
    if (name == "block") return group_tag(out, offset, true);
    if (name == "break" || name == "continue") {
      if (loops_ == 0) return stream_.fail(offset, join_text("'", name, "' outside a loop"));
      if (!end_of_tag()) return false;
      return name == "break" ? add(out, offset, BreakStatement{}) : add(out, offset, ContinueStatement{});
    }
    constexpr std::string_view kAbsent[] = {"include", "import", "from", "extends", "autoescape", "do", "trans"};
    if (std::find(std::begin(kAbsent), std::end(kAbsent), name) != std::end(kAbsent)) {
      return stream_.fail(offset, join_text("the tag '", name, "' is not supported in chat templates"));
    }
    return stream_.fail(offset, join_text("unknown tag '", name, "', or one that ends no block"));
  }

  bool if_tag(Body& out, Offset offset) {
    IfStatement node;
    const size_t unknown = stream_.unknown_count();
    while (true) {
      ExpressionPtr test = expressions_.tuple(false);
      if (!test || !end_of_tag()) return false;
      Body then = body({"elif", "else", "endif"});
      node.branches.emplace_back(std::move(test), std::move(then));
      if (stream_.failed() || !stream_.is_name("elif", 1)) break;
      stream_.take();
      stream_.take();
    }
    if (!stream_.failed() && stream_.is_name("else", 1)) {
      if (!end_tag("else")) return false;
      node.otherwise = body({"endif"});
    }
    if (!end_tag("endif")) return false;
    stream_.forgive_unknown_since(unknown);
    return add(out, offset, std::move(node));
  }

  bool for_tag(Body& out, Offset offset) {
    ForStatement node;
    if (!target(node.target, "in") || !(stream_.take_name("in") || stream_.unexpected("'in'"))) return false;
    node.iterable = expressions_.tuple(false, "recursive");
    if (!node.iterable) return false;
    if (stream_.take_name("if")) {
      node.filter = expressions_.expression();
      if (!node.filter) return false;
    }
    node.recursive = stream_.take_name("recursive");
    if (!end_of_tag()) return false;
    ++loops_;
    node.body = strict_body({"endfor", "else"});
    --loops_;
    if (!stream_.failed() && stream_.is_name("else", 1)) {
      if (!end_tag("else")) return false;
      node.otherwise = strict_body({"endfor"});
    }
    return end_tag("endfor") && add(out, offset, std::move(node));
  }

  /// A name, "name.attribute", "(a, b)" or "a, b".
  bool target(Target& out, std::string_view stop_name) {
    out.offset = stream_.offset();
    std::vector<Target> items;
    bool is_tuple = false;
    do {
      if (stream_.is_operator("=") || stream_.is_operator(")") || (!stop_name.empty() && stream_.is_name(stop_name))) break;
      Target item;
      if (!single_target(item)) return false;
      items.push_back(std::move(item));
      is_tuple = is_tuple || stream_.is_operator(",");
    } while (stream_.take_operator(","));
    if (items.empty()) return stream_.unexpected("a name to assign to");
    if (is_tuple) {
      out.items = std::move(items);
    } else {
      out = std::move(items.front());
    }
    return true;
  }

  bool single_target(Target& out) {
    const TokenStream::Level level(stream_);
    if (stream_.failed()) return false;
    out.offset = stream_.offset();
    if (stream_.take_operator("(")) return target(out, {}) && stream_.expect_operator(")");
    const Token token = stream_.peek();
    if (!stream_.expect(TokenKind::kName, "a name to assign to")) return false;
    constexpr std::string_view kConstants[] = {"true", "false", "none", "True", "False", "None"};
    if (std::find(std::begin(kConstants), std::end(kConstants), token.text) != std::end(kConstants)) {
      return stream_.fail(token.offset, join_text("cannot assign to '", token.text, "'"));
    }
    out.id = stream_.intern(token.text);
    if (stream_.take_operator(".")) {
      out.attribute = stream_.peek().text;
      return stream_.expect(TokenKind::kName, "the name of an attribute");
    }
    return true;
  }

  bool set_tag(Body& out, Offset offset) {
    Target place;
    if (!target(place, {})) return false;
    if (stream_.take_operator("=")) {
      ExpressionPtr value = expressions_.tuple(true);
      if (!value || !end_of_tag()) return false;
      return add(out, offset, SetStatement{std::move(place), std::move(value)});
    }
    SetBlockStatement node{std::move(place), nullptr, {}};
    if (stream_.take_operator("|")) {
      node.filter = expressions_.filter_chain();
      if (!node.filter) return false;
    }
    if (!end_of_tag()) return false;
    node.body = strict_body({"endset"});
    return end_tag("endset") && add(out, offset, std::move(node));
  }

  /// "(a, b=1)" of a macro or call block.
  bool parameters(std::vector<MacroParameter>& out) {
    if (!stream_.expect_operator("(")) return false;
    while (!stream_.is_operator(")")) {
      if (!out.empty() && !stream_.expect_operator(",")) return false;
      if (stream_.is_operator(")")) break;
      Target name;
      if (!single_target(name)) return false;
      if (!name.attribute.empty() || !name.items.empty()) return stream_.fail(name.offset, "expected the name of a parameter");
      MacroParameter parameter{name.id, stream_.name_of(name.id), nullptr};
      if (stream_.take_operator("=")) {
        parameter.otherwise = expressions_.expression();
        if (!parameter.otherwise) return false;
      } else if (!out.empty() && out.back().otherwise) {
        return stream_.fail(name.offset, "non-default argument follows default argument");
      }
      out.push_back(std::move(parameter));
    }
    stream_.take();
    return true;
  }

  /// Parameters (if any) are parsed; reads the body and notes which of varargs, kwargs and caller it uses.
  bool macro_body(MacroDefinition& macro, std::string_view end) {
    const bool outer[] = {stream_.uses_varargs, stream_.uses_kwargs, stream_.uses_caller};
    stream_.uses_varargs = stream_.uses_kwargs = stream_.uses_caller = false;
    const int outer_loops = std::exchange(loops_, 0);
    macro.body = strict_body({end});
    loops_ = outer_loops;
    macro.uses_varargs = stream_.uses_varargs;
    macro.uses_kwargs = stream_.uses_kwargs;
    macro.uses_caller = stream_.uses_caller;
    stream_.uses_varargs = outer[0] || stream_.uses_varargs;
    stream_.uses_kwargs = outer[1] || stream_.uses_kwargs;
    stream_.uses_caller = outer[2] || stream_.uses_caller;
    return end_tag(end);
  }

  bool macro_tag(Body& out, Offset offset) {
    auto macro = std::make_unique<MacroDefinition>();
    Target name;
    if (!single_target(name)) return false;
    if (!name.attribute.empty() || !name.items.empty()) return stream_.fail(name.offset, "expected the name of a macro");
    macro->name = stream_.name_of(name.id);
    if (!parameters(macro->parameters) || !end_of_tag() || !macro_body(*macro, "endmacro")) return false;
    return add(out, offset, MacroStatement{name.id, std::move(macro)});
  }

  bool call_tag(Body& out, Offset offset) {
    CallBlockStatement node{std::make_unique<MacroDefinition>(), nullptr};
    node.caller->name = "caller";
    if (stream_.is_operator("(") && !parameters(node.caller->parameters)) return false;
    node.call = expressions_.call();
    if (!node.call) return false;
    if (!std::holds_alternative<CallExpression>(node.call->node)) return stream_.fail(node.call->offset, "expected a call");
    if (!end_of_tag() || !macro_body(*node.caller, "endcall")) return false;
    return add(out, offset, std::move(node));
  }

  bool filter_tag(Body& out, Offset offset) {
    FilterBlockStatement node;
    node.filter = expressions_.filter_chain();
    if (!node.filter || !end_of_tag()) return false;
    node.body = strict_body({"endfilter"});
    return end_tag("endfilter") && add(out, offset, std::move(node));
  }

  bool with_tag(Body& out, Offset offset) {
    WithStatement node;
    while (!stream_.is(TokenKind::kBlockEnd)) {
      if (!node.assignments.empty() && !stream_.expect_operator(",")) return false;
      Target place;
      if (!single_target(place) || !stream_.expect_operator("=")) return false;
      ExpressionPtr value = expressions_.expression();
      if (!value) return false;
      node.assignments.emplace_back(std::move(place), std::move(value));
    }
    if (!end_of_tag()) return false;
    node.body = strict_body({"endwith"});
    return end_tag("endwith") && add(out, offset, std::move(node));
  }

  bool print_tag(Body& out, Offset offset) {
    do {
      ExpressionPtr value = expressions_.expression();
      if (!value) return false;
      add(out, offset, PrintStatement{std::move(value)});
    } while (stream_.take_operator(","));
    return end_of_tag();
  }

  bool group_tag(Body& out, Offset offset, bool is_block) {
    if (is_block && !stream_.expect(TokenKind::kName, "the name of the block")) return false;
    if (is_block) stream_.take_name("scoped");  // every block is
    if (!end_of_tag()) return false;
    const std::string_view end = is_block ? "endblock" : "endgeneration";
    GroupStatement node{is_block ? strict_body({end}) : body({end}), is_block};
    if (is_block && !stream_.failed() && stream_.peek(2).kind == TokenKind::kName) {  // {% endblock name %}
      stream_.take();
      stream_.take();
      stream_.take();
      return end_of_tag() && add(out, offset, std::move(node));
    }
    return end_tag(end) && add(out, offset, std::move(node));
  }

  TokenStream& stream_;
  ExpressionParser expressions_;
  int loops_ = 0;  ///< open loops of the current macro: break and continue need one
};

}  // namespace

Result<std::unique_ptr<SyntaxTree>> parse_template(std::string_view source, const Limits& limits) {
  if (source.size() > limits.source_bytes) {
    return failure("chat template of ", source.size(), " bytes, expected at most ", limits.source_bytes);
  }
  auto tree = std::make_unique<SyntaxTree>();
  tree->source = normalized_source(source);
  Result<std::vector<Token>> tokens = tokenize_template(tree->source);
  if (!tokens) return tokens.error();
  TokenStream stream(std::move(*tokens), *tree, limits);
  tree->body = StatementParser(stream).whole_template();
  if (stream.failed()) return stream.error();
  return tree;
}

}  // namespace tessera::jinja

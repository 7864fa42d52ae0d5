// Owns the execution of statements.
#include "core/text/jinja/interpreter.h"

#include "nlohmann/json.hpp"

namespace tessera::jinja {

void Interpreter::define(NameId id, Value value) {
  if (!charge_scope(*scope_)) return;
  for (auto& [name, current] : scope_->variables) {
    if (name != id) continue;
    current = std::move(value);
    return;
  }
  scope_->variables.emplace_back(id, std::move(value));
}

Interpreter::~Interpreter() {
  // Namespaces may hold each other: emptied one by one, while all are still alive, nothing is left in a cycle or frees itself recursively.
  for (const auto& name_space : runtime_.namespaces) name_space->attributes.release();
}

Result<std::string> Interpreter::render(const nlohmann::ordered_json& variables) {
  globals_.resize(tree_.names.size());
  for (NameId id = 0; id < tree_.names.size(); ++id) {
    const std::string& name = tree_.names[id];
    const auto given = variables.is_object() ? variables.find(name) : variables.end();
    if (given != variables.end()) {
      const bool written = name == "messages" || name == "tools" || name == "documents";
      Result<Value> value = from_json(runtime_.budget, *given, written ? runtime_.written : nullptr);
      if (!value) return located(0, value.error());
      globals_[id] = std::move(*value);
    } else if (const Builtin* function = find_function(name)) {
      globals_[id] = Value::function(std::make_shared<const FunctionData>(FunctionData{name, function, {}, nullptr, {}}));
    }
  }
  Result<Captured> all = captured(tree_.body);
  if (!all) return all.error();
  return std::move(all->text);
}

Result<Interpreter::Flow> Interpreter::run(const Body& body) {
  if (depth_ >= runtime_.budget.limits().evaluation_depth) {
    runtime_.budget.exhaust(join_text("blocks and calls nested more than ", runtime_.budget.limits().evaluation_depth, " deep"));
  }
  ++depth_;
  Result<Flow> flow = Flow::kNormal;
  for (const Statement& statement : body) {
    if (!runtime_.budget.charge(1)) {
      flow = located(statement.offset, runtime_.budget.error());
      break;
    }
    flow = std::visit([&](const auto& node) { return execute(node, statement.offset); }, statement.node);
    if (!flow || *flow != Flow::kNormal) break;
  }
  --depth_;
  return flow;
}

Result<Interpreter::Flow> Interpreter::run_scoped(const Body& body) {
  const Enter scope(*this);
  return run(body);
}

Result<Interpreter::Captured> Interpreter::captured(const Body& body) {
  std::string text;
  std::string* const outer = std::exchange(output_, &text);
  Result<Flow> flow = run(body);
  output_ = outer;
  if (!flow) return flow.error();
  return Captured{std::move(text), *flow};
}

Result<void> Interpreter::write(const Value& value, Offset at) {
  const size_t most = runtime_.budget.limits().text_bytes;
  if (value.is_string()) {
    runtime_.budget.charge_bytes(value.text().size());
    if (output_->size() + value.text().size() <= most)
      output_->append(value.text());
    else
      runtime_.budget.charge_text(output_->size() + value.text().size());
  } else if (!value.is_undefined()) {
    output_->append(to_str(runtime_.budget, value));
    if (output_->size() > most) runtime_.budget.charge_text(output_->size());
  }
  if (runtime_.budget.exhausted()) return located(at, runtime_.budget.error());
  return {};
}

Result<Interpreter::Flow> Interpreter::execute(const TextStatement& node, Offset at) {
  if (output_->size() + node.text.size() > runtime_.budget.limits().text_bytes)
    runtime_.budget.charge_text(output_->size() + node.text.size());
  if (!runtime_.budget.charge_bytes(node.text.size())) return located(at, runtime_.budget.error());
  output_->append(node.text);
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::execute(const PrintStatement& node, Offset at) {
  Result<Value> value = evaluate(*node.value);
  if (!value) return value.error();
  Result<void> written = write(*value, at);
  if (!written) return written.error();
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::execute(const IfStatement& node, Offset) {
  for (const auto& [test, body] : node.branches) {
    Result<Value> answer = evaluate(*test);
    if (!answer) return answer.error();
    if (answer->truthy()) return run(body);
  }
  return run(node.otherwise);
}

Result<Interpreter::Flow> Interpreter::execute(const ForStatement& node, Offset) {
  Result<Value> iterable = evaluate(*node.iterable);
  if (!iterable) return iterable.error();
  return run_loop(node, *iterable, 0);
}

Result<std::vector<Value>> Interpreter::loop_items(const ForStatement& node, const Value& iterable) {
  Result<std::vector<Value>> items = at_position(node.iterable->offset, iterate(runtime_.budget, iterable));
  if (!items || !node.filter) return items;
  std::vector<Value> kept;
  for (Value& item : *items) {
    const Enter scope(*this);
    Result<void> assigned = assign(node.target, item);
    if (!assigned) return assigned.error();
    Result<Value> wanted = evaluate(*node.filter);
    if (!wanted) return wanted.error();
    if (wanted->truthy()) kept.push_back(std::move(item));
  }
  return kept;
}

Result<Interpreter::Flow> Interpreter::run_loop(const ForStatement& node, const Value& iterable, int level) {
  Result<std::vector<Value>> items = loop_items(node, iterable);
  if (!items) return items.error();
  if (items->empty()) return run_scoped(node.otherwise);
  const auto loop = std::make_shared<LoopData>();
  loop->items = std::move(*items);
  loop->level = level;
  if (node.recursive) loop->statement = &node;
  loop->scope = scope_;
  for (const Value& item : loop->items) loop->depth = std::max(loop->depth, depth_of(item) + 1);
  if (loop->depth > runtime_.budget.limits().value_depth) runtime_.budget.exhaust("loops kept inside each other's items");
  Result<Flow> flow = Flow::kNormal;
  bool completed = false;  // Jinja2 runs `else` unless one iteration came to its end, with neither break nor continue
  for (; loop->index < loop->items.size(); ++loop->index) {
    const Enter scope(*this);
    define(kLoopName, Value::loop(loop));
    Result<void> assigned = assign(node.target, loop->items[loop->index]);
    flow = assigned ? run(node.body) : Result<Flow>(assigned.error());
    if (!flow || *flow == Flow::kBreak) break;
    completed = completed || *flow == Flow::kNormal;
  }
  loop->last_changed.clear();  // it could hold the loop itself
  if (!flow) return flow;
  return completed ? Result<Flow>(Flow::kNormal) : run_scoped(node.otherwise);
}

Result<void> Interpreter::assign(const Target& target, Value value) {
  if (!target.items.empty()) {
    Result<std::vector<Value>> parts = at_position(target.offset, iterate(runtime_.budget, value));
    if (!parts) return parts.error();
    const std::string wanted = join_text("(expected ", target.items.size());
    if (parts->size() < target.items.size()) {
      return located(target.offset, failure("not enough values to unpack ", wanted, ", got ", parts->size(), ")"));
    }
    if (parts->size() > target.items.size()) return located(target.offset, failure("too many values to unpack ", wanted, ")"));
    for (size_t i = 0; i < target.items.size(); ++i) {
      Result<void> assigned = assign(target.items[i], (*parts)[i]);
      if (!assigned) return assigned;
    }
    return {};
  }
  if (target.attribute.empty()) {
    define(target.id, std::move(value));
    return {};
  }
  Result<Value> object = look_up(target.id);
  if (!object) return object.error();
  if (!object->is(Kind::kNamespace)) return located(target.offset, failure("cannot assign attribute on non-namespace object"));
  object->as_namespace().attributes.set(runtime_.budget, Value::string(target.attribute), std::move(value));
  return {};
}

Result<Interpreter::Flow> Interpreter::execute(const SetStatement& node, Offset) {
  Result<Value> value = evaluate(*node.value);
  if (!value) return value.error();
  Result<void> assigned = assign(node.target, std::move(*value));
  if (!assigned) return assigned.error();
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::execute(const SetBlockStatement& node, Offset) {
  Result<Captured> part = Captured{};
  {
    const Enter scope(*this);
    part = captured(node.body);
  }
  if (!part) return part.error();
  if (part->flow != Flow::kNormal) return part->flow;
  Value value = Value::string(std::move(part->text));
  if (node.filter) {
    filter_input_ = std::move(value);
    Result<Value> filtered = evaluate(*node.filter);
    if (!filtered) return filtered.error();
    value = std::move(*filtered);
  }
  Result<void> assigned = assign(node.target, std::move(value));
  if (!assigned) return assigned.error();
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::execute(const FilterBlockStatement& node, Offset at) {
  const Enter scope(*this);
  Result<Captured> part = captured(node.body);
  if (!part) return part.error();
  if (part->flow != Flow::kNormal) return part->flow;
  filter_input_ = Value::string(std::move(part->text));
  Result<Value> value = evaluate(*node.filter);
  if (!value) return value.error();
  Result<void> written = write(*value, at);
  if (!written) return written.error();
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::execute(const MacroStatement& node, Offset) {
  runtime_.budget.charge_bytes(node.macro->name.size());
  define(node.id,
         Value::function(std::make_shared<const FunctionData>(FunctionData{node.macro->name, nullptr, {}, node.macro.get(), scope_})));
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::execute(const CallBlockStatement& node, Offset at) {
  const auto& call = *std::get_if<CallExpression>(&node.call->node);
  Result<Value> callee = evaluate(*call.callee);
  if (!callee) return callee.error();
  Result<Arguments> arguments = evaluate_arguments(call.arguments, at);
  if (!arguments) return arguments.error();
  const FunctionData caller{node.caller->name, nullptr, {}, node.caller.get(), scope_};
  arguments->named.emplace_back("caller", Value::function(std::make_shared<const FunctionData>(caller)));
  Result<Value> value = invoke(*callee, std::move(*arguments), at);
  if (!value) return value.error();
  Result<void> written = write(*value, at);
  if (!written) return written.error();
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::execute(const WithStatement& node, Offset) {
  std::vector<Value> values;
  for (const auto& assignment : node.assignments) {
    Result<Value> value = evaluate(*assignment.second);
    if (!value) return value.error();
    values.push_back(std::move(*value));
  }
  const Enter scope(*this);
  for (size_t i = 0; i < values.size(); ++i) {
    Result<void> assigned = assign(node.assignments[i].first, std::move(values[i]));
    if (!assigned) return assigned.error();
  }
  return run(node.body);
}

Result<Interpreter::Flow> Interpreter::execute(const GroupStatement& node, Offset) {
  return node.has_scope ? run_scoped(node.body) : run(node.body);
}

Result<Interpreter::Flow> Interpreter::execute(const BreakStatement&, Offset) { return Flow::kBreak; }
Result<Interpreter::Flow> Interpreter::execute(const ContinueStatement&, Offset) { return Flow::kContinue; }

}  // namespace tessera::jinja

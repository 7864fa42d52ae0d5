// Owns calls: arguments, macros, bound methods and recursive loops.
#include <algorithm>

#include "core/text/jinja/interpreter.h"

namespace tessera::jinja {

Result<Arguments> Interpreter::evaluate_arguments(const ArgumentExpressions& node, Offset at) {
  Arguments out;
  for (const auto& expression : node.positional) {
    Result<Value> value = evaluate(*expression);
    if (!value) return value.error();
    out.positional.push_back(std::move(*value));
  }
  for (const auto& [name, expression] : node.named) {
    Result<Value> value = evaluate(*expression);
    if (!value) return value.error();
    out.named.emplace_back(name, std::move(*value));
  }
  if (node.star) {
    Result<Value> value = evaluate(*node.star);
    if (!value) return value.error();
    Result<std::vector<Value>> items = at_position(at, iterate(runtime_.budget, *value));
    if (!items) return items.error();
    out.positional.insert(out.positional.end(), items->begin(), items->end());
  }
  if (node.star_star) {
    Result<Value> value = evaluate(*node.star_star);
    if (!value) return value.error();
    if (!value->is(Kind::kDict)) return located(at, failure("argument after ** must be a mapping, not ", type_name(*value)));
    for (const auto& [key, item] : value->as_dict().entries()) {
      if (!key.is_string()) return located(at, failure("keywords must be strings"));
      out.named.emplace_back(key.text(), item);
    }
  }
  if (!runtime_.budget.charge_bytes(out.bytes())) return located(at, runtime_.budget.error());
  return out;
}

Result<Value> Interpreter::invoke(const Value& callee, Arguments arguments, Offset at) {
  if (callee.is(Kind::kLoop)) return invoke_loop(callee.as_loop(), arguments, at);
  if (callee.is_undefined()) return located(at, failure(callee.undefined_reason()));
  if (!callee.is(Kind::kFunction)) return located(at, failure("'", type_name(callee), "' object is not callable"));
  const FunctionData& function = callee.as_function();
  if (function.macro) return invoke_macro(function, std::move(arguments), at);
  if (function.self.is_string()) runtime_.budget.charge_bytes(function.self.text().size());  // methods of str read all of it
  return at_position(at, call_builtin(*function.builtin, runtime_, function.self, std::move(arguments)));
}

Result<Value> Interpreter::invoke_macro(const FunctionData& function, Arguments arguments, Offset at) {
  std::shared_ptr<Scope> parent = function.scope.lock();
  if (!parent) return located(at, failure("macro '", function.name, "' is called after the block that defines it has ended"));
  const Enter scope(*this, std::move(parent));
  Result<void> bound = bind_parameters(*function.macro, std::move(arguments), at);
  if (!bound) return bound.error();
  Result<Captured> part = captured(function.macro->body);
  if (!part) return part.error();
  return at_position<Value>(at, make_string(runtime_.budget, std::move(part->text)));
}

namespace {

/// Removes and returns a named argument; missing when it was not given.
Value take_named(Budget& budget, Arguments& arguments, std::string_view name) {
  Value value;
  if (!budget.charge(arguments.named.size())) return value;
  for (size_t i = 0; i < arguments.named.size(); ++i) {
    if (arguments.named[i].first != name) continue;
    value = arguments.named[i].second;
    arguments.named.erase(arguments.named.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  return value;
}

}  // namespace

/// Sets the parameters in the current scope, as jinja2.runtime.Macro does.
Result<void> Interpreter::bind_parameters(const MacroDefinition& macro, Arguments arguments, Offset at) {
  const size_t positional = std::min(arguments.positional.size(), macro.parameters.size());
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const MacroParameter& parameter = macro.parameters[i];
    define(parameter.id, i < positional ? arguments.positional[i] : take_named(runtime_.budget, arguments, parameter.name));
  }
  const bool has_own = std::any_of(macro.parameters.begin(), macro.parameters.end(), [](const auto& p) { return p.id == kCallerName; });
  if (macro.uses_caller && !has_own) {
    Value caller = take_named(runtime_.budget, arguments, "caller");
    define(kCallerName, caller.is_missing() ? Value::undefined("No caller defined") : std::move(caller));
  }
  if (macro.uses_kwargs) {
    DictData entries;
    for (auto& [name, value] : arguments.named) entries.set(runtime_.budget, Value::string(name), std::move(value));
    define(kKwargsName, make_dict(runtime_.budget, std::move(entries)));
  } else if (!arguments.named.empty()) {
    if (arguments.named.front().first == "caller") {
      return located(at, failure("macro '", macro.name,
                                 "' was invoked with two values for the special caller argument. "
                                 "This is most likely a bug."));
    }
    return located(at, failure("macro '", macro.name, "' takes no keyword argument '", arguments.named.front().first, "'"));
  }
  if (macro.uses_varargs) {
    const auto first = arguments.positional.begin() + static_cast<std::ptrdiff_t>(positional);
    define(kVarargsName, make_sequence(runtime_.budget, std::vector<Value>(first, arguments.positional.end()), SequenceType::kTuple));
  } else if (arguments.positional.size() > macro.parameters.size()) {
    return located(at, failure("macro '", macro.name, "' takes not more than ", macro.parameters.size(), " argument(s)"));
  }
  for (const MacroParameter& parameter : macro.parameters) {
    Result<Value> value = look_up(parameter.id);
    if (!value || !value->is_missing()) continue;
    Result<Value> otherwise = parameter.otherwise
                                  ? evaluate(*parameter.otherwise)
                                  : make_undefined(runtime_.budget, join_text("parameter '", shown(parameter.name), "' was not provided"));
    if (!otherwise) return otherwise.error();
    define(parameter.id, std::move(*otherwise));
  }
  return {};
}

Result<Value> Interpreter::invoke_loop(LoopData& loop, const Arguments& arguments, Offset at) {
  if (!loop.statement) {
    return located(at, failure("The loop must have the 'recursive' marker to be called recursively."));
  }
  std::shared_ptr<Scope> parent = loop.scope.lock();
  if (!parent || arguments.positional.size() != 1 || !arguments.named.empty()) {
    return located(at, failure("loop() takes one argument, inside the loop"));
  }
  const Enter scope(*this, std::move(parent));
  std::string text;
  std::string* const outer = std::exchange(output_, &text);
  Result<Flow> flow = run_loop(*loop.statement, arguments.positional[0], loop.level + 1);
  output_ = outer;
  if (!flow) return flow.error();
  return at_position<Value>(at, make_string(runtime_.budget, std::move(text)));
}

}  // namespace tessera::jinja

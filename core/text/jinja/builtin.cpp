// Owns how arguments meet a built-in's parameters, and the look-up of filters.
#include "core/text/jinja/builtin.h"

#include <algorithm>

#include "core/text/jinja/filters.h"

namespace tessera::jinja {
namespace {

std::vector<std::string_view> split_parameters(std::string_view text) {
  std::vector<std::string_view> names;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    names.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return names;
}

Result<Arguments> bind(const Builtin& builtin, Arguments given) {
  const std::string name(builtin.name);
  const std::vector<std::string_view> parameters = split_parameters(builtin.parameters);
  if (given.positional.size() > parameters.size()) {
    return failure(name, " takes at most ", parameters.size(), " arguments, found ", given.positional.size());
  }
  Arguments bound{std::move(given.positional), {}};
  bound.positional.resize(parameters.size());
  const auto bare = [](std::string_view parameter) { return parameter.substr(0, parameter.size() - (parameter.ends_with('?') ? 1 : 0)); };
  for (auto& [key, value] : given.named) {
    const auto match =
        std::find_if(parameters.begin(), parameters.end(), [&](std::string_view parameter) { return bare(parameter) == key; });
    if (match == parameters.end()) return failure(name, " got an unexpected keyword argument '", key, "'");
    Value& place = bound.positional[static_cast<size_t>(match - parameters.begin())];
    if (!place.is_missing()) return failure(name, " got multiple values for argument '", key, "'");
    place = std::move(value);
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (bound.positional[i].is_missing() && !parameters[i].ends_with('?')) {
      return failure(name, " misses its argument '", std::string(parameters[i]), "'");
    }
  }
  return bound;
}

}  // namespace

const Builtin* find_filter(std::string_view name) {
  for (const auto table : {text_filters(), value_filters(), sequence_filters(), layout_filters()}) {
    const auto found = std::find_if(table.begin(), table.end(), [&](const Builtin& filter) { return filter.name == name; });
    if (found != table.end()) return &*found;
  }
  return nullptr;
}

Result<Value> call_builtin(const Builtin& builtin, Runtime& runtime, const Value& self, Arguments arguments) {
  if (builtin.parameters != "*") {
    Result<Arguments> bound = bind(builtin, std::move(arguments));
    if (!bound) return bound.error();
    arguments = std::move(*bound);
  }
  Call call{runtime, self, std::move(arguments)};
  Result<Value> result = builtin.function(call);
  if (runtime.budget.exhausted()) return runtime.budget.error();
  return result;
}

Result<int64_t> integer_argument(const Call& call, size_t index, int64_t otherwise) {
  if (!call.given(index)) return otherwise;
  if (call[index].is_integral()) return call[index].as_integer();
  if (call[index].is_undefined()) return failure(call[index].undefined_reason());
  return failure("'", type_name(call[index]), "' object cannot be interpreted as an integer");
}

Result<int64_t> integer_or_none(const Call& call, size_t index, int64_t otherwise) {
  return call.given(index) && call[index].is(Kind::kNone) ? otherwise : integer_argument(call, index, otherwise);
}

}  // namespace tessera::jinja

// Owns the shape of a built-in filter, test, method or function, and the tables of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/text/character_classes.h"
#include "core/text/jinja/value.h"

namespace tessera::jinja {

/// What built-ins need besides their arguments.
struct Runtime {
  Budget budget;
  std::string now;                                         ///< local time "YYYY-MM-DDTHH:MM:SS"
  std::vector<std::shared_ptr<NamespaceData>> namespaces;  ///< all that were made: emptied at the end, so that no cycle survives
  const TextChange* written = nullptr;                     ///< for what people wrote: the variables messages, tools and documents

  std::unique_ptr<const CharacterClasses> unpacked = nullptr;  ///< ask classes()

  /// Unpacked when first asked for: few templates look at letters beyond ASCII.
  const CharacterClasses& classes() {
    if (!unpacked) unpacked = std::make_unique<const CharacterClasses>();
    return *unpacked;
  }
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// What copying them costs.
  uint64_t bytes() const {
    uint64_t bytes = (positional.size() + named.size()) * sizeof(Value);
    for (const auto& argument : named) bytes += argument.first.size();
    return bytes;
  }
};

/// One call of a built-in. With a fixed signature `arguments.positional` has one entry per parameter, missing where none was given,
/// and `arguments.named` is empty.
struct Call {
  Runtime& runtime;
  const Value& self;  ///< the filtered or tested value, or the object of a method
  Arguments arguments;

  bool given(size_t i) const { return i < arguments.positional.size() && !arguments.positional[i].is_missing(); }
  const Value& operator[](size_t i) const { return arguments.positional[i]; }
  Value text(std::string text) const { return make_string(runtime.budget, std::move(text)); }
  Value list(std::vector<Value> items, SequenceType type = SequenceType::kList) const {
    return make_sequence(runtime.budget, std::move(items), type);
  }
};

struct Builtin {
  std::string_view name;
  /// Parameter names separated by spaces, optional ones ending in '?'; "*" takes anything.
  std::string_view parameters;
  Result<Value> (*function)(Call& call);
};

/// Null when there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_function(std::string_view name);
const Builtin* find_string_method(std::string_view name);
const Builtin* find_dict_method(std::string_view name);
const Builtin* find_list_method(std::string_view name);
const Builtin* find_loop_method(std::string_view name);

/// Binds the arguments to the parameters and calls. The error has no position yet.
Result<Value> call_builtin(const Builtin& builtin, Runtime& runtime, const Value& self, Arguments arguments);

// Arguments as numbers: kTemplate when the value is of another type. None is one unless the argument may be None.
Result<int64_t> integer_argument(const Call& call, size_t index, int64_t otherwise);
Result<int64_t> integer_or_none(const Call& call, size_t index, int64_t otherwise);
/// The text of str, or str() of any other value, as Jinja2's soft_str.
std::string soft_text(Runtime& runtime, const Value& value);

}  // namespace tessera::jinja

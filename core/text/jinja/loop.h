// Owns the `loop` variable of a for block, and the callable values: macros, bound methods and global functions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/text/jinja/value.h"

namespace tessera::jinja {

struct Builtin;
struct ForStatement;
struct MacroDefinition;
struct Scope;

struct LoopData {
  std::vector<Value> items;
  size_t index = 0;                         ///< of the current item, from 0
  int level = 0;                            ///< depth of a recursive loop, from 0
  int depth = 1;                            ///< nesting of containers, as in SequenceData
  std::vector<Value> last_changed;          ///< arguments of the last loop.changed
  bool has_changed = false;                 ///< loop.changed was called before
  const ForStatement* statement = nullptr;  ///< set in a recursive loop, which can be called
  std::weak_ptr<Scope> scope;               ///< around the statement
};

/// A built-in with the object it is bound to, or a macro with the scope it was defined in. The scope is not owned: it may hold the macro.
struct FunctionData {
  std::string name;
  const Builtin* builtin = nullptr;
  Value self;
  const MacroDefinition* macro = nullptr;
  std::weak_ptr<Scope> scope;
};

}  // namespace tessera::jinja

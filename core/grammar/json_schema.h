// Owns JSON schemas as grammars.
#pragma once

#include "core/base/result.h"
#include "core/grammar/rules.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera::grammar {

/// The JSON texts that a schema (draft 2020-12, with `definitions` and `items` as in draft 7) allows, members in the schema's order;
/// docs/grammar.md says which keywords there are. kInvalidArgument and kUnsupported name the place in the schema and the keyword:
/// none is ignored but those that only describe.
Result<Rules> schema_rules(const nlohmann::ordered_json& schema);

}  // namespace tessera::grammar

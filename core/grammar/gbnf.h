// Owns the notation of grammars as files: GBNF, the BNF with repetitions that llama.cpp made known (its grammars/README.md).
#pragma once

#include <string_view>

#include "core/base/result.h"
#include "core/grammar/rules.h"

namespace tessera::grammar {

/// `name ::= alternatives` with "texts", [classes], `.`, (groups), `* + ? {m} {m,} {m,n}`, rules by name and # comments; `root` is what
/// an answer has to be. Rules comes back with it first. kInvalidArgument with line and column, and for a rule that is used but not
/// there or there twice.
Result<Rules> parse_gbnf(std::string_view source);

}  // namespace tessera::grammar

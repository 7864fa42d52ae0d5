// The core's public face, part six: what an answer may be held to, made ready once for any number of answers.
#pragma once

#include <memory>
#include <string_view>

#include "core/base/result.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera {

namespace grammar {
class Automaton;  // core/grammar
}

/// A grammar ready to be followed. Immutable; safe to use from several threads.
using AnswerGrammar = std::shared_ptr<const grammar::Automaton>;

/// From GBNF. Errors of grammar::parse_gbnf and grammar::Automaton::compile.
Result<AnswerGrammar> grammar_of_gbnf(std::string_view source);

/// From a JSON schema; {"type": "object"} is any JSON object. Errors of grammar::schema_rules and grammar::Automaton::compile.
Result<AnswerGrammar> grammar_of_schema(const nlohmann::ordered_json& schema);

}  // namespace tessera

#include "core/engine/answer_grammar.h"

#include <utility>

#include "core/grammar/automaton.h"
#include "core/grammar/gbnf.h"
#include "core/grammar/json_schema.h"

namespace tessera {
namespace {

Result<AnswerGrammar> compiled(const Result<grammar::Rules>& rules) {
  if (!rules) {
    return rules.error();
  }
  Result<grammar::Automaton> automaton = grammar::Automaton::compile(rules.value());
  if (!automaton) {
    return automaton.error();
  }
  return AnswerGrammar(std::make_shared<const grammar::Automaton>(std::move(*automaton)));
}

}  // namespace

Result<AnswerGrammar> grammar_of_gbnf(std::string_view source) { return compiled(grammar::parse_gbnf(source)); }

Result<AnswerGrammar> grammar_of_schema(const nlohmann::ordered_json& schema) { return compiled(grammar::schema_rules(schema)); }

}  // namespace tessera

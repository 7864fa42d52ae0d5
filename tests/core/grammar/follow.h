// Owns following whole texts through a grammar, for the grammar's tests.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/grammar/gbnf.h"
#include "core/grammar/json_schema.h"
#include "core/grammar/matcher.h"
#include "doctest/doctest.h"
#include "nlohmann/json.hpp"

namespace tessera::testing {

inline std::shared_ptr<const grammar::Automaton> compiled(const Result<grammar::Rules>& rules) {
  REQUIRE_MESSAGE(rules.ok(), (rules ? "" : rules.error().message));
  auto automaton = grammar::Automaton::compile(rules.value());
  REQUIRE_MESSAGE(automaton.ok(), (automaton ? "" : automaton.error().message));
  return std::make_shared<const grammar::Automaton>(std::move(*automaton));
}

inline Result<grammar::Rules> schema_rules(std::string_view json) { return grammar::schema_rules(nlohmann::ordered_json::parse(json)); }

/// "whole" (and nothing may follow), "may end", "begun", or "no" with the number of bytes that fitted.
inline std::string verdict(grammar::Matcher& matcher, std::string_view text) {
  int state = matcher.start();
  for (size_t i = 0; i < text.size(); ++i) {
    state = matcher.next(state, static_cast<uint8_t>(text[i]));
    if (state == grammar::Matcher::kNone) return "no, after " + std::to_string(i);
  }
  if (!matcher.may_end(state)) return "begun";
  return matcher.may_go_on(state) ? "may end" : "whole";
}

inline std::string verdict(const Result<grammar::Rules>& rules, std::string_view text) {
  grammar::Matcher matcher(compiled(rules));
  return verdict(matcher, text);
}

/// The message of what is refused, while it is read or made ready.
inline std::string refusal(const Result<grammar::Rules>& rules) {
  if (!rules) return rules.error().message;
  const auto automaton = grammar::Automaton::compile(rules.value());
  return automaton ? "ok" : automaton.error().message;
}

}  // namespace tessera::testing

// Owns template text → syntax tree.
#pragma once

#include <memory>
#include <string_view>

#include "core/base/result.h"
#include "core/text/jinja/ast.h"

namespace tessera::jinja {

/// kTemplate with line and column for text that is no template, for tags this interpreter does not have (include, import, extends, …)
/// and for unknown filters and tests (inside `if` those fail only when they are reached, as in Jinja2).
Result<std::unique_ptr<SyntaxTree>> parse_template(std::string_view source, const Limits& limits);

}  // namespace tessera::jinja

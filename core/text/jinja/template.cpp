// Owns parsing and rendering as one value.
#include "core/text/jinja/template.h"

#include "core/text/jinja/interpreter.h"
#include "core/text/jinja/parser.h"
#include "core/text/jinja/strftime.h"
#include "nlohmann/json.hpp"

namespace tessera::jinja {

Template::Template(std::unique_ptr<const SyntaxTree> tree, const Limits& limits) : tree_(std::move(tree)), limits_(limits) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Result<Template> Template::parse(std::string_view source, const Limits& limits) {
  Result<std::unique_ptr<SyntaxTree>> tree = parse_template(source, limits);
  if (!tree) return tree.error();
  return Template(std::move(*tree), limits);
}

Result<std::string> Template::render(const nlohmann::ordered_json& variables, std::string_view now, const TextChange* written) const {
  if (!now.empty()) {  // also where the template does not ask for the time
    if (const Result<std::string> checked = format_time(now, ""); !checked) return checked.error();
  }
  Runtime runtime{Budget(limits_), now.empty() ? local_time_now() : std::string(now), {}, written};
  return Interpreter(*tree_, runtime).render(variables);
}

}  // namespace tessera::jinja

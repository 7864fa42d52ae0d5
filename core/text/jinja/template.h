// Owns a parsed template: the interpreter's one public type.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/text/jinja/value.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera::jinja {

struct SyntaxTree;

/// A Jinja2 template in transformers' set-up: trim_blocks, lstrip_blocks, loop controls, the immutable sandbox, raise_exception,
/// strftime_now, and tojson without escapes. Immutable; render is safe from several threads.
class Template {
 public:
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  /// kTemplate, with line and column, for a source that is no template.
  static Result<Template> parse(std::string_view source, const Limits& limits = {});

  /// Renders with the members of `variables` (an object). `now` is what strftime_now sees: "YYYY-MM-DDTHH:MM:SS", "" = the system clock.
  /// kTemplate, with line and column, when the template raises, fails or exceeds a limit.
  /// `written` changes the texts that messages, tools and documents hold; null = they stay as they are.
  Result<std::string> render(const nlohmann::ordered_json& variables, std::string_view now = "", const TextChange* written = nullptr) const;

 private:
  Template(std::unique_ptr<const SyntaxTree> tree, const Limits& limits);
  std::unique_ptr<const SyntaxTree> tree_;
  Limits limits_;
};

}  // namespace tessera::jinja

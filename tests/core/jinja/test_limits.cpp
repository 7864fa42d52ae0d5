// Owns the checks that a hostile template ends in an error, soon and without a crash.
#include <cstdint>
#include <string>

#include "core/text/jinja/template.h"
#include "doctest/doctest.h"
#include "nlohmann/json.hpp"

namespace {

using tessera::Result;
using tessera::jinja::Limits;
using tessera::jinja::Template;
using Json = nlohmann::ordered_json;

std::string message_of(const std::string& source, const Json& variables = Json::object()) {
  Result<Template> parsed = Template::parse(source);
  if (!parsed) return parsed.error().message;
  Result<std::string> text = parsed->render(variables);
  return text ? "no error, " + std::to_string(text->size()) + " bytes" : text.error().message;
}

bool is_limit(const std::string& message) {
  return message.starts_with("chat template, line ") && message.find("limit reached: ") != std::string::npos;
}

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("hostile templates reach a limit") {
  const std::string loops = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
  const std::string recursion = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
  const std::string doubling = "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
  const std::string laughs = "{% set ns = namespace(x=['ha']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  const std::string twin = "{% set nt = namespace(x=['ha']) %}{% for i in range(60) %}{% set nt.x = [nt.x, nt.x] %}{% endfor %}";
  const std::string nesting = "{% set ns = namespace(x=[]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}";
  const std::string methods = "{% set ns = namespace(x={}) %}{% for i in range(99999) %}{% set ns.x = {'a': ns.x.get} %}{% endfor %}";
  const std::string kept_loops =
      "{% set ns = namespace(x=1) %}{% for j in range(9999) %}{% for i in [ns.x] %}{% set ns.x = loop %}{% endfor %}{% endfor %}";
  const std::string self_reference = "{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns }}";
  const std::string search = "{% set a = 'a' * 9000000 %}{% set b = ('a' * 4000000) + 'b' %}{{ b in a }}";
  const std::string output = "{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}";
  for (const std::string& source :
       {loops, recursion, doubling, nesting, methods, kept_loops, self_reference, search, output, laughs + "{{ ns.x }}",
        laughs + "{{ ns.x|tojson }}", laughs + twin + "{{ ns.x == nt.x }}", std::string("{{ 'x' * 99999999999 }}"),
        std::string("{{ [1] * 99999999 }}"), std::string("{{ ('x' * 10000000).replace('x', 'xxxxxxxxxx') }}"),
        std::string("{{ 'x'.ljust(999999999) }}"), std::string("{{ 'a\nb'|indent(99999999) }}")}) {
    INFO(source);
    const std::string message = message_of(source);
    CHECK_MESSAGE(is_limit(message), message);
  }
}

TEST_CASE("an integer that does not fit is refused, not rounded") {
  CHECK(message_of("{{ n }}", {{"n", uint64_t{INT64_MAX}}}) == "no error, 19 bytes");
  CHECK(message_of("{{ n }}", {{"n", uint64_t{INT64_MAX} + 1}}).find("limit reached: an integer beyond 2^63 - 1") != std::string::npos);
}

TEST_CASE("deep sources are refused") {
  for (const std::string& source :
       {"{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}", "{{ " + repeated("not ", 5000) + "1 }}",
        "{{ " + repeated("-", 5000) + "1 }}", "{{ 1" + repeated(" + 1", 5000) + " }}", "{{ x" + repeated(".a", 5000) + " }}",
        "{{ x" + repeated("|list", 5000) + " }}", repeated("{% if x %}", 5000) + repeated("{% endif %}", 5000),
        "{% set " + repeated("(", 5000) + "a" + repeated(")", 5000) + " = 1 %}",
        "{{ x" + repeated("[x", 5000) + repeated("]", 5000) + " }}", "{{ x" + repeated(" if x else x", 5000) + " }}"}) {
    INFO(source.substr(0, 40));
    const std::string message = message_of(source);
    CHECK_MESSAGE(is_limit(message), message);
  }
  CHECK(message_of(std::string(2u << 20, 'x')).find("expected at most 1048576") != std::string::npos);
}

TEST_CASE("limits leave room for real work") {
  CHECK(message_of(repeated("{% if not x %}", 40) + "a" + repeated("{% endif %}", 40)) == "no error, 1 bytes");
  CHECK(message_of("{{ 'x'" + repeated(" ~ 'x'", 5000) + " }}") == "no error, 5001 bytes");
  CHECK(message_of("{{ ''" + repeated(" + 'x'", 120) + " }}") == "no error, 120 bytes");
  const std::string recursion = "{% macro m(n) %}{% if n > 0 %}{% if true %}x{{ m(n - 1) }}{% endif %}{% endif %}{% endmacro %}";
  CHECK(message_of(recursion + "{{ m(45) }}") == "no error, 45 bytes");
  Json messages = Json::array();
  for (int i = 0; i < 4000; ++i) messages.push_back({{"role", i % 2 ? "assistant" : "user"}, {"content", std::string(1000, 'x')}});
  const std::string chat = "{% for m in messages %}{{ '<|' + m.role + '|>' + m['content'] | trim + '\n' }}{% endfor %}";
  CHECK(message_of(chat, {{"messages", messages}}).starts_with("no error, 40"));
}

TEST_CASE("smaller limits can be set") {
  Limits limits;
  limits.steps = 100;
  Result<Template> parsed = Template::parse("a\n{% for i in range(99) %}{{ i }}{% endfor %}", limits);
  REQUIRE(parsed.ok());
  Result<std::string> text = parsed->render(Json::object());
  REQUIRE_FALSE(text.ok());
  CHECK(text.error().message.find("limit reached: the template takes more than 100 steps") != std::string::npos);
  CHECK(text.error().message.starts_with("chat template, line 2, column "));
}

TEST_CASE("variables may nest only so deep, and need not be an object") {
  Json deep = 1;
  for (int i = 0; i < 500; ++i) deep = Json::array({deep});
  CHECK(is_limit(message_of("{{ x }}", {{"x", deep}})));
  CHECK(message_of("{{ x }}", Json::array()) == "no error, 0 bytes");
}

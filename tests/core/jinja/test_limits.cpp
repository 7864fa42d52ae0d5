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

std::string message_of(const std::string& source, const Json& variables = Json::object(), const Limits& limits = {}) {
  Result<Template> parsed = Template::parse(source, limits);
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
        std::string("{{ 'x'.ljust(999999999) }}"), std::string("{{ 'a\nb'|indent(99999999) }}"),
        // Their bytes are a few more than 2^64.
        std::string("{{ 'x'.center(4611686018427387906, '\U0001F600') }}"),
        std::string("{{ 'x'.ljust(4611686018427387906, '\U0001F600') }}"), std::string("{{ [1]|batch(768614336404564652, 0) }}"),
        std::string("{{ [1]|slice(768614336404564652) }}")}) {
    INFO(source);
    const std::string message = message_of(source);
    CHECK_MESSAGE(is_limit(message), message);
  }
}

TEST_CASE("work that makes nothing is counted too") {
  Limits limits;
  limits.steps = 500'000;  // so that it is soon over
  for (const std::string use : {"{{ {'x': 1}[k] }}",
                                "{{ {k: 1}|length }}",
                                "{{ k in {'x': 1} }}",
                                "{{ {}.get(k) }}",
                                "{{ k.isdigit() }}",
                                "{{ k.isalpha() }}",
                                "{{ k.isascii() }}",
                                "{{ k.isupper() }}",
                                "{{ k.ljust(1) }}",
                                "{{ k.zfill(1) }}",
                                "{{ k|center(1) }}",
                                "{{ k.startswith(('b', k)) }}",
                                "{{ k|truncate(999999) }}",
                                "{{ k|int }}",
                                "{{ k|float }}",
                                "{{ k % {} }}",
                                "{{ dict(**{k: 1})|length }}",
                                "{{ [[]]|map('map', **d)|list }}",
                                "{{ [1]|map(attribute=k)|list }}",
                                "{{ ([k] * 90)|unique|list }}"}) {
    INFO(use);
    const std::string message =
        message_of("{% set k = '1' * 999999 %}{% set d = {k: 1} %}{% for i in range(12) %}" + use + "{% endfor %}", {}, limits);
    CHECK_MESSAGE(is_limit(message), message.substr(0, 200));
  }
  std::string names, parameters = "a";
  Json numbers, many;
  for (int i = 0; i < 2000; ++i) {
    const std::string name = "v" + std::to_string(i);
    names += "{% set " + name + " = 1 %}";
    parameters += ", " + name;
    numbers.push_back(i);
    many["k" + std::to_string(i)] = i;
  }
  for (const std::string& source :
       {names + "{% for i in range(90000) %}{{ v1999 }}{% endfor %}", "{% for i in range(40) %}" + names + "{% endfor %}",
        "{% macro m(" + parameters + ") %}{{ kwargs|length }}{% endmacro %}{{ m(**many) }}",

        std::string("{{ ([[]] * 9000)|map('map', *numbers)|list|length }}"),
        std::string("{{ ([[]] * 9000)|map('select', *numbers)|list|length }}"),
        std::string("{{ ('{k1999}' * 9000).format(**many)|length }}")}) {
    INFO(source.substr(0, 80));
    const std::string message = message_of(source, {{"numbers", numbers}, {"many", many}}, limits);
    CHECK_MESSAGE(is_limit(message), message.substr(0, 200));
  }
}

TEST_CASE("a rendering may run out at any step") {
  Result<Template> whole = Template::parse("x");
  REQUIRE(whole.ok());
  const std::string source =
      "{% set c = cycler('a', *range(99)) %}{{ c.next() }}{% set j = joiner() %}{{ j() }}{{ j() }}{{ 'abc'.startswith('b', 1) }}"
      "{{ [{'a': 1}]|groupby('a') }}{{ 1|center(9) }}{{ 'abc'[::-1]|reverse }}{% for a, b in dict(x=1)|dictsort %}{{ a ~ b }}{% endfor %}"
      "{{ ['b', 'A']|sort|join(', ') }}{{ [1, 2, 3]|batch(2)|map('list')|list|tojson }}{{ '%(a)s' % {'a': 1} }}{{ '{}'.format(1) }}"
      "{% macro m(a, b=2) %}{{ a ~ b ~ varargs ~ kwargs }}{% endmacro %}{{ m(1, 2, 3, d=4) }}{{ namespace(a=1) }}{{ {'a': 1}|urlencode }}";
  Limits limits;
  bool done = false;
  for (limits.steps = 1; !done && limits.steps < 3000; ++limits.steps) {
    Result<Template> parsed = Template::parse(source, limits);
    REQUIRE(parsed.ok());
    Result<std::string> text = parsed->render(Json::object());
    done = text.ok();
    if (!done) CHECK(is_limit(text.error().message));
  }
  CHECK(done);
}

TEST_CASE("messages show the beginning of long texts") {
  const std::string most = repeated("A", 80) + "\u2026";
  const auto ending = [](const std::string& source) {
    const std::string message = message_of(source);
    return message.substr(std::min(message.find(": ") + 2, message.size()));
  };
  CHECK(ending("{{ {}['A' * 200].b }}") == "'dict object' has no attribute '" + most + "'");
  CHECK(ending("{{ ({}|attr('A' * 200)).b }}") == "'dict object' has no attribute '" + most + "'");
  CHECK(ending("{{ {}['__' ~ 'A' * 200 ~ '__'].b }}") == "access to attribute '__" + most.substr(2) + "' of 'dict' object is unsafe.");
  CHECK(ending("{{ " + repeated("A", 200) + ".b }}") == "'" + most + "' is undefined");
  CHECK(ending("{{ raise_exception('\u00e9' * 900) }}").size() < 1010);
  CHECK(ending("{% " + repeated("A", 9000) + " %}").size() < 1010);
}

TEST_CASE("an integer that does not fit is refused, not rounded") {
  CHECK(message_of("{{ n }}", {{"n", uint64_t{INT64_MAX}}}) == "no error, 19 bytes");
  CHECK(message_of("{{ n }}", {{"n", uint64_t{INT64_MAX} + 1}}).find("limit reached: an integer beyond 2^63 - 1") != std::string::npos);
  for (const std::string use : {"9223372036854775807|round(-1)", "9223372036854775807|round(-19)", "1e19|int", "(-1e19)|int",
                                "9223372036854775808.0|int", "'99999999999999999999'|int"}) {
    INFO(use);
    CHECK(message_of("{{ " + use + " }}").ends_with(": an integer does not fit 64 bits"));
  }
  CHECK(message_of("{{ (-9223372036854775808.0)|int }}") == "no error, 20 bytes");
}

TEST_CASE("round takes as many digits as a number can have") {
  for (const std::string use : {"5|round(least)", "5.5|round(least)", "5.5|round(least, 'ceil')", "5|round(301)", "5|round(-301)"}) {
    INFO(use);
    CHECK(message_of("{% set least = -9223372036854775807 - 1 %}{{ " + use + " }}").ends_with(": round: precision out of range"));
  }
  CHECK(message_of("{{ 5|round(-300) }}") == "no error, 1 bytes");
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

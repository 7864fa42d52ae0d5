// Owns the check of small templates against what Jinja2 makes of them (tests/golden/jinja.json, written by scripts/make_jinja_golden.py).
#include <fstream>
#include <iostream>
#include <sstream>

#include "core/text/jinja/template.h"
#include "doctest/doctest.h"
#include "nlohmann/json.hpp"
#include "tests/core/source_path.h"

namespace {

using tessera::Error;
using tessera::Result;
using tessera::jinja::Template;
using Json = nlohmann::ordered_json;

Json golden() {
  std::ifstream file(tessera::source_path("tests/golden/jinja.json"), std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return Json::parse(text.str(), nullptr, false);
}

Result<std::string> render(const std::string& source, const Json& variables, const std::string& now) {
  Result<Template> parsed = Template::parse(source);
  if (!parsed) return parsed.error();
  return parsed->render(variables, now);
}

}  // namespace

TEST_CASE("templates give what Jinja2 gives") {
  const Json data = golden();
  REQUIRE(data.is_object());
  REQUIRE(data["cases"].size() > 150);
  for (const Json& row : data["cases"]) {
    const std::string source = row["template"].get<std::string>();
    INFO(row["group"].get<std::string>() << ": " << source);
    Result<std::string> found =
        render(source, row.contains("variables") ? row["variables"] : data["variables"], data["now"].get<std::string>());
    if (row.contains("text")) {
      CHECK_MESSAGE(found.ok(), (found ? std::string() : found.error().message));
      if (found) CHECK(*found == row["text"].get<std::string>());
      continue;
    }
    REQUIRE_FALSE(found.ok());
    const Error& error = found.error();
    CHECK(error.code == tessera::ErrorCode::kTemplate);
    const std::string place = "chat template, line " + std::to_string(row["line"].get<int>()) + ", column ";
    CHECK_MESSAGE(error.message.starts_with(place), error.message << " should begin with " << place);
    // The wording of syntax errors is our own; that of the others is Python's.
    if (!row.contains("syntax")) CHECK(error.message.ends_with(": " + row["error"].get<std::string>()));
  }
}

TEST_CASE("an error points at the character") {
  const auto message = [](const std::string& source) {
    Result<std::string> result = render(source, Json::object(), "");
    return result ? std::string("no error") : result.error().message;
  };
  CHECK(message("ab\n{{ 1 + 'a' }}") == "chat template, line 2, column 6: unsupported operand type(s) for +: 'int' and 'str'");
  CHECK(message("\xC3\xA4\xC3\xB6 {{ raise_exception('no') }}") == "chat template, line 1, column 22: no");
  CHECK(message("{% if x %}\r\n  {% foo %}") == "chat template, line 2, column 3: unknown tag 'foo', or one that ends no block");
  CHECK(message("{% include 'a' %}") == "chat template, line 1, column 1: the tag 'include' is not supported in chat templates");
  for (const std::string tag : {"import 'a' as b", "from 'a' import b", "extends 'a'", "autoescape true"}) {
    const std::string name = tag.substr(0, tag.find(' '));
    CHECK(message("x\n {% " + tag + " %}") == "chat template, line 2, column 2: the tag '" + name + "' is not supported in chat templates");
  }
  CHECK(message("{% break %}") == "chat template, line 1, column 1: 'break' outside a loop");
}

// Owns the check of 35 real chat templates against the texts that Python's Jinja2 makes of them. The data is not in the repository.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "core/text/chat_template.h"
#include "doctest/doctest.h"
#include "nlohmann/json.hpp"
#include "tests/core/source_path.h"

namespace {

using tessera::ChatTemplate;
using tessera::Result;
using Json = nlohmann::ordered_json;

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The test data folder, or empty (and a line that says so) when it is absent.
std::filesystem::path test_data() {
  const char* named = std::getenv("TESSERA_TESTDATA");
  const std::filesystem::path folder = named ? named : tessera::source_path("../shared/testdata");
  if (std::filesystem::exists(folder / "templates.json")) return folder;
  std::cout << "SKIPPED: no templates.json in " << folder << " (TESSERA_TESTDATA names the folder)\n";
  return {};
}

/// A case's variables, as scripts/make_jinja_golden.py gives them to Jinja2.
Json context_of(const Json& data, const Json& test_case) {
  Json context = {{"bos_token", data["bos_token"]}, {"eos_token", data["eos_token"]}, {"add_generation_prompt", true}};
  for (const auto& [key, value] : test_case.items()) context[key] = value;
  return context;
}

/// What the template makes of the context, or the message of its error after the position.
std::string outcome(const std::string& source, const Json& context, const std::string& now, bool& failed) {
  Result<ChatTemplate> parsed = ChatTemplate::parse(source);
  failed = !parsed;
  if (!parsed) return parsed.error().message;
  Result<std::string> text = parsed->render(context, now);
  failed = !text;
  return text ? *text : text.error().message;
}

}  // namespace

TEST_CASE("real templates give the text or the error of Jinja2") {
  const auto folder = test_data();
  if (folder.empty()) return;
  const Json data = Json::parse(read_text(folder / "templates.json"), nullptr, false);
  REQUIRE(data.is_object());
  int equal = 0;
  int total = 0;
  for (const auto& [name, cases] : data["expected"].items()) {
    const std::string source = read_text(folder / "templates" / name);
    for (const auto& [case_name, expected] : cases.items()) {
      INFO(name << " / " << case_name);
      bool failed = false;
      const std::string found = outcome(source, context_of(data, data["cases"][case_name]), data["now"].get<std::string>(), failed);
      const bool wants_error = expected.contains("error");
      std::string wanted = expected[wants_error ? "error" : "text"].get<std::string>();
      if (wants_error) wanted = wanted.substr(wanted.find(": ") + 2);  // without the Python class of the exception
      const bool same = failed == wants_error && (wants_error ? found.ends_with(": " + wanted) : found == wanted);
      CHECK_MESSAGE(same, "found: " << found << "\nwanted: " << wanted);
      equal += same ? 1 : 0;
      ++total;
    }
  }
  std::cout << "real templates: " << equal << " of " << total << " equal\n";
  CHECK(total == 350);
}

TEST_CASE("a template cut off anywhere gives a result, never a crash") {
  const auto folder = test_data();
  if (folder.empty()) return;
  const Json data = Json::parse(read_text(folder / "templates.json"), nullptr, false);
  const Json context = context_of(data, data["cases"]["tool_done"]);
  size_t parsed = 0;
  size_t refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "templates")) {
    const std::string source = read_text(entry.path());
    for (size_t length = 0; length < source.size(); length += 7) {
      bool failed = false;
      const std::string found = outcome(source.substr(0, length), context, "2026-11-22T12:00:00", failed);
      if (failed)
        CHECK_MESSAGE(found.starts_with("chat template, line "), entry.path().filename() << " cut at " << length << ": " << found);
      ++(failed ? refused : parsed);
    }
  }
  CHECK(refused > parsed);  // nearly every cut leaves a block open
  CHECK(parsed > 0);
}

// Owns the check of the built-in chat templates against Jinja2's texts (tests/golden/templates_builtin.json).
#include <fstream>
#include <sstream>

#include "core/text/chat_template.h"
#include "doctest/doctest.h"
#include "nlohmann/json.hpp"
#include "tests/core/source_path.h"

namespace {

using tessera::builtin_chat_template;
using tessera::ChatTemplate;
using tessera::Result;
using Json = nlohmann::ordered_json;

}  // namespace

TEST_CASE("built-in chat templates give what Jinja2 gives") {
  std::ifstream file(tessera::source_path("tests/golden/templates_builtin.json"), std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  const Json data = Json::parse(text.str(), nullptr, false);
  REQUIRE(data.is_object());
  REQUIRE(data["cases"].size() == 80);
  for (const Json& row : data["cases"]) {
    INFO(row["name"].get<std::string>() << " / " << row["chat"].get<std::string>());
    Result<std::string> source = builtin_chat_template(row["name"].get<std::string>());
    REQUIRE(source.ok());
    Result<ChatTemplate> parsed = ChatTemplate::parse(*source);
    REQUIRE(parsed.ok());
    Result<std::string> found = parsed->render(row["variables"]);
    if (row.contains("text")) {
      CHECK_MESSAGE(found.ok(), (found ? std::string() : found.error().message));
      if (found) CHECK(*found == row["text"].get<std::string>());
    } else {
      REQUIRE_FALSE(found.ok());
      CHECK(found.error().message.ends_with(": " + row["error"].get<std::string>()));
    }
  }
}

TEST_CASE("known prompts, spelled out") {
  const auto prompt = [](const char* name, const Json& messages) {
    Result<ChatTemplate> parsed = ChatTemplate::parse(builtin_chat_template(name).value());
    return parsed->render({{"messages", messages}, {"add_generation_prompt", true}, {"bos_token", "<s>"}, {"eos_token", "</s>"}}).value();
  };
  const Json messages = {{{"role", "system"}, {"content", "S"}}, {{"role", "user"}, {"content", "U"}}};
  CHECK(prompt("chatml", messages) == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n");
  CHECK(prompt("llama2", messages) == "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST]");
  CHECK(prompt("gemma", messages) == "<s><start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\n");
  CHECK(prompt("mistral", messages) == "<s>[INST] S\n\nU [/INST]");
  CHECK(prompt("phi3", messages) == "<|system|>\nS<|end|>\n<|user|>\nU<|end|>\n<|assistant|>\n");
  CHECK(prompt("alpaca", messages) == "S\n\n### Instruction:\nU\n\n### Response:\n");
}

TEST_CASE("an unknown name lists the known ones") {
  Result<std::string> source = builtin_chat_template("vicuna");
  REQUIRE_FALSE(source.ok());
  CHECK(source.error().code == tessera::ErrorCode::kNotFound);
  CHECK(source.error().hint.find("chatml, llama2") != std::string::npos);
}

TEST_CASE("strftime_now sees the given time, or the clock") {
  Result<ChatTemplate> parsed = ChatTemplate::parse("{{ strftime_now('%Y-%m-%d') }}");
  REQUIRE(parsed.ok());
  CHECK(parsed->render(Json::object(), "2024-02-29T23:59:59").value() == "2024-02-29");
  CHECK(parsed->render(Json::object()).value().starts_with("20"));
  CHECK_FALSE(parsed->render(Json::object(), "yesterday").ok());
  CHECK_FALSE(parsed->render(Json::object(), "2023-02-29T00:00:00").ok());
  CHECK_FALSE(ChatTemplate::parse("no time")->render(Json::object(), "2026-13-01T00:00:00").ok());
}

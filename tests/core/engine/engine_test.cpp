// Tests Engine: options are checked, what a model is, prompts from text and messages.
#include "core/engine/engine.h"

#include <algorithm>

#include "core/gguf/gguf_file.h"
#include "core/model/config.h"
#include "core/text/tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/core/engine/tiny.h"

using namespace tessera;
using namespace tessera::testing;
using Json = nlohmann::ordered_json;

namespace {

Error load_error(const EngineOptions& options) {
  auto engine = Engine::load(tiny_parts("tiny-llama"), options);
  REQUIRE_FALSE(engine.ok());
  return engine.error();
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("info tells what was loaded") {
  EngineOptions options;
  options.threads = 2;
  options.context_size = 100;
  const auto engine = load_tiny("tiny-llama", options);
  const EngineInfo& info = engine->info();
  CHECK(info.name == "Tiny Llama");
  CHECK(info.architecture == "llama");
  CHECK(info.context_size == 100);
  CHECK(info.trained_context == 256);
  CHECK(info.vocab_size == engine->tokenizer().vocab().size());
  CHECK(info.threads == 2);
  CHECK(info.kernels == kernel_names().front());
  CHECK(info.parameters > 100000);
  CHECK(info.weight_bytes > 0);
  CHECK(info.kv_type == KvType::kQ16_8);                           // most of its weights are quantised
  CHECK(info.kv_bytes == 2ull * 2 * 128 * (32 * 2 + 32 + 3 * 4));  // layers, heads, positions, codes and scales of K and V
  CHECK(info.has_chat_template);
  CHECK(load_tiny("tiny-gemma3")->info().context_size == 256);
}

TEST_CASE("the cache's format: as asked, else by the weights") {
  const auto loaded_kv = [](const std::string& name, std::optional<KvType> asked) {
    EngineOptions options;
    options.kv_type = asked;
    return load_tiny(name, options)->info().kv_type;
  };
  CHECK(loaded_kv("tiny-llama", std::nullopt) == KvType::kQ16_8);
  CHECK(loaded_kv("tiny-llama", KvType::kF16) == KvType::kF16);
  auto file = GgufFile::open(map_file(source_path("tests/golden/architectures/llama.gguf")).value());  // F16
  REQUIRE(file.ok());
  auto config = Config::from_gguf(*file);
  REQUIRE(config.ok());
  CHECK(choose_kv_type(std::nullopt, *file, *config) == KvType::kF32);
  CHECK(choose_kv_type(KvType::kQ16_8, *file, *config) == KvType::kQ16_8);
}

TEST_CASE("options outside their range are refused by name") {
  EngineOptions options;
  options.kernels = "abacus";
  Error error = load_error(options);
  CHECK(error.code == ErrorCode::kInvalidArgument);
  CHECK(holds(error.message, "abacus"));
  for (const std::string& name : kernel_names()) {
    CHECK(holds(error.message, name));
  }
  options = {};
  options.context_size = 257;
  error = load_error(options);
  CHECK(error.code == ErrorCode::kInvalidArgument);
  CHECK((holds(error.message, "257") && holds(error.message, "256")));
  options.context_size = -1;
  CHECK(load_error(options).code == ErrorCode::kInvalidArgument);
  options = {};
  options.threads = 65;
  CHECK(load_error(options).code == ErrorCode::kInvalidArgument);
  options.threads = -1;
  CHECK(load_error(options).code == ErrorCode::kInvalidArgument);
}

TEST_CASE("loading reports progress and can be aborted") {
  uint64_t last = 0, total = 0;
  EngineOptions options;
  options.on_progress = [&](uint64_t done, uint64_t all) {
    CHECK(done >= last);
    last = done;
    total = all;
    return true;
  };
  load_tiny("tiny-llama", options);
  CHECK(total > 0);
  CHECK(last == total);
  options.on_progress = [](uint64_t, uint64_t) { return false; };
  CHECK(load_error(options).code == ErrorCode::kAborted);
}

TEST_CASE("text to ids and back") {
  const auto engine = load_tiny("tiny-gemma3");
  const std::vector<int32_t> ids = engine->tokenize("Hello 世界\n\nyou", false, true);
  CHECK(ids.front() == 2);
  auto text = engine->detokenize(ids);
  REQUIRE(text.ok());
  CHECK(*text == "Hello 世界\n\nyou");
  CHECK(engine->raw_prompt("Hello") == engine->tokenize("Hello", true, true));
  CHECK(engine->raw_prompt("<bos>Hello") == engine->raw_prompt("Hello"));  // never two
  CHECK(engine->token_bytes(4) == "<start_of_turn>");
  CHECK(engine->token_bytes(6 + 0xE4) == "\xE4");
  CHECK(engine->token_bytes(99999) == "");
  const auto wrong = engine->detokenize(std::vector<int32_t>{1, 99999});
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.error().code == ErrorCode::kInvalidArgument);
  CHECK(holds(wrong.error().message, "99999"));
}

TEST_CASE("a chat prompt is the template's text with exactly one begin token") {
  const auto engine = load_tiny("tiny-gemma3");
  const Json context = {{"messages", {{{"role", "user"}, {"content", "Hello"}}}}};
  const auto ids = engine->chat_prompt(context);
  REQUIRE(ids.ok());
  CHECK(std::count(ids.value().begin(), ids.value().end(), 2) == 1);
  CHECK(ids.value().front() == 2);
  CHECK(engine->detokenize(ids.value(), true).value() == "<bos><start_of_turn>user\nHello<end_of_turn>\n<start_of_turn>model\n");
  // A template without the begin token: the vocabulary asks for it, so it is added.
  const auto bare = engine->chat_prompt(context, "{{ messages[0].content }}{{ eos_token }}");
  REQUIRE(bare.ok());
  CHECK(engine->detokenize(bare.value(), true).value() == "<bos>Hello<eos>");

  const auto llama = load_tiny("tiny-llama");
  Json no_answer = context;
  no_answer["add_generation_prompt"] = false;
  CHECK(llama->detokenize(llama->chat_prompt(no_answer).value(), true).value() == "<|im_start|>user\nHello<|im_end|>\n");
}

TEST_CASE("bad messages and bad templates are explained") {
  const auto engine = load_tiny("tiny-llama");
  const auto code = [&engine](const Json& context, std::string_view source = "") {
    const auto ids = engine->chat_prompt(context, source);
    return ids ? std::string("ok") : std::string(error_code_name(ids.error().code));
  };
  CHECK(code(Json::object()) == "invalid_argument");
  CHECK(code(Json::array()) == "invalid_argument");
  CHECK(code({{"messages", Json::array()}}) == "invalid_argument");
  CHECK(code({{"messages", {"hello"}}}) == "invalid_argument");
  CHECK(code({{"messages", {{{"content", "no role"}}}}}) == "invalid_argument");
  const Json good = {{"messages", {{{"role", "user"}, {"content", "Hello"}}}}};
  CHECK(code(good) == "ok");
  CHECK(code(good, "{% if %}") == "template");
  CHECK(code(good, "{{ raise_exception('no') }}") == "template");
}

TEST_CASE("what ends a turn is read off the template") {
  const auto engine = load_tiny("tiny-llama");
  const auto id = [&engine](const char* piece) { return *engine->tokenizer().vocab().find(piece); };
  const TurnEnds own = engine->turn_ends();
  CHECK(std::binary_search(own.tokens.begin(), own.tokens.end(), id("<|im_start|>")));
  CHECK(std::binary_search(own.tokens.begin(), own.tokens.end(), id("<|im_end|>")));
  CHECK(own.texts.empty());
  const TurnEnds text = engine->turn_ends(
      "{% for m in messages %}{{ '### Instruction:\n' if m.role == 'user' else '### Response:\n' }}{{ m.content }}\n\n{% endfor %}");
  CHECK(text.texts == std::vector<std::string>{"### Instruction:"});
  const TurnEnds brackets =
      engine->turn_ends("{% for m in messages %}{{ ' [INST] ' if m.role == 'user' else ' [/INST] ' }}{{ m.content }}{% endfor %}");
  CHECK(brackets.texts == std::vector<std::string>{"[INST]"});
  CHECK(engine->turn_ends("{% for m in messages %}{{ m.content }} and {% endfor %}").texts.empty());
}

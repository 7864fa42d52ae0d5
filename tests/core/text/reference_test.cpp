// Token ids against the reference implementations, and round trips, over real vocabularies where they are at hand.
#include <cstdio>
#include <utility>

#include "core/base/rng.h"
#include "core/base/utf8.h"
#include "tests/core/source_path.h"
#include "tests/core/text/files.h"

using namespace tessera;
using namespace tessera::test;

namespace {

/// Every script and oddity at once; each must come back byte for byte.
const std::string kRoundTrips[] = {
    "",
    " ",
    "  ",
    "   leading and trailing   ",
    "\n",
    "\r\n\r\n\t\t \n",
    std::string("nul\0inside\0\0", 12),
    "bell\x07 delete\x7f next line\xc2\x85 bom\xef\xbb\xbf",
    "caf\xc3\xa9 nai\xcc\x88ve \xce\xa9\xe2\x84\xa6 \xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",
    "\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96\xe7\x95\x8c \xed\x95\x9c\xea\xb5\xad\xec\x96\xb4 \xe3\x81\x93\xe3\x82\x93",
    "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d",
    "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 \xf0\x9f\x87\xa9\xf0\x9f\x87\xaa \xf0\x90\x8d\x88 \xf0\xa0\x9c\x8e",
    "literal \xe2\x96\x81 mark\xe2\x96\x81\xe2\x96\x81 and \xe2\x96\x81",
    "<|im_start|>user\nhi<|im_end|><bos><eos><unk><s>[INST]</s><0x0A><0xFF><start_of_turn>",
    "\xef\xbf\xbd replacement, noncharacter \xef\xbf\xbf, last \xf4\x8f\xbf\xbf",
};

std::string random_text(Rng& rng, bool (*has)(uint32_t)) {
  std::string text;
  for (uint32_t left = rng.next() % 60; left > 0; --left) {
    constexpr uint32_t kLimits[] = {0x80, 0x80, 0x250, 0x3000, 0x10000, 0x110000};
    const uint32_t code_point = rng.next() % kLimits[rng.next() % 6];
    if ((code_point < 0xd800 || code_point >= 0xe000) && has(code_point)) append_utf8(text, code_point);
    if (rng.next() % 4 == 0) text += ' ';
  }
  return text;
}

bool any_character(uint32_t) { return true; }
/// SmolLM2's vocabulary has no tokens for six control characters and for the planes that begin with F1 and F2.
bool in_smollm(uint32_t c) { return c != 4 && c != 6 && c != 0x13 && c != 0x14 && c != 0x16 && c != 0x1d && (c < 0x40000 || c >= 0xc0000); }

void check_round_trip(const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<int32_t> ids = tokenizer.encode(text, {});
  CHECK(tokenizer.decode(ids, false) == text);
  for (const int32_t id : ids) CHECK_FALSE(tokenizer.vocab().is_special(id));
}

void check_round_trips(const Tokenizer& tokenizer, bool (*has)(uint32_t)) {
  for (const std::string& text : kRoundTrips) check_round_trip(tokenizer, text);
  Rng rng(7);
  for (int i = 0; i < 500; ++i) check_round_trip(tokenizer, random_text(rng, has));
}

void check_ids(const Tokenizer& tokenizer, const nlohmann::json& cases) {
  REQUIRE(cases.is_array());
  REQUIRE(cases.size() > 0);
  for (const nlohmann::json& test : cases) {
    const std::string text = test["text"];
    CAPTURE(text);
    CHECK(tokenizer.encode(text, {.parse_special = true}) == test["ids"].get<std::vector<int32_t>>());
  }
}

}  // namespace

TEST_CASE("token ids of the two demo models equal the reference") {
  const nlohmann::json golden = read_json(source_path("tests/golden/tokenize.json"));
  constexpr std::pair<const char*, bool (*)(uint32_t)> kModels[] = {{"smollm2-135m-instruct-q4_1.gguf", in_smollm},
                                                                    {"gemma-3-270m-q4_k_m.gguf", any_character}};
  for (const auto& [name, has] : kModels) {
    const std::string path = source_path(std::string("build/models/") + name);
    if (!file_exists(path)) {
      std::printf("SKIPPED: build/models/%s is not there (scripts/get-model gets it)\n", name);
      continue;
    }
    CAPTURE(name);
    const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(path);
    check_ids(*tokenizer, golden[name]);
    check_round_trips(*tokenizer, has);
  }
}

TEST_CASE("token ids of six published vocabularies equal llama.cpp's") {
  const std::string folder = testdata_folder();
  if (!file_exists(folder + "/vocab.json")) {
    std::printf("SKIPPED: no vocab.json in the folder that TESSERA_TESTDATA names (default ../shared/testdata)\n");
    return;
  }
  const nlohmann::json golden = read_json(folder + "/vocab.json");
  for (const auto& [name, cases] : golden.items()) {
    CAPTURE(name);
    const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(folder + "/vocab/" + name);
    check_ids(*tokenizer, cases);
    check_round_trips(*tokenizer, any_character);
  }
  const auto ends = [&](const char* name, int32_t id) {
    const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(folder + "/vocab/ggml-vocab-" + name + ".gguf");
    return tokenizer->vocab().is_end_of_generation(id);
  };
  CHECK(ends("llama-bpe", 128001));     // <|end_of_text|>, the file's eos
  CHECK(ends("llama-bpe", 128009));     // <|eot_id|>, which no key names
  CHECK(ends("qwen2", 151645));         // <|im_end|>, likewise
  CHECK(ends("phi-3", 32007));          // <|end|>, likewise
  CHECK_FALSE(ends("phi-3", 2));        // </s> is a user-defined token there
  CHECK(ends("deepseek-llm", 100001));  // written with full-width bars
  CHECK(ends("llama-spm", 2));
}

TEST_CASE("the tiny models of the repository round trip") {
  for (const char* name : {"tiny-llama.gguf", "tiny-gemma3.gguf"}) {
    CAPTURE(name);
    const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(source_path(std::string("tests/data/") + name));
    check_round_trips(*tokenizer, any_character);
  }
}

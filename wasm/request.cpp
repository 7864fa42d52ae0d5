#include "wasm/request.h"

#include <cmath>
#include <limits>
#include <string_view>

#include "core/engine/text_model.h"
#include "wasm/js_json.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kMostInt = std::numeric_limits<int>::max();

Error wrong_type(std::string_view field, const Json& found, std::string_view expected) {
  return Error{ErrorCode::kInvalidArgument, std::string(field) + ": found " + found.type_name() + ", expected " + std::string(expected),
               ""};
}

// Reads fields of one object into variables; remembers the first that does not fit.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {
    if (!object.is_object()) failure_ = wrong_type("request", object, "an object");
  }

  void read(const char* field, bool& out) {
    if (const Json* value = find(field, &Json::is_boolean, "true or false")) out = value->get<bool>();
  }
  void read(const char* field, float& out) {
    if (const Json* value = find(field, &Json::is_number, "a number")) out = value->get<float>();
  }
  void read(const char* field, int& out) {
    const Json* value = find(field, &Json::is_number, "a whole number");
    if (value == nullptr) return;
    const double number = value->get<double>();
    const bool fits = std::abs(number) <= kMostInt;
    if (fits) out = static_cast<int>(number);
    if (!fits || static_cast<double>(out) != number) {
      failure_ =
          Error{ErrorCode::kInvalidArgument,
                std::string(field) + ": found " + value->dump() + ", expected a whole number of at most " + std::to_string(kMostInt), ""};
    }
  }
  void read(const char* field, uint64_t& out) {
    if (const Json* value = find(field, &Json::is_number_unsigned, "a whole number")) out = value->get<uint64_t>();
  }
  void read(const char* field, std::string& out) {
    if (const Json* value = find(field, &Json::is_string, "a string")) out = value->get<std::string>();
  }
  void read(const char* field, std::vector<std::string>& out) {
    const Json* value = find(field, &Json::is_array, "an array of strings");
    if (value == nullptr) return;
    for (const Json& item : *value) {
      if (!item.is_string()) return fail(wrong_type(field, item, "strings"));
      out.push_back(item.get<std::string>());
    }
  }
  void read(const char* field, std::vector<std::pair<int32_t, float>>& out) {
    const Json* value = find(field, &Json::is_array, "an array of [id, number]");
    if (value == nullptr) return;
    for (const Json& item : *value) {
      if (!item.is_array() || item.size() != 2 || !item[0].is_number_integer() || !item[1].is_number())
        return fail(wrong_type(field, item, "[id, number]"));
      out.emplace_back(item[0].get<int32_t>(), item[1].get<float>());
    }
  }

  void fail(Error error) {
    if (failure_.message.empty()) failure_ = std::move(error);
  }
  bool ok() const { return failure_.message.empty(); }
  const Error& failure() const { return failure_; }

 private:
  const Json* find(const char* field, bool (Json::*fits)() const noexcept, std::string_view expected) {
    if (!ok()) return nullptr;
    const auto place = object_.find(field);
    if (place == object_.end()) return nullptr;
    if (((*place).*fits)()) return &*place;
    fail(wrong_type(field, *place, expected));
    return nullptr;
  }

  const Json& object_;
  Error failure_{ErrorCode::kInvalidArgument, "", ""};
};

void read_sampler(Fields& in, SamplerOptions& out) {
  in.read("temperature", out.temperature);
  in.read("top_k", out.top_k);
  in.read("top_p", out.top_p);
  in.read("min_p", out.min_p);
  in.read("typical_p", out.typical_p);
  in.read("repeat_penalty", out.repeat_penalty);
  in.read("frequency_penalty", out.frequency_penalty);
  in.read("presence_penalty", out.presence_penalty);
  in.read("penalty_window", out.penalty_window);
  in.read("logit_bias", out.logit_bias);
  in.read("seed", out.seed);
}

/// The Jinja source of the chat template, which messages call `field`; "" where nothing says.
Result<std::string> read_template(Fields& in, std::string_view field) {
  std::string given;
  in.read("chat_template", given);
  if (!in.ok()) return in.failure();
  return given.empty() ? Result<std::string>(given) : chat_template_source(given, field);
}

/// What the answer has to be; null where nothing says.
Result<AnswerGrammar> read_grammar(Fields& in, const Json& object) {
  std::string grammar;
  in.read("grammar", grammar);
  if (!in.ok()) return in.failure();
  if (!grammar.empty()) return grammar_of_gbnf(grammar);
  if (object.contains("json_schema")) return grammar_of_schema(object["json_schema"]);
  return AnswerGrammar();
}

}  // namespace

Result<EngineOptions> parse_engine_options(const std::string& json) {
  const Json object = parse_json(json);
  Fields in(object);
  EngineOptions options;
  std::string kv_type = "auto";
  in.read("threads", options.threads);
  in.read("context_size", options.context_size);
  in.read("kv_type", kv_type);
  in.read("most_bytes", options.most_bytes);
  in.read("first_layer", options.layers.first);
  in.read("end_layer", options.layers.end);
  if (!in.ok()) return in.failure();
  options.kv_type = kv_type_from_name(kv_type);
  if (!options.kv_type && kv_type != "auto") {
    return Error{ErrorCode::kInvalidArgument, "kvType: found '" + kv_type + "', expected auto, q16_8, f32, f16 or q8_0", ""};
  }
  Result<std::string> source = read_template(in, "chatTemplate");
  if (!source) return source.error();
  options.chat_template = std::move(*source);
  return options;
}

Result<AnswerRequest> parse_answer_request(const std::string& json) {
  const Json object = parse_json(json);
  Fields in(object);
  AnswerRequest request;
  in.read("prompt", request.prompt);
  in.read("max_tokens", request.options.max_tokens);
  in.read("stop", request.options.stop);
  in.read("logprobs", request.options.logprobs);
  in.read("top_logprobs", request.options.top_logprobs);
  in.read("prompt_lookup", request.options.prompt_lookup);
  Result<std::string> source = read_template(in, "chat_template");
  if (!source) return source.error();
  request.options.template_override = std::move(*source);
  Result<AnswerGrammar> grammar = read_grammar(in, object);
  if (!grammar) return grammar.error();
  request.options.grammar = std::move(*grammar);
  request.options.chat = object.contains("messages");
  request.options.split_reasoning = request.options.chat;
  if (request.options.chat) request.messages = object["messages"];
  if (!object.contains("sampler")) return request;
  Fields sampler(object["sampler"]);
  read_sampler(sampler, request.options.sampler);
  if (!sampler.ok()) return sampler.failure();
  return request;
}

Result<BenchOptions> parse_bench_options(const std::string& json) {
  const Json object = parse_json(json);
  Fields in(object);
  BenchOptions options;
  in.read("promptTokens", options.prompt_tokens);
  in.read("generateTokens", options.generate_tokens);
  in.read("depth", options.depth);
  in.read("repetitions", options.repetitions);
  in.read("profile", options.profile);
  in.read("roofline", options.roofline);
  if (!in.ok()) return in.failure();
  return options;
}

Result<std::vector<int32_t>> parse_ids(const std::string& json) {
  const Json array = parse_json(json);
  if (!array.is_array()) return wrong_type("ids", array, "an array of token ids");
  std::vector<int32_t> ids;
  ids.reserve(array.size());
  for (const Json& item : array) {
    if (!item.is_number_integer()) return wrong_type("ids", item, "token ids");
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

}  // namespace tessera

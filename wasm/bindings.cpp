// Owns the Embind surface of the module: one class whose methods take and give JSON; translation only.
#include <emscripten/bind.h>

#include <algorithm>
#include <chrono>

#include "core/engine/estimate.h"
#include "core/engine/evaluate.h"
#include "core/engine/parts.h"
#include "core/engine/session.h"
#include "core/engine/tune.h"
#include "wasm/answer.h"
#include "wasm/js_byte_source.h"
#include "wasm/js_upstream.h"
#include "wasm/request.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

Json info_json(const EngineInfo& info) {
  return Object()
      .add("name", info.name)
      .add("architecture", info.architecture)
      .add("quantization", info.quantization)
      .add("parameters", info.parameters)
      .add("context_size", info.context_size)
      .add("trained_context", info.trained_context)
      .add("vocab_size", info.vocab_size)
      .add("threads", info.threads)
      .add("kernels", info.kernels)
      .add("streams", info.streams)
      .add("kv_type", kv_type_name(info.kv_type))
      .add("weight_bytes", info.weight_bytes)
      .add("kv_bytes", info.kv_bytes)
      .add("workspace_bytes", info.workspace_bytes)
      .add("load_ms", info.load_ms)
      .add("has_chat_template", info.has_chat_template)
      .add("template_error", info.template_error)
      .json();
}

// What a trial finds.
Json settings_json(const EngineInfo& info) {
  return Object().add("kernels", info.kernels).add("threads", info.threads).add("streams", info.streams).json();
}

Json generation_json(const Generation& generation) {
  return Object()
      .add("text", generation.text)
      .add("reasoning", generation.reasoning)
      .add("tokens", generation.tokens)
      .add("prompt_tokens", generation.prompt_tokens)
      .add("reused_tokens", generation.reused_tokens)
      .add("finish_reason", finish_reason_name(generation.finish_reason))
      .add("prefill_ms", generation.prefill_ms)
      .add("prefill_tps", generation.prefill_tps())
      .add("decode_tps", generation.decode_tps())
      .json();
}

// A token as web/engine/protocol.js knows it; the bytes as numbers, because a token may be part of a character.
Json scored_json(const Engine& engine, int32_t id, float logprob) {
  Json bytes = Json::array();
  for (const char byte : engine.token_bytes(id)) bytes.push_back(static_cast<uint8_t>(byte));
  return Object().add("id", id).add("bytes", std::move(bytes)).add("logprob", logprob).json();
}

/// One model, or the part of one, with one session and at most one answer in progress. All calls come from the engine worker's thread.
class Runtime {
 public:
  /// `readers`: as in sources_of; `upstream`: as in JsUpstream, or null for a model or part with the first layers; `on_progress(done,
  /// total)`.
  std::string load(emscripten::val readers, const std::string& options_json, emscripten::val upstream, emscripten::val on_progress) {
    Result<EngineOptions> options = parse_engine_options(options_json);
    if (!options) return failure(options.error());
    options->on_progress = [&](uint64_t done, uint64_t total) {
      on_progress(static_cast<double>(done), static_cast<double>(total));
      return true;
    };
    Result<std::unique_ptr<Engine>> engine = Engine::load(sources_of(readers), *options);
    if (!engine) return failure(engine.error());
    std::shared_ptr<Upstream> before;
    if (!upstream.isNull()) before = std::make_shared<JsUpstream>(std::move(upstream));
    Result<std::unique_ptr<Session>> session = Session::create(**engine, std::move(before));
    if (!session) return failure(session.error());
    engine_ = std::move(*engine);
    session_ = std::move(*session);
    return value(info_json(engine_->info()));
  }

  /// How to cut a model into parts for memories that hold `most_bytes` of the options; needs no model. An array of
  /// {first_layer, end_layer, read_bytes}.
  std::string plan(emscripten::val readers, const std::string& options_json) const {
    Result<EngineOptions> options = parse_engine_options(options_json);
    if (!options) return failure(options.error());
    const auto parts = plan_parts(sources_of(readers), options->context_size, options->kv_type, options->most_bytes);
    if (!parts) return failure(parts.error());
    Json plan = Json::array();
    for (const PartSize& part : parts.value()) {
      plan.push_back(
          Object().add("first_layer", part.layers.first).add("end_layer", part.layers.end).add("read_bytes", part.read_bytes).json());
    }
    return value(std::move(plan));
  }

  /// Of a part whose session is an upstream: room for `count` tokens of the batch that begin_pass will compute; an address.
  uintptr_t pass_tokens(int count) {
    pass_tokens_.resize(static_cast<size_t>(count));
    return reinterpret_cast<uintptr_t>(pass_tokens_.data());
  }
  void begin_pass(int position) { session_->begin(position, pass_tokens_); }
  void step_pass() { session_->step(); }
  /// `count` floats of the residual stream; an address, good until the next call.
  uintptr_t read_pass(int count) {
    residual_.resize(static_cast<size_t>(count));
    session_->read(residual_);
    return reinterpret_cast<uintptr_t>(residual_.data());
  }

  /// Reads `adapters`, an array of {readers, scale}, for use_adapters. After a failure, which names its place in the array, those before
  /// are still in use.
  std::string load_adapters(emscripten::val adapters) {
    loaded_.clear();
    for (auto& given : emscripten::vecFromJSArray<emscripten::val>(adapters)) {
      Result<std::shared_ptr<const Adapter>> adapter = engine_->load_adapter(sources_of(given["readers"]));
      if (!adapter) {
        const Error& error = adapter.error();
        return failure({error.code, "lora[" + std::to_string(loaded_.size()) + "]: " + error.message, error.hint});
      }
      loaded_.emplace_back(std::move(*adapter), given["scale"].as<float>());
    }
    return value(nullptr);
  }

  /// From now on the adapters of load_adapters work, in place of those before.
  std::string use_adapters() {
    const Result<void> taken = session_->set_adapters(std::exchange(loaded_, {}));
    return taken ? value(nullptr) : failure(taken.error());
  }

  /// What loading will take, from the first bytes of each file; needs no model. `readers`: as in sources_of, `options` as for load.
  std::string estimate(emscripten::val readers, const std::string& options_json) const {
    Result<EngineOptions> options = parse_engine_options(options_json);
    if (!options) return failure(options.error());
    const Result<Estimate> found = tessera::estimate(sources_of(readers), *options);
    if (!found) return failure(found.error());
    const Estimate& estimate = found.value();
    Json object = Object()
                      .add("name", estimate.name)
                      .add("architecture", estimate.architecture)
                      .add("quantization", estimate.quantization)
                      .add("parameters", estimate.parameters)
                      .add("bits_per_weight", estimate.bits_per_weight())
                      .add("context_size", estimate.context_size)
                      .add("trained_context", estimate.trained_context)
                      .add("kv_type", kv_type_name(estimate.kv_type))
                      .json();
    object.update(estimate_json(estimate));
    return value(std::move(object));
  }

  /// Computes a short batch and a single token, both in the context, then forgets them: the browser compiles the hot loops meanwhile.
  std::string warmup() {
    const int room = engine_->info().context_size;
    const std::vector<int32_t> batch(static_cast<size_t>(std::min(kWarmupTokens, room)), 0);
    for (const size_t count : {batch.size(), size_t{1}}) {
      session_->truncate(room - static_cast<int>(count));
      const Result<int> taken = session_->extend(std::span(batch).first(count));
      if (!taken) return failure(taken.error());
    }
    session_->truncate(0);
    return value(nullptr);
  }

  /// `kernels`, `threads` and `streams` as in TuneOptions. Returns those in use.
  std::string tune(const std::string& kernels, int threads, int streams) {
    const Result<void> done = tessera::tune(*engine_, *session_, {kernels, threads, streams});
    if (!done) return failure(done.error());
    return value(settings_json(engine_->info()));
  }

  std::string tokenize(const std::string& text, bool special, bool bos) const { return value(engine_->tokenize(text, special, bos)); }

  std::string detokenize(const std::string& ids_json) const {
    const Result<std::vector<int32_t>> ids = parse_ids(ids_json);
    if (!ids) return failure(ids.error());
    const Result<std::string> text = engine_->detokenize(ids.value());
    return text ? value(text.value()) : failure(text.error());
  }

  /// Begins an answer to an AnswerRequest.
  std::string start(const std::string& request_json) {
    Result<AnswerRequest> request = parse_answer_request(request_json);
    if (!request) return failure(request.error());
    Result<std::vector<int32_t>> prompt = prompt_of(*request);
    if (!prompt) return failure(prompt.error());
    Result<std::unique_ptr<Generator>> generator = Generator::start(*session_, *prompt, request->options);
    if (!generator) return failure(generator.error());
    generator_ = std::move(*generator);
    scored_ = request->options.logprobs;
    return value(nullptr);
  }

  /// GenerateSteps of web/engine/protocol.js: tokens until `milliseconds` are over, or something else has come. Each call from JavaScript
  /// is long enough for the pool's threads to fall asleep. What fails behind a token fails again in the next call.
  std::string steps(double milliseconds) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    Json steps = Json::array();
    for (bool more = true; more;) {
      const Result<GenerateStep> result = generator_->step();
      if (!result && steps.empty()) return failure(result.error());
      if (!result) break;
      steps.push_back(step_json(result.value()));
      more = result.value().kind == GenerateStep::Kind::kToken &&
             (Clock::now() - start) < std::chrono::duration<double, std::milli>(milliseconds);
    }
    return value(std::move(steps));
  }

  void stop() { generator_.reset(); }

  /// {"hash", "top": per position [[id, logprob], …]}
  std::string logits(const std::string& ids_json, int top) {
    const Result<std::vector<int32_t>> ids = parse_ids(ids_json);
    if (!ids) return failure(ids.error());
    LogitsOptions options;
    options.top = top;
    const Result<LogitsReport> report = report_logits(*session_, ids.value(), options);
    if (!report) return failure(report.error());
    Json tops = Json::array();
    for (const LogitsReport::Position& position : report.value().positions) tops.push_back(position.top);
    return value(Object().add("hash", report.value().hash).add("top", std::move(tops)).json());
  }

  /// As `tessera bench --json`, but for the model's name and the peak, which JavaScript knows.
  std::string bench(const std::string& options_json) {
    const Result<BenchOptions> options = parse_bench_options(options_json);
    if (!options) return failure(options.error());
    const Result<BenchReport> report = run_bench(*session_, options.value());
    if (!report) return failure(report.error());
    Json object = settings_json(engine_->info());
    object["load_ms"] = engine_->info().load_ms;
    object.update(bench_json(options.value(), report.value()));
    return value(std::move(object));
  }

 private:
  Json step_json(const GenerateStep& step) const {
    Object object;
    switch (step.kind) {
      case GenerateStep::Kind::kPrefill:
        return object.add("kind", "prefill").add("done", step.prompt_done).add("total", step.prompt_total).json();
      case GenerateStep::Kind::kWorking: return object.add("kind", "working").json();
      case GenerateStep::Kind::kDone: object.add("kind", "done").add("generation", generation_json(generator_->result())); break;
      case GenerateStep::Kind::kToken: object.add("kind", "token").add("token", step.token);
    }
    Json json = object.add("text", step.text).add("reasoning", step.reasoning).json();
    if (scored_ && step.kind == GenerateStep::Kind::kToken) {
      json["scored"] = scored_json(*engine_, step.token, step.logprob);
      json["top"] = Json::array();
      for (const auto& [id, logprob] : step.top) json["top"].push_back(scored_json(*engine_, id, logprob));
    }
    return json;
  }

  static constexpr int kWarmupTokens = 16;

  Result<std::vector<int32_t>> prompt_of(const AnswerRequest& request) const {
    if (!request.options.chat) return engine_->raw_prompt(request.prompt);
    return engine_->chat_prompt(Object().add("messages", request.messages).json(), request.options.template_override);
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Generator> generator_;
  std::vector<std::pair<std::shared_ptr<const Adapter>, float>> loaded_;
  std::vector<int32_t> pass_tokens_;
  std::vector<float> residual_;
  bool scored_ = false;
};

}  // namespace
}  // namespace tessera

EMSCRIPTEN_BINDINGS(tessera) {
  using tessera::Runtime;
  emscripten::class_<Runtime>("Runtime")
      .constructor<>()
      .function("load", &Runtime::load)
      .function("estimate", &Runtime::estimate)
      .function("plan", &Runtime::plan)
      .function("passTokens", &Runtime::pass_tokens)
      .function("beginPass", &Runtime::begin_pass)
      .function("stepPass", &Runtime::step_pass)
      .function("readPass", &Runtime::read_pass)
      .function("loadAdapters", &Runtime::load_adapters)
      .function("useAdapters", &Runtime::use_adapters)
      .function("warmup", &Runtime::warmup)
      .function("tune", &Runtime::tune)
      .function("tokenize", &Runtime::tokenize)
      .function("detokenize", &Runtime::detokenize)
      .function("start", &Runtime::start)
      .function("steps", &Runtime::steps)
      .function("stop", &Runtime::stop)
      .function("logits", &Runtime::logits)
      .function("bench", &Runtime::bench);
}

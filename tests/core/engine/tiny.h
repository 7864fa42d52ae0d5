// Owns the loading of the tiny models of tests/data for the engine's tests, and answers from their start to their end.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/engine/engine.h"
#include "core/engine/generator.h"
#include "core/engine/session.h"
#include "core/gguf/writer.h"
#include "doctest/doctest.h"
#include "nlohmann/json.hpp"
#include "tests/core/source_path.h"

namespace tessera::testing {

inline constexpr const char* kTinyModels[] = {"tiny-llama", "tiny-gemma3", "tiny-formats"};

inline std::vector<std::shared_ptr<const ByteSource>> tiny_parts(const std::string& name) {
  auto file = map_file(source_path("tests/data/" + name + ".gguf"));
  REQUIRE(file.ok());
  return {std::move(*file)};
}

inline std::unique_ptr<Engine> load_tiny(const std::string& name,
                                         EngineOptions options = {.threads = 2, .kernels = "", .on_progress = {}}) {
  auto engine = Engine::load(tiny_parts(name), options);
  REQUIRE_MESSAGE(engine.ok(), (engine ? "" : engine.error().message));
  return std::move(*engine);
}

inline std::unique_ptr<Session> new_session(const Engine& engine) {
  auto session = Session::create(engine);
  REQUIRE(session.ok());
  return std::move(*session);
}

/// A chat's one question, under the model's template or another.
inline std::vector<int32_t> chat_prompt(const Engine& engine, std::string_view template_override = "") {
  const auto ids = engine.chat_prompt({{"messages", {{{"role", "user"}, {"content", "Who is there?"}}}}}, template_override);
  REQUIRE(ids.ok());
  return ids.value();
}

/// Runs an answer to its end; `each` sees its steps.
inline Generation answer_whole(
    Session& session, std::span<const int32_t> prompt, const GenerateOptions& options,
    const std::function<void(const GenerateStep&)>& each = [](const GenerateStep&) {}) {
  auto generator = Generator::start(session, prompt, options);
  REQUIRE_MESSAGE(generator.ok(), (generator ? "" : generator.error().message));
  while (true) {
    const auto step = (*generator)->step();
    REQUIRE(step.ok());
    each(step.value());
    if (step.value().kind == GenerateStep::Kind::kDone) break;
  }
  CHECK((*generator)->step().value().kind == GenerateStep::Kind::kDone);  // and stays so
  return (*generator)->result();
}

/// The tiny model with other values under some metadata keys.
inline std::vector<std::shared_ptr<const ByteSource>> changed_parts(const std::string& name,
                                                                    const std::vector<std::pair<std::string, MetadataValue>>& changes) {
  auto file = GgufFile::open(tiny_parts(name).front());
  REQUIRE(file.ok());
  GgufWriter writer;
  for (const auto& [known, old] : file->metadata()) writer.set(known, old);
  for (const auto& [key, value] : changes) writer.set(key, value);
  for (const TensorInfo& tensor : file->tensors()) {
    const auto bytes = file->view(tensor);
    REQUIRE(writer.add_tensor(tensor.name, tensor.dtype, tensor.shape, {bytes.begin(), bytes.end()}).ok());
  }
  return {std::make_shared<MemorySource>(writer.to_bytes().value())};
}

inline std::vector<std::shared_ptr<const ByteSource>> changed_parts(const std::string& name, const std::string& key, MetadataValue value) {
  return changed_parts(name, {{key, std::move(value)}});
}

/// `count` ids that look random but are always the same.
inline std::vector<int32_t> some_tokens(const Engine& engine, int count, int seed = 1) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>((static_cast<int64_t>(i + seed) * 7919 + seed * 104729) % engine.info().vocab_size));
  }
  return tokens;
}

}  // namespace tessera::testing

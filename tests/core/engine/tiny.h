// Owns the loading of the tiny models of tests/data for the engine's tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/engine/session.h"
#include "doctest/doctest.h"
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

/// `count` ids that look random but are always the same.
inline std::vector<int32_t> some_tokens(const Engine& engine, int count, int seed = 1) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>((static_cast<int64_t>(i + seed) * 7919 + seed * 104729) % engine.info().vocab_size));
  }
  return tokens;
}

}  // namespace tessera::testing

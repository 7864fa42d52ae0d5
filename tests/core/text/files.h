// Owns how the text tests find vocabularies on disk: committed tiny ones, real models and outside test data.
#pragma once

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "core/text/tokenizer.h"
#include "doctest/doctest.h"
#include "nlohmann/json.hpp"
#include "tests/core/source_path.h"

namespace tessera::test {

/// The folder of outside test data: TESSERA_TESTDATA, or beside the repository.
inline std::string testdata_folder() {
  const char* folder = std::getenv("TESSERA_TESTDATA");
  return folder != nullptr ? folder : source_path("../shared/testdata");
}

inline bool file_exists(const std::string& path) { return std::ifstream(path).good(); }

inline nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  nlohmann::json parsed = nlohmann::json::parse(text.str(), nullptr, false);
  REQUIRE_MESSAGE(!parsed.is_discarded(), path << " is not JSON");
  return parsed;
}

inline std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  Result<std::shared_ptr<const ByteSource>> source = map_file(path);
  REQUIRE_MESSAGE(source.ok(), path);
  Result<GgufFile> file = GgufFile::open(*source);
  REQUIRE_MESSAGE(file.ok(), path);
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::from_gguf(*file);
  REQUIRE_MESSAGE(tokenizer.ok(), path);
  return std::move(*tokenizer);
}

}  // namespace tessera::test

// The choice of formats against llama-quantize's own (tests/data/quantize-plans.json, made by scripts/make_quantize_plans.py).
#include "core/quantize/plan.h"

#include <fstream>
#include <string>

#include "doctest/doctest.h"
#include "nlohmann/json.hpp"
#include "tests/core/source_path.h"

using namespace tessera;
using Json = nlohmann::ordered_json;

namespace {

Json golden() {
  std::ifstream file(source_path("tests/data/quantize-plans.json"), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return Json::parse(text);
}

DType format_named(const std::string& name) {
  for (const DTypeTraits& format : all_dtypes()) {
    std::string own(format.name);
    for (char& letter : own) letter = static_cast<char>(std::toupper(letter));
    if (own == name) return format.dtype;
  }
  FAIL("unknown format " << name);
  return DType::kF32;
}

/// The tensors of a model as the golden file describes them: one entry a kind, a tensor of it in every layer.
std::vector<TensorInfo> tensors_of(const Json& model) {
  std::vector<TensorInfo> tensors;
  for (const auto& [kind, entry] : model["tensors"].items()) {
    for (int layer = 0; layer < entry["layers"].get<int>(); ++layer) {
      std::string name = kind;
      if (const size_t star = name.find('*'); star != std::string::npos) name.replace(star, 1, std::to_string(layer));
      tensors.push_back({name, format_named(entry["format"].get<std::string>()), entry["shape"].get<std::vector<uint64_t>>()});
    }
  }
  return tensors;
}

/// "Q4_K*2 Q6_K*1" for the formats that were chosen for one kind of tensor.
std::string runs(std::span<const DType> formats) {
  std::string text;
  for (size_t i = 0; i < formats.size();) {
    size_t end = i;
    while (end < formats.size() && formats[end] == formats[i]) ++end;
    std::string name(traits(formats[i]).name);
    for (char& letter : name) letter = static_cast<char>(std::toupper(letter));
    text += (text.empty() ? "" : " ") + name + "*" + std::to_string(end - i);
    i = end;
  }
  return text;
}

size_t compare(const Json& model, const Json& plans, bool has_importance) {
  const std::vector<TensorInfo> tensors = tensors_of(model);
  const ModelShape shape{model["architecture"], model["layers"], model["heads_per_kv_head"], model["experts"], model["tied"]};
  size_t compared = 0;
  for (const auto& [type, expected] : plans.items()) {
    const auto formats = plan_formats(tensors, shape, file_type_from_name(type).value(),
                                      {.pure = false, .has_importance = has_importance, .output_type = {}, .embedding_type = {}});
    size_t at = 0;
    for (const auto& [kind, entry] : model["tensors"].items()) {
      const size_t layers = entry["layers"];
      if (expected.contains(kind)) {
        INFO(model["name"].get<std::string>(), ", ", type, ", ", kind);
        CHECK(runs(std::span(formats).subspan(at, layers)) == expected[kind].get<std::string>());
        ++compared;
      } else {
        CHECK(formats[at] == tensors[at].dtype);  // a vector
      }
      at += layers;
    }
  }
  return compared;
}

}  // namespace

TEST_CASE("plan: every tensor gets the format that llama-quantize gives it") {
  const Json file = golden();
  CHECK(file["models"].size() >= 10);
  size_t compared = 0;
  for (const Json& model : file["models"]) {
    compared += compare(model, model["plans"], false);
    compared += compare(model, model["plans_with_importance"], true);
  }
  CHECK(compared > 2000);
}

TEST_CASE("plan: pure, and formats asked for by name") {
  const std::vector<TensorInfo> tensors = {{"token_embd.weight", DType::kF16, {256, 32}},
                                           {"output.weight", DType::kF16, {256, 32}},
                                           {"blk.0.attn_v.weight", DType::kF16, {256, 256}},
                                           {"blk.0.attn_norm.weight", DType::kF32, {256}},
                                           {"blk.0.ffn_down.weight", DType::kF16, {320, 256}}};
  const FileType type = file_type_from_name("q4_k").value();  // any letter case; _M by default
  CHECK(type.name == "Q4_K_M");
  const ModelShape shape{"llama", 1, 1, 0, false};
  PlanOptions options{.pure = true, .has_importance = false, .output_type = {}, .embedding_type = {}};
  CHECK(plan_formats(tensors, shape, type, options) == std::vector{DType::kQ4_K, DType::kQ4_K, DType::kQ4_K, DType::kF32, DType::kQ5_0});
  options = {.pure = false, .has_importance = false, .output_type = DType::kF16, .embedding_type = DType::kQ8_0};
  CHECK(plan_formats(tensors, shape, type, options) == std::vector{DType::kQ8_0, DType::kF16, DType::kQ6_K, DType::kF32, DType::kQ8_0});
}

TEST_CASE("plan: a matrix of one row is a vector and keeps its format, as in llama-quantize") {
  const std::vector<TensorInfo> tensors = {{"blk.0.ffn_gate_inp_shexp.weight", DType::kF32, {256, 1}},
                                           {"blk.0.ffn_gate.weight", DType::kF16, {256, 1, 1}},
                                           {"blk.0.ffn_up.weight", DType::kF16, {256, 1, 2}}};
  const FileType type = file_type_from_name("Q4_0").value();
  CHECK(plan_formats(tensors, {"qwen2moe", 1, 1, 0, false}, type, {}) == std::vector{DType::kF32, DType::kF16, DType::kQ4_0});
}

TEST_CASE("plan: a type that cannot be written is refused with the list of those that can") {
  const auto type = file_type_from_name("IQ2_XXS");
  REQUIRE(!type.ok());
  CHECK(type.error().code == ErrorCode::kInvalidArgument);
  CHECK(type.error().message.find("IQ2_XXS") != std::string::npos);
  CHECK(type.error().hint.find("Q4_K_M") != std::string::npos);
  const auto format = tensor_type_from_name("Q4_K_M");  // a mix is not a tensor's format
  REQUIRE(!format.ok());
  CHECK(format.error().hint.find("Q4_K,") != std::string::npos);
  CHECK(tensor_type_from_name("q6_k").value() == DType::kQ6_K);
}

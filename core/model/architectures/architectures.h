// Owns the list of architectures: a name of general.architecture and what it adds to the keys that all of them share.
#pragma once

#include <span>
#include <string_view>

#include "core/model/config.h"
#include "core/model/config_reader.h"

namespace tessera {

/// Sets what differs from a plain Llama 1. Shape and rope are read already; errors are kept by the reader.
using ReadArchitecture = void (*)(ConfigReader& in, Config& config);

struct Architecture {
  std::string_view name;
  ReadArchitecture read;
};

// One file a family.
void read_llama(ConfigReader& in, Config& config);
void read_arcee(ConfigReader& in, Config& config);
void read_mistral3(ConfigReader& in, Config& config);
void read_smollm3(ConfigReader& in, Config& config);
void read_ernie4_5(ConfigReader& in, Config& config);
void read_granite(ConfigReader& in, Config& config);
void read_granite_moe(ConfigReader& in, Config& config);
void read_qwen2(ConfigReader& in, Config& config);
void read_qwen2_moe(ConfigReader& in, Config& config);
void read_qwen3(ConfigReader& in, Config& config);
void read_qwen3_moe(ConfigReader& in, Config& config);
void read_gemma(ConfigReader& in, Config& config);
void read_gemma2(ConfigReader& in, Config& config);
void read_gemma3(ConfigReader& in, Config& config);
void read_gemma4(ConfigReader& in, Config& config);
void read_phi3(ConfigReader& in, Config& config);
void read_olmo2(ConfigReader& in, Config& config);
void read_exaone4(ConfigReader& in, Config& config);
void read_hunyuan_dense(ConfigReader& in, Config& config);
void read_gpt_oss(ConfigReader& in, Config& config);
void read_lfm2(ConfigReader& in, Config& config);

/// All that this build runs, by family.
inline constexpr Architecture kArchitectures[] = {
    {"llama", read_llama},
    {"arcee", read_arcee},
    {"mistral3", read_mistral3},
    {"smollm3", read_smollm3},
    {"ernie4_5", read_ernie4_5},
    {"granite", read_granite},
    {"granitemoe", read_granite_moe},
    {"qwen2", read_qwen2},
    {"qwen2moe", read_qwen2_moe},
    {"qwen3", read_qwen3},
    {"qwen3moe", read_qwen3_moe},
    {"gemma", read_gemma},
    {"gemma2", read_gemma2},
    {"gemma3", read_gemma3},
    {"gemma4", read_gemma4},
    {"phi3", read_phi3},
    {"olmo2", read_olmo2},
    {"exaone4", read_exaone4},
    {"hunyuan-dense", read_hunyuan_dense},
    {"gpt-oss", read_gpt_oss},
    {"lfm2", read_lfm2},
};

/// expert_count, expert_used_count and expert_feed_forward_length (absent: feed_forward_length).
void read_experts(ConfigReader& in, Config& config);

}  // namespace tessera

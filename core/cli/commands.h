// Owns the list of commands: each function adds one to the parser and sets `action` when it was chosen.
#pragma once

#include "core/cli/options.h"

namespace tessera::cli {

void add_chat(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_tokenize(CLI::App& app, Action& action);
void add_render(CLI::App& app, Action& action);
void add_logits(CLI::App& app, Action& action);
void add_perplexity(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_estimate(CLI::App& app, Action& action);
void add_split(CLI::App& app, Action& action);
void add_quantize(CLI::App& app, Action& action);
void add_imatrix(CLI::App& app, Action& action);

}  // namespace tessera::cli

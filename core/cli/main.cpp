// The command line's entry: parses `tessera COMMAND …` and turns every outcome into an exit code (0, 1 error, 2 bad usage).
#include <cstdio>
#include <string>
#include <vector>

#include "core/cli/commands.h"
#include "core/cli/console.h"

namespace {

constexpr const char* kVersion = "tessera 0.1.0";

constexpr const char* kFooter =
    "Results go to stdout (with --json: exactly one JSON object), everything else to stderr.\n"
    "Exit codes: 0 done, 1 error (\"error: CODE: message\" on stderr), 2 bad usage.\n"
    "Every command but quantize takes -m, -t, -c, --kernels, --kv, --lora and --json; most of them matter only where a model runs.\n"
    "`tessera COMMAND --help` explains a command.";

}  // namespace

int main(int argc, char** argv) {
  using namespace tessera::cli;
  hold_standard_streams();
  CLI::App app("Runs GGUF language models on this machine's processor.", "tessera");
  app.set_version_flag("--version", kVersion);
  app.footer(kFooter);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Action action;
  add_chat(app, action);
  add_run(app, action);
  add_tokenize(app, action);
  add_render(app, action);
  add_logits(app, action);
  add_perplexity(app, action);
  add_bench(app, action);
  add_inspect(app, action);
  add_estimate(app, action);
  add_split(app, action);
  add_quantize(app, action);
  add_imatrix(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    return finish_output(app.exit(wanted));
  } catch (const CLI::ParseError& error) {
    // CLI11 misses a command before it complains of a word that is none.
    const std::vector<std::string> unknown = app.get_subcommands().empty() ? app.remaining() : std::vector<std::string>();
    const std::string what = unknown.empty() ? error.what() : "expected a command, found \"" + unknown.front() + "\"";
    std::fprintf(stderr, "usage: %s\nhint: run `tessera --help` or `tessera COMMAND --help`\n", what.c_str());
    return 2;
  }
  report_bus_errors();
  return finish_output(action());
}

// Owns `tessera chat`: a conversation on the terminal. The conversation is the list of messages; the session only caches it.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "core/cli/commands.h"
#include "core/cli/console.h"
#include "core/cli/model_files.h"
#include "core/cli/stream_answer.h"
#include "nlohmann/json.hpp"

namespace tessera::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kHelp =
    "/reset    forget the conversation (the system message stays)\n"
    "/regen    answer the last message again\n"
    "/save F   write the conversation to F: JSON if it ends in .json, else Markdown\n"
    "/stats    speed of the last answer, room left in the context\n"
    "/quit     leave (Ctrl-D, or Ctrl-C at an empty prompt twice, does, too)\n"
    "Ctrl-C stops an answer; what was written of it stays in the conversation. Before its first word, the message is taken back.\n";

struct ChatOptions {
  ModelOptions model;
  SamplingOptions sampling;
  AnswerOptions answer;
};

/// One conversation and the commands on it.
class Chat {
 public:
  Chat(Loaded& loaded, const AnswerOptions& answer, const GenerateOptions& generate)
      : session_(*loaded.session), generate_(generate), system_(answer.system) {
    reset();
  }

  /// Reads lines until the user leaves; the exit code.
  int loop();
  Json conversation() const { return {{"messages", messages_}}; }

 private:
  void reset();
  bool obey(const std::string& line);
  void say(const std::string& text);
  void regenerate();
  bool answer();
  Result<Generation> generate_answer(std::span<const int32_t> prompt);
  void save(const std::string& path);
  void show_stats() const;
  std::string as_markdown() const;

  Session& session_;
  GenerateOptions generate_;
  std::string system_;
  Json messages_;
  Generation last_;
  std::string saved_as_;  ///< the file this conversation was written to; only that one may be replaced
};

void Chat::reset() {
  messages_ = Json::array();
  saved_as_.clear();
  if (!system_.empty()) {
    messages_.push_back({{"role", "system"}, {"content", system_}});
  }
}

int Chat::loop() {
  const bool terminal = isatty(STDIN_FILENO) != 0;
  bool leaving = false;
  while (true) {
    if (terminal) {
      print(coloured("> ", "36"));
    }
    std::string line;
    const Result<LineStatus> status = read_line(line);
    if (!status) {
      return fail(status.error());
    }
    if (status.value() == LineStatus::kEnd) {
      return 0;
    }
    if (status.value() == LineStatus::kInterrupted) {
      take_interrupt();
      if (leaving) {
        print("\n");
        return 0;
      }
      leaving = true;
      print("\n(Ctrl-C again, or /quit, leaves)\n");
      continue;
    }
    leaving = false;
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    if (!line.starts_with('/')) {
      say(line);
    } else if (!obey(line)) {
      return 0;
    }
  }
}

/// Carries out a /command; false when it is /quit.
bool Chat::obey(const std::string& line) {
  const size_t space = line.find(' ');
  const std::string name = line.substr(0, space);
  const size_t begin = space == std::string::npos ? space : line.find_first_not_of(' ', space);
  const std::string argument = begin == std::string::npos ? "" : line.substr(begin);
  if (name == "/quit" || name == "/exit") {
    return false;
  }
  if (name == "/reset") {
    reset();
    print("(a new conversation)\n");
  } else if (name == "/regen") {
    regenerate();
  } else if (name == "/save") {
    save(argument);
  } else if (name == "/stats") {
    show_stats();
  } else if (name == "/help") {
    print(kHelp);
  } else {
    print("unknown command " + name + "; /help lists them\n");
  }
  return true;
}

void Chat::say(const std::string& text) {
  messages_.push_back({{"role", "user"}, {"content", text}});
  if (!answer()) {
    messages_.erase(messages_.size() - 1);
  }
}

void Chat::regenerate() {
  const Json before = messages_;
  if (!messages_.empty() && messages_.back()["role"] == "assistant") {
    messages_.erase(messages_.size() - 1);
  }
  if (messages_.empty() || messages_.back()["role"] != "user") {
    print("(there is nothing to answer yet)\n");
    messages_ = before;
  } else if (!answer()) {
    messages_ = before;
  }
}

/// Answers the last message and appends the answer; false, with the reason shown, when there is none.
bool Chat::answer() {
  const Result<std::vector<int32_t>> prompt = session_.engine().chat_prompt({{"messages", messages_}}, generate_.template_override);
  if (!prompt) {
    fail(prompt.error());
    return false;
  }
  Result<Generation> result = generate_answer(prompt.value());
  print("\n");
  ++generate_.sampler.seed;  // the next answer, and /regen, draw anew
  if (!result) {
    fail(result.error());
    if (result.error().code == ErrorCode::kContextFull) {
      std::fprintf(stderr,
                   "The conversation no longer fits the context. Nothing is lost, your last message was just not added: /save FILE keeps "
                   "it, /reset starts anew, and `tessera chat -c N` with a larger N has more room.\n");
    }
    return false;
  }
  last_ = std::move(*result);
  if (last_.finish_reason == FinishReason::kAborted && last_.tokens.empty()) {
    print("(stopped before the answer began: your message was not added)\n");
    return false;
  }
  if (last_.finish_reason == FinishReason::kContext) {
    std::fprintf(stderr,
                 "(the context of %d tokens is full: the answer ends here; /save FILE keeps the conversation, /reset starts anew)\n",
                 session_.engine().info().context_size);
  }
  messages_.push_back({{"role", "assistant"}, {"content", last_.text}});
  if (!last_.reasoning.empty()) {
    messages_.back()["reasoning_content"] = last_.reasoning;  // the template decides whether the model sees it again
  }
  return true;
}

Result<Generation> Chat::generate_answer(std::span<const int32_t> prompt) {
  take_interrupt();
  const auto stopped = [] {
    const bool pressed = take_interrupt();
    if (pressed) {
      print(coloured(" (stopped)", "2"));
    }
    return pressed;
  };
  AnswerPrinter printer;
  return stream_answer(session_, prompt, generate_, [&](const GenerateStep& step) { printer.show(step); }, stopped);
}

void Chat::save(const std::string& path) {
  if (path.empty()) {
    print("usage: /save FILE\n");
    return;
  }
  const std::string text =
      path.ends_with(".json") ? conversation().dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : as_markdown();
  if (Result<void> written = write_file(path, text, path == saved_as_); !written) {
    fail(written.error());
    return;
  }
  saved_as_ = path;
  print("(written to " + path + ")\n");
}

std::string Chat::as_markdown() const {
  std::string text = "# " + session_.engine().info().name + "\n";
  for (const Json& message : messages_) {
    text += "\n## " + message["role"].get<std::string>() + "\n\n";
    if (message.contains("reasoning_content")) {
      text += "<details><summary>Thinking</summary>\n\n" + message["reasoning_content"].get<std::string>() + "\n\n</details>\n\n";
    }
    text += message["content"].get<std::string>() + "\n";
  }
  return text;
}

void Chat::show_stats() const {
  const EngineInfo& info = session_.engine().info();
  std::printf("%s, %s, %s kernels, %d threads\n", clean(info.name).c_str(), info.quantization.c_str(), info.kernels.c_str(), info.threads);
  std::printf("last answer: prompt of %d tokens, %d of them reused, %.1f tokens/s; answer of %zu tokens, %.1f tokens/s; ended by: %s\n",
              last_.prompt_tokens, last_.reused_tokens, last_.prefill_tps(), last_.tokens.size(), last_.decode_tps(),
              std::string(finish_reason_name(last_.finish_reason)).c_str());
  std::printf("context: %zu of %d tokens used\n", session_.tokens().size(), info.context_size);
  std::fflush(stdout);
}

int chat(const ChatOptions& options) {
  Result<GenerateOptions> generate = generate_options(options.sampling, options.answer);
  if (!generate) {
    return fail(generate.error());
  }
  generate->split_reasoning = true;
  Result<Loaded> loaded = load(options.model);
  if (!loaded) {
    return fail(loaded.error());
  }
  const Engine& engine = *loaded->engine;
  if (generate.value().template_override.empty() && !engine.info().has_chat_template) {
    return fail(engine.chat_prompt({{"messages", {{{"role", "user"}, {"content", ""}}}}}).error());
  }
  catch_interrupts();
  std::optional<PrintedToStderr> aside;
  if (options.model.json) {
    aside.emplace();
  }
  if (isatty(STDIN_FILENO) != 0) {
    print(coloured(clean(engine.info().name) + ", " + engine.info().quantization + ", " + std::to_string(engine.info().context_size) +
                       " tokens of context. /help lists the commands.\n",
                   "2"));
  }
  Chat talk(*loaded, options.answer, generate.value());
  const int code = talk.loop();
  aside.reset();
  return code == 0 && options.model.json ? print_json(talk.conversation()) : code;
}

}  // namespace

void add_chat(CLI::App& app, Action& action) {
  const auto options = std::make_shared<ChatOptions>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model on the terminal");
  command->footer(std::string("Inside the chat:\n") + kHelp +
                  "--json: all of this goes to stderr, at the end {\"messages\": [...]} to stdout, as /save writes it");
  add_model_options(*command, options->model);
  add_answer_options(*command, options->answer);
  add_sampling_options(*command, options->sampling);
  command->callback([options, &action] { action = [options] { return chat(*options); }; });
}

}  // namespace tessera::cli

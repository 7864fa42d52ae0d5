// Implements what the command line shows.
#include "core/cli/console.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "nlohmann/json.hpp"

namespace tessera::cli {

namespace {

volatile sig_atomic_t interrupted = 0;  // a signal handler can reach nothing else

void on_interrupt(int) { interrupted = 1; }

/// Only what is allowed in a signal handler. Several threads may come here at once; the first speaks for all. Another bus error than a page
/// without its file is left to the default, which comes when the instruction is tried again.
void on_bus_error(int, siginfo_t* info, void*) {
  static std::atomic_flag told = ATOMIC_FLAG_INIT;
  constexpr std::string_view kMessage =
      "error: io: a file that is being read became shorter, or its disk failed\nhint: start again when nothing writes to it\n";
  if (info->si_code != BUS_ADRERR) {
    signal(SIGBUS, SIG_DFL);
  } else if (told.test_and_set()) {
    pause();
  } else {
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage.data(), kMessage.size());
    _exit(1);
  }
}

bool wants_colours(int descriptor) {
  const char* terminal = std::getenv("TERM");
  return isatty(descriptor) != 0 && std::getenv("NO_COLOR") == nullptr && terminal != nullptr && std::string_view(terminal) != "dumb";
}

Error unreadable_input() { return {ErrorCode::kIo, std::string("cannot read standard input: ") + std::strerror(errno), ""}; }

}  // namespace

std::string clean(std::string_view text) {
  std::string cleaned(text);
  for (size_t i = 0; i < cleaned.size(); ++i) {
    const auto byte = static_cast<unsigned char>(cleaned[i]);
    const bool c1 = i > 0 && cleaned[i - 1] == '\xc2' && byte >= 0x80 && byte < 0xa0;  // U+0080 to U+009F
    if (byte < 0x20 || byte == 0x7f || c1) {
      cleaned[i] = '?';
      cleaned[i - (c1 ? 1 : 0)] = '?';
    }
  }
  return cleaned;
}

int fail(const Error& error) {
  const bool colours = wants_colours(STDERR_FILENO);
  const std::string code(error_code_name(error.code));
  std::fflush(stdout);
  std::fprintf(stderr, "%serror: %s:%s %s\n", colours ? "\033[31m" : "", code.c_str(), colours ? "\033[0m" : "",
               clean(error.message).c_str());
  if (!error.hint.empty()) {
    std::fprintf(stderr, "hint: %s\n", clean(error.hint).c_str());
  }
  return 1;
}

int print_json(const nlohmann::ordered_json& object) {
  print(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  return 0;
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

PrintedToStderr::PrintedToStderr() {
  std::fflush(stdout);
  stdout_ = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  dup2(STDERR_FILENO, STDOUT_FILENO);
}

PrintedToStderr::~PrintedToStderr() {
  std::fflush(stdout);
  std::clearerr(stdout);  // what stderr did not take is no fault of the output
  dup2(stdout_, STDOUT_FILENO);
  close(stdout_);
}

std::string coloured(std::string_view text, std::string_view code) {
  if (!wants_colours(STDOUT_FILENO)) {
    return std::string(text);
  }
  return "\033[" + std::string(code) + "m" + std::string(text) + "\033[0m";
}

int finish_output(int code) {
  std::fflush(stdout);
  if (code != 0 || std::ferror(stdout) == 0) {
    return code;
  }
  return fail({ErrorCode::kIo, "cannot write all of the output", "is the disk full, or standard output closed?"});
}

void hold_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) == -1 && errno == EBADF) {
      open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);  // the wrong way round: using it stays an error
    }
  }
}

void report_bus_errors() {
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

Result<std::string> read_stdin() {
  std::string text;
  std::array<char, 65536> buffer;
  for (size_t count = 0; (count = std::fread(buffer.data(), 1, buffer.size(), stdin)) > 0;) {
    text.append(buffer.data(), count);
  }
  return std::ferror(stdin) == 0 ? Result<std::string>(std::move(text)) : unreadable_input();
}

Result<LineStatus> read_line(std::string& line) {
  line.clear();
  for (char byte = 0;;) {
    const ssize_t count = read(STDIN_FILENO, &byte, 1);
    if (count < 0 && errno == EINTR) {
      return LineStatus::kInterrupted;
    }
    if (count < 0) {
      return unreadable_input();
    }
    if (count == 0) {
      return line.empty() ? LineStatus::kEnd : LineStatus::kLine;
    }
    if (byte == '\n') {
      return LineStatus::kLine;
    }
    line.push_back(byte);
  }
}

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;  // without SA_RESTART, so that a waiting read() returns
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

bool take_interrupt() {
  const bool pressed = interrupted != 0;
  interrupted = 0;
  return pressed;
}

void Progress::clear() {
  if (on_screen_) {
    std::fprintf(stderr, "\r\033[K");
    on_screen_ = false;
  }
}

void Progress::update(uint64_t done, uint64_t total, const std::string& note) {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const Clock::time_point now = Clock::now();
  const auto pause = terminal ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000);
  if ((!terminal && !also_to_files_) || now - start_ < std::chrono::milliseconds(500) || now - shown_ < pause) {
    return;
  }
  shown_ = now;
  on_screen_ = terminal;
  const double percent = total > 0 ? 100.0 * static_cast<double>(done) / static_cast<double>(total) : 100.0;
  std::fprintf(stderr, terminal ? "\r%s %3.0f %% %s\033[K" : "%s %3.0f %% %s\n", label_.c_str(), percent, note.c_str());
  std::fflush(stderr);
}

std::string human_bytes(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) {
    value /= 1000;
  }
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text.data();
}

}  // namespace tessera::cli

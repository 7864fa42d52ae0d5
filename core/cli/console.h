// Owns what the command line shows: errors, one JSON object, progress, colours; and the interrupt key.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera::cli {

/// Text from a file, made fit for a terminal: control characters, which could move the cursor or forge a line, become "?".
std::string clean(std::string_view text);

/// Prints "error: CODE: message" and the hint to stderr, clean; returns the exit code 1.
int fail(const Error& error);

/// Prints the command's one JSON object to stdout; returns the exit code 0. Invalid UTF-8 becomes U+FFFD.
int print_json(const nlohmann::ordered_json& object);

/// Writes text to stdout at once, so that streamed pieces appear as they come.
void print(std::string_view text);

/// While it lives, what is printed goes to stderr: with --json stdout is for the one object.
class PrintedToStderr {
 public:
  PrintedToStderr();
  ~PrintedToStderr();
  PrintedToStderr(const PrintedToStderr&) = delete;
  PrintedToStderr& operator=(const PrintedToStderr&) = delete;

 private:
  int stdout_;
};

/// `text` in the terminal's colour `code` ("1" bold, "2" faint, "36" cyan) when stdout is a terminal that wants colours.
std::string coloured(std::string_view text, std::string_view code);

/// The exit code of a command that ended with `code`: 1, and an error, when not all it printed arrived.
int finish_output(int code);

/// Gives standard streams that are closed a place holder; call it before any file is opened. Else a file that is written would be given the
/// number of one of them, and, for example, the progress be written into it.
void hold_standard_streams();

/// From now on a mapped file that becomes shorter while it is read is an error; the system would end the program without a word.
void report_bus_errors();

/// All of stdin as bytes. kIo.
Result<std::string> read_stdin();

/// What reading a line gave.
enum class LineStatus { kLine, kEnd, kInterrupted };
/// One line of stdin without its newline. kInterrupted when the interrupt key was pressed while waiting. kIo.
Result<LineStatus> read_line(std::string& line);

/// From now on the interrupt key (Ctrl-C) only sets a flag.
void catch_interrupts();
/// True once after each press.
bool take_interrupt();

/// A line on stderr that tells how far long work is; silent for the first half second. On a terminal it is rewritten in
/// place and wiped at the end; elsewhere it is written only if asked for, every few seconds.
class Progress {
 public:
  Progress(std::string label, bool also_to_files) : label_(std::move(label)), also_to_files_(also_to_files) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Wipes the line; call it before anything else is written.
  void clear();
  void update(uint64_t done, uint64_t total, const std::string& note = "");

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  bool also_to_files_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};
  bool on_screen_ = false;
};

/// "98.4 MB", "512 B"; powers of 1000.
std::string human_bytes(uint64_t bytes);

}  // namespace tessera::cli

// Owns strftime in the C locale, without the C library's: that one depends on the locale and differs between platforms.
#include "core/text/jinja/strftime.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "core/text/jinja/value.h"

namespace tessera::jinja {
namespace {

struct LocalTime {
  int year, month, day, hour, minute, second;
  int week_day;  ///< 0 = Sunday
  int year_day;  ///< 1…366
};

constexpr std::array<std::string_view, 7> kDays = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {"January", "February", "March",     "April",   "May",      "June",
                                                      "July",    "August",   "September", "October", "November", "December"};

Result<LocalTime> parse_time(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  bool fits = text.size() == kShape.size();
  for (size_t i = 0; fits && i < text.size(); ++i) fits = kShape[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == kShape[i];
  const auto number = [&](size_t at, size_t count) {
    int value = 0;
    for (size_t i = at; i < at + count; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  if (!fits) return failure("now is '", text, "', expected a local time such as 2026-11-22T12:00:00");
  LocalTime time{number(0, 4), number(5, 2), number(8, 2), number(11, 2), number(14, 2), number(17, 2), 0, 0};
  const std::chrono::year_month_day date{std::chrono::year(time.year), std::chrono::month(static_cast<unsigned>(time.month)),
                                         std::chrono::day(static_cast<unsigned>(time.day))};
  if (!date.ok() || time.hour > 23 || time.minute > 59 || time.second > 60) return failure("now is '", text, "', which is no time");
  const std::chrono::sys_days days{date};
  time.week_day = static_cast<int>(std::chrono::weekday(days).c_encoding());
  time.year_day = static_cast<int>((days - std::chrono::sys_days{date.year() / 1 / 1}).count()) + 1;
  return time;
}

std::string padded(int value, size_t width, char fill, bool bare) {
  std::string digits = std::to_string(value);
  if (bare || digits.size() >= width) return digits;
  return std::string(width - digits.size(), fill) + digits;
}

/// One directive; empty for an unknown one. `bare` drops the padding (GNU's "%-d").
std::string directive(const LocalTime& t, char letter, bool bare) {
  const auto two = [&](int value) { return padded(value, 2, '0', bare); };
  const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  const std::string_view day = kDays[static_cast<size_t>(t.week_day)];
  const std::string_view month = kMonths[static_cast<size_t>(t.month - 1)];
  const auto many = [&](std::string_view letters) {
    std::string out;
    for (const char c : letters) out += c >= 'A' ? directive(t, c, false) : std::string(1, c);
    return out;
  };
  switch (letter) {
    case 'Y': return padded(t.year, 4, '0', bare);
    case 'C': return two(t.year / 100);
    case 'y': return two(t.year % 100);
    case 'm': return two(t.month);
    case 'd': return two(t.day);
    case 'e': return padded(t.day, 2, ' ', bare);
    case 'H': return two(t.hour);
    case 'I': return two(hour12);
    case 'k': return padded(t.hour, 2, ' ', bare);
    case 'l': return padded(hour12, 2, ' ', bare);
    case 'M': return two(t.minute);
    case 'S': return two(t.second);
    case 'f': return "000000";
    case 'j': return padded(t.year_day, 3, '0', bare);
    case 'p': return t.hour < 12 ? "AM" : "PM";
    case 'A': return std::string(day);
    case 'a': return std::string(day.substr(0, 3));
    case 'B': return std::string(month);
    case 'b':
    case 'h': return std::string(month.substr(0, 3));
    case 'w': return std::to_string(t.week_day);
    case 'u': return std::to_string(t.week_day == 0 ? 7 : t.week_day);
    case 'U': return two((t.year_day + 6 - t.week_day) / 7);
    case 'W': return two((t.year_day + 6 - (t.week_day + 6) % 7) / 7);
    case 'F': return many("Y-m-d");
    case 'T':
    case 'X': return many("H:M:S");
    case 'D':
    case 'x': return many("m/d/y");
    case 'R': return many("H:M");
    case 'r': return many("I:M:S p");
    case 'c': return many("a b e H:M:S Y");
    case 'n': return "\n";
    case 't': return "\t";
    case '%': return "%";
    default: return {};
  }
}

}  // namespace

std::string local_time_now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char buffer[96];
  std::snprintf(buffer, sizeof(buffer), "%04d-%02d-%02dT%02d:%02d:%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                parts.tm_hour, parts.tm_min, parts.tm_sec);
  return buffer;
}

Result<std::string> format_time(std::string_view now, std::string_view pattern) {
  Result<LocalTime> time = parse_time(now);
  if (!time) return time.error();
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    const bool bare = pattern[i + 1] == '-' && i + 2 < pattern.size();
    const size_t letter = i + (bare ? 2 : 1);
    const bool no_zone = pattern[letter] == 'Z' || pattern[letter] == 'z';  // datetime.now() is naive: both are empty
    const std::string text = directive(*time, pattern[letter], bare);
    if (!no_zone) out += text.empty() ? std::string(pattern.substr(i, letter + 1 - i)) : text;
    i = letter;
  }
  return out;
}

}  // namespace tessera::jinja

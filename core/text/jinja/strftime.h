// Owns times as text: the local clock and Python's strftime.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"

namespace tessera::jinja {

/// The local time of the system clock as "YYYY-MM-DDTHH:MM:SS".
std::string local_time_now();

/// `pattern` with the directives of strftime in the C locale filled in; unknown ones stay. kTemplate when `now` is not a time of that
/// shape.
Result<std::string> format_time(std::string_view now, std::string_view pattern);

}  // namespace tessera::jinja

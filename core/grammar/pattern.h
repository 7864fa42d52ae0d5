// Owns `pattern` and `format` of a JSON schema's strings: regular expressions as rules over what stands between the quotes.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/grammar/rules.h"

namespace tessera::grammar {

/// What stands between the quotes of strings in which the pattern is found (with ^ and $: which it is): characters, escapes, `.`, classes,
/// \d \w \s and their opposites, groups, | and repetitions. kInvalidArgument with the place; kUnsupported for look-around, back references,
/// \b and anchors elsewhere.
Result<Expression> string_pattern(std::string_view pattern, Rules& rules);

/// The pattern of a format: date, time, date-time, duration, email, hostname, ipv4, ipv6, uuid. "" for another.
std::string format_pattern(std::string_view format);

}  // namespace tessera::grammar

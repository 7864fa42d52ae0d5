// Owns text → number as Python's int() and float() read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tessera::jinja {

/// Surrounding white space, a sign and single underscores between digits are allowed. Empty when the text is no integer of that base
/// (2…36) or does not fit 64 bits.
std::optional<int64_t> parse_integer(std::string_view text, int base = 10);
std::optional<double> parse_real(std::string_view text);

}  // namespace tessera::jinja

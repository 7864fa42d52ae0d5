// Owns the place in a source that is read by recursive descent, and the reading of what its notations share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/hex_digit.h"

namespace tessera::grammar {

/// What the parsers of grammars and of patterns begin with.
struct SourceCursor {
  std::string_view source_;
  size_t at_ = 0;

  bool next_is(std::string_view what) const { return source_.substr(at_).starts_with(what); }
  bool take(std::string_view what) {
    if (!next_is(what)) return false;
    at_ += what.size();
    return true;
  }

  /// The number that stands here, or `most` + 1 for all that are larger; -1 where no digit is.
  int take_number(int most) {
    int value = -1;
    for (; at_ < source_.size() && source_[at_] >= '0' && source_[at_] <= '9'; ++at_) {
      value = std::min(std::max(value, 0) * 10 + (source_[at_] - '0'), most + 1);
    }
    return value;
  }

  /// What so many hexadecimal digits are worth; nothing where one is missing, which is then the place.
  std::optional<uint32_t> take_hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const int digit = at_ < source_.size() ? hex_digit(source_[at_]) : -1;
      if (digit < 0) return std::nullopt;
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    return value;
  }
};

}  // namespace tessera::grammar

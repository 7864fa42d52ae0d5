// Owns the making of error messages from parts.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/utf8.h"

namespace tessera::jinja {

inline void append_part(std::string& out, std::string_view part) { out.append(part); }
inline void append_part(std::string& out, char part) { out.push_back(part); }
template <std::integral Number>
void append_part(std::string& out, Number part) {
  out.append(std::to_string(part));
}

/// Texts, characters and integers laid end to end.
template <class... Parts>
std::string join_text(const Parts&... parts) {
  std::string out;
  (append_part(out, parts), ...);
  return out;
}

/// The beginning of a text of the template, which may be megabytes long, for a message.
inline std::string shown(std::string_view text, size_t most = 80) {
  if (text.size() <= most) return std::string(text);
  return std::string(text.substr(0, decidable_utf8_prefix(text.substr(0, most)))) + "\u2026";
}

/// A failure without a position yet; the interpreter adds it.
template <class... Parts>
Error failure(const Parts&... parts) {
  return {ErrorCode::kTemplate, join_text(parts...), {}};
}

}  // namespace tessera::jinja

// Owns template text → tokens, with Jinja2's white-space control (trim_blocks and lstrip_blocks on, as transformers sets them).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace tessera::jinja {

/// Byte offset into the template; turned into line and column only when an error needs them.
using Offset = uint32_t;

enum class TokenKind : uint8_t { kText, kPrintBegin, kPrintEnd, kBlockBegin, kBlockEnd, kName, kString, kInteger, kFloat, kOperator, kEnd };

struct Token {
  TokenKind kind;
  Offset offset;
  std::string text;  ///< output text, name, decoded string, digits or operator
};

/// Jinja2 reads every newline as \n and drops one at the end of the template.
std::string normalized_source(std::string_view source);

/// Tokens of a normalised source, ended by kEnd. kTemplate (with position) for an unknown character, a bad literal, an unbalanced bracket
/// or a missing end of a comment or raw block.
Result<std::vector<Token>> tokenize_template(std::string_view source);

/// "chat template, line L, column C: message"; lines and columns count from 1, columns in characters.
Error located_error(std::string_view source, Offset offset, Error error);

}  // namespace tessera::jinja

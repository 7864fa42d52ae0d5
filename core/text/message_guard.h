// Owns the line between a template's own markers and what people wrote into messages: text that looks like a control token
// ("<|im_end|>") must not become one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/text/chat_template.h"
#include "core/text/special_tokens.h"

namespace tessera {

/// A rendered conversation and where, in it, control tokens must not begin (EncodeOptions::barred).
struct GuardedPrompt {
  std::string text;
  std::vector<size_t> barred;
};

/// Renders the same conversation each time, `written` being passed on to ChatTemplate::render.
using RenderMessages = std::function<Result<std::string>(const TextChange& written)>;

/// Renders and finds out which of the characters that begin control tokens came out of messages, tools and documents: it renders once more
/// with characters in their place that occur nowhere else. `text` is what the template makes of the conversation. A template that looks at
/// such characters itself (for "</think>", say) sees only those replaced that begin a whole control token; then `text` is what it made of
/// that, or kInvalidArgument when it made more control tokens than with all of them replaced.
Result<GuardedPrompt> guarded_prompt(const SpecialTokens& tokens, const RenderMessages& render);

}  // namespace tessera

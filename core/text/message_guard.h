// Owns the line between a template's own markers and what people wrote into messages: text that looks like a control token
// ("<|im_end|>") must not become one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/text/special_tokens.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera {

/// A rendered conversation and where, in it, control tokens must not begin (EncodeOptions::barred).
struct GuardedPrompt {
  std::string text;
  std::vector<size_t> barred;
};

using RenderMessages = std::function<Result<std::string>(const nlohmann::ordered_json& context)>;

/// Renders `context` and finds out which of the characters that begin control tokens came out of its messages, tools and
/// documents: it renders once more with characters in their place that occur nowhere else. `text` is what `render` makes of `context`. A
/// template that looks at such characters itself (for "</think>", say) sees only those replaced that begin a whole control
/// token; then `text` is what it made of that.
Result<GuardedPrompt> guarded_prompt(const nlohmann::ordered_json& context, const SpecialTokens& tokens, const RenderMessages& render);

}  // namespace tessera

// Owns the sources of the built-in chat templates, for models whose file brings none. Shapes are those the model families publish.
#include <array>
#include <utility>

#include "core/text/chat_template.h"

namespace tessera {
namespace {

constexpr std::string_view kChatml = R"jinja({%- for message in messages -%}
{{ '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\n' }}
{%- endif -%}
)jinja";

constexpr std::string_view kLlama2 = R"jinja({%- set system = '' -%}
{%- if messages and messages[0].role == 'system' -%}
{%- set system = '<<SYS>>\n' ~ messages[0].content ~ '\n<</SYS>>\n\n' -%}
{%- set messages = messages[1:] -%}
{%- endif -%}
{%- for message in messages -%}
{%- if (message.role == 'user') != (loop.index0 is even) -%}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif -%}
{%- if message.role == 'user' -%}
{{ bos_token ~ '[INST] ' ~ (system if loop.first else '') ~ (message.content | trim) ~ ' [/INST]' }}
{%- else -%}
{{ ' ' ~ (message.content | trim) ~ ' ' ~ eos_token }}
{%- endif -%}
{%- endfor -%}
)jinja";

constexpr std::string_view kLlama3 = R"jinja({{- bos_token -}}
{%- for message in messages -%}
{{ '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\n\n' ~ (message.content | trim) ~ '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif -%}
)jinja";

constexpr std::string_view kGemma = R"jinja({{- bos_token -}}
{%- set system = '' -%}
{%- if messages and messages[0].role == 'system' -%}
{%- set system = (messages[0].content | trim) ~ '\n\n' -%}
{%- set messages = messages[1:] -%}
{%- endif -%}
{%- for message in messages -%}
{%- if (message.role == 'user') != (loop.index0 is even) -%}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif -%}
{%- set role = 'model' if message.role == 'assistant' else message.role -%}
{{ '<start_of_turn>' ~ role ~ '\n' ~ (system if loop.first else '') ~ (message.content | trim) ~ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<start_of_turn>model\n' }}
{%- endif -%}
)jinja";

constexpr std::string_view kMistral = R"jinja({{- bos_token -}}
{%- set system = '' -%}
{%- if messages and messages[0].role == 'system' -%}
{%- set system = messages[0].content ~ '\n\n' -%}
{%- set messages = messages[1:] -%}
{%- endif -%}
{%- for message in messages -%}
{%- if (message.role == 'user') != (loop.index0 is even) -%}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif -%}
{%- if message.role == 'user' -%}
{{ '[INST] ' ~ (system if loop.first else '') ~ message.content ~ ' [/INST]' }}
{%- else -%}
{{ ' ' ~ (message.content | trim) ~ eos_token }}
{%- endif -%}
{%- endfor -%}
)jinja";

constexpr std::string_view kPhi3 = R"jinja({%- for message in messages -%}
{{ '<|' ~ message.role ~ '|>\n' ~ message.content ~ '<|end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|assistant|>\n' }}
{%- endif -%}
)jinja";

constexpr std::string_view kAlpaca = R"jinja({%- for message in messages -%}
{%- if message.role == 'system' -%}
{{ message.content ~ '\n\n' }}
{%- elif message.role == 'user' -%}
{{ '### Instruction:\n' ~ message.content ~ '\n\n' }}
{%- else -%}
{{ '### Response:\n' ~ message.content ~ eos_token ~ '\n\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '### Response:\n' }}
{%- endif -%}
)jinja";

constexpr std::string_view kZephyr = R"jinja({%- for message in messages -%}
{{ '<|' ~ message.role ~ '|>\n' ~ message.content ~ eos_token ~ '\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|assistant|>\n' }}
{%- endif -%}
)jinja";

constexpr auto kTemplates = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"chatml", kChatml},
    {"llama2", kLlama2},
    {"llama3", kLlama3},
    {"gemma", kGemma},
    {"mistral", kMistral},
    {"phi3", kPhi3},
    {"alpaca", kAlpaca},
    {"zephyr", kZephyr},
});

}  // namespace

Result<std::string> builtin_chat_template(std::string_view name) {
  std::string names;
  for (const auto& [known, source] : kTemplates) {
    if (known == name) return std::string(source);
    names.append(names.empty() ? "" : ", ").append(known);
  }
  std::string message = "built-in chat template '";
  message.append(name).append("' is unknown");
  return Error{ErrorCode::kNotFound, std::move(message), "expected one of " + names};
}

}  // namespace tessera

#!/usr/bin/env python3
"""Makes tests/golden/architectures/*.gguf: a tiny random model of each supported architecture, with the logits that transformers gives it.

Needs torch, transformers (5.23) and gguf (0.19) from PyPI. The models are random, seeded by their name; names of tensors and keys
are those of gguf_names.py. Matrices are F16, in transformers rounded to it,
so both sides have the very same weights; everything else is float32. The answer is in the file's own metadata:

    golden.tokens     ids of one sequence
    golden.positions  positions whose logits were kept
    golden.logits     their logits in float32, one position after another

Also a LoRA adapter with the logits of the merged model. Arguments: names of CASES to make, or "lora"; none = all.
"""

import math
import pathlib
import sys
import zlib

import gguf
import numpy as np
import torch
import transformers

from gguf_names import NORMS_FROM_ZERO, OUTER_NAMES, add_rope, add_shape, is_matrix, layer_tensors, permute

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "architectures"
VOCAB, LENGTH = 96, 80
# Beginning, borders of windows (16), chunks (32), original contexts (32, 64), and the end.
POSITIONS = [0, 1, 2, 7, 14, 15, 16, 17, 24, 30, 31, 32, 33, 40, 47, 48, 56, 62, 63, 64, 65, 70, 78, 79]
SMALL = dict(hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=16, vocab_size=VOCAB,
             max_position_embeddings=256, num_hidden_layers=2, bos_token_id=1, eos_token_id=2, pad_token_id=0)
WIDE = {**SMALL, "hidden_size": 64} # where a head's length is always width / heads
del WIDE["head_dim"]
DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
LLAMA3_ROPE = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 32}
YARN_ROPE = {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 32}
FRACTIONAL_YARN_ROPE = {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 8.0, "original_max_position_embeddings": 512, "beta_fast": 32.0,
                        "beta_slow": 1.0, "truncate": False}
LONG_ROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
             "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0]}
GEMMA4_ROPE = {"full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000.0},
               "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}

# name: (architecture, configuration class, its arguments, permute q and k for adjacent rope pairs)
CASES = {
    "llama": ("llama", "LlamaConfig", {**SMALL, "rope_parameters": DEFAULT_ROPE}, True),
    "llama-bias-tied": ("llama", "LlamaConfig",
                        {**SMALL, "attention_bias": True, "tie_word_embeddings": True, "rope_parameters": DEFAULT_ROPE}, True),
    "llama3": ("llama", "LlamaConfig", {**SMALL, "rope_parameters": LLAMA3_ROPE}, True),
    "llama-linear": ("llama", "LlamaConfig",
                     {**SMALL, "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}}, True),
    "llama-yarn": ("llama", "LlamaConfig", {**SMALL, "rope_parameters": YARN_ROPE}, True),
    "mistral": ("llama", "MistralConfig", {**SMALL, "sliding_window": 16, "rope_parameters": DEFAULT_ROPE}, True),
    "mixtral": ("llama", "MixtralConfig",
                {**SMALL, "num_local_experts": 6, "num_experts_per_tok": 2, "sliding_window": None, "rope_parameters": DEFAULT_ROPE}, True),
    "mistral3": ("mistral3", "Ministral3Config",
                 {**SMALL, "rope_parameters": {**YARN_ROPE, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
                                               "llama_4_scaling_beta": 0.3}}, True),
    "arcee": ("arcee", "ArceeConfig", {**SMALL, "rope_parameters": YARN_ROPE}, True),
    "qwen2": ("qwen2", "Qwen2Config", {**SMALL, "tie_word_embeddings": True, "rope_parameters": DEFAULT_ROPE}, False),
    "qwen2moe": ("qwen2moe", "Qwen2MoeConfig",
                 {**SMALL, "num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 64,
                  "decoder_sparse_step": 1, "norm_topk_prob": False, "rope_parameters": DEFAULT_ROPE}, False),
    "qwen3": ("qwen3", "Qwen3Config", {**SMALL, "rope_parameters": DEFAULT_ROPE}, False),
    "qwen3moe": ("qwen3moe", "Qwen3MoeConfig",
                 {**SMALL, "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 32, "decoder_sparse_step": 1,
                  "norm_topk_prob": True, "rope_parameters": DEFAULT_ROPE}, False),
    "gemma": ("gemma", "GemmaConfig", {**SMALL, "hidden_activation": "gelu_pytorch_tanh", "rope_parameters": DEFAULT_ROPE}, False),
    "gemma2": ("gemma2", "Gemma2Config",
               {**SMALL, "num_hidden_layers": 4, "sliding_window": 16, "query_pre_attn_scalar": 16, "attn_logit_softcapping": 5.0,
                "final_logit_softcapping": 3.0, "rope_parameters": DEFAULT_ROPE}, False),
    "gemma3": ("gemma3", "Gemma3TextConfig",
               {**SMALL, "num_hidden_layers": 7, "sliding_window": 16, "query_pre_attn_scalar": 16,
                "rope_parameters": {"full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
                                    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}}, False),
    "gemma4-e2b": ("gemma4", "Gemma4TextConfig",
                   {**SMALL, "num_hidden_layers": 8, "layer_types": ["sliding_attention", "full_attention"] * 4, "sliding_window": 16,
                    "global_head_dim": 32, "num_kv_shared_layers": 4, "intermediate_size": 32, "use_double_wide_mlp": True,
                    "hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": VOCAB, "final_logit_softcapping": 3.0,
                    "rope_parameters": GEMMA4_ROPE}, False),
    "gemma4-31b": ("gemma4", "Gemma4TextConfig",
                   {**SMALL, "num_hidden_layers": 6, "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
                    "sliding_window": 16, "global_head_dim": 32, "attention_k_eq_v": True, "num_global_key_value_heads": 1,
                    "hidden_size_per_layer_input": 0, "final_logit_softcapping": 3.0, "rope_parameters": GEMMA4_ROPE}, False),
    "phi3": ("phi3", "Phi3Config",
             {**WIDE, "num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": 16,
              "rope_parameters": {**DEFAULT_ROPE, "partial_rotary_factor": 1.0}}, False),
    "phi3-short": ("phi3", "Phi3Config",
                   {**WIDE, "num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": None,
                    "original_max_position_embeddings": 128, "rope_parameters": {**LONG_ROPE, "original_max_position_embeddings": 128}},
                   False),
    "phi3-long": ("phi3", "Phi3Config",
                  {**WIDE, "num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": None,
                   "original_max_position_embeddings": 64, "rope_parameters": {**LONG_ROPE, "original_max_position_embeddings": 64}},
                  False),
    "smollm3": ("smollm3", "SmolLM3Config", {**WIDE, "num_hidden_layers": 5, "hidden_size": 64, "rope_parameters": DEFAULT_ROPE}, True),
    "ernie4_5": ("ernie4_5", "Ernie4_5Config", {**SMALL, "tie_word_embeddings": True, "rope_parameters": DEFAULT_ROPE}, False),
    "granite": ("granite", "GraniteConfig",
                {**WIDE, "embedding_multiplier": 3.0, "residual_multiplier": 0.4, "attention_multiplier": 0.2, "logits_scaling": 2.5,
                 "rope_parameters": DEFAULT_ROPE}, True),
    "granitemoe": ("granitemoe", "GraniteMoeSharedConfig",
                   {**WIDE, "num_local_experts": 6, "num_experts_per_tok": 2, "shared_intermediate_size": 32, "intermediate_size": 32,
                    "embedding_multiplier": 3.0, "residual_multiplier": 0.4, "attention_multiplier": 0.2, "logits_scaling": 2.5,
                    "rope_parameters": DEFAULT_ROPE}, True),
    "olmo2": ("olmo2", "Olmo2Config", {**WIDE, "rope_parameters": DEFAULT_ROPE}, False),
    "olmo3": ("olmo2", "Olmo3Config",
              {**WIDE, "num_hidden_layers": 4, "sliding_window": 16,
               "rope_parameters": {"full_attention": YARN_ROPE, "sliding_attention": {**DEFAULT_ROPE, "rope_theta": YARN_ROPE["rope_theta"]}}},
              False),
    "exaone4": ("exaone4", "Exaone4Config",
                {**WIDE, "tie_word_embeddings": True, "sliding_window": None, "layer_types": ["full_attention"] * 2,
                 "rope_parameters": LLAMA3_ROPE}, False),
    "hunyuan-dense": ("hunyuan-dense", "HunYuanDenseV1Config",
                      {**SMALL, "tie_word_embeddings": True,
                       "rope_parameters": {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 1.0, "alpha": 50.0}}, False),
    "exaone4-window": ("exaone4", "Exaone4Config",
                       {**WIDE, "num_hidden_layers": 5, "sliding_window": 16, "sliding_window_pattern": 4, "rope_parameters": LLAMA3_ROPE}, False),
    "gpt-oss": ("gpt-oss", "GptOssConfig",
                {**SMALL, "num_hidden_layers": 3, "num_local_experts": 6, "num_experts_per_tok": 3, "sliding_window": 16,
                 "rope_parameters": FRACTIONAL_YARN_ROPE}, False),
    # A context longer than what a convolution keeps.
    "lfm2": ("lfm2", "Lfm2Config",
             {**WIDE, "max_position_embeddings": 1024, "num_hidden_layers": 4, "layer_types": ["conv", "full_attention", "conv", "conv"], "conv_L_cache": 3,
              "block_multiple_of": 16, "rope_parameters": DEFAULT_ROPE}, False),
    "lfm2-long": ("lfm2", "Lfm2Config",
                  {**WIDE, "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1, "num_hidden_layers": 3,
                   "layer_types": ["full_attention", "conv", "full_attention"], "conv_L_cache": 6, "block_auto_adjust_ff_dim": False,
                   "tie_word_embeddings": False, "rope_parameters": DEFAULT_ROPE}, False),
}

def seed_of(name):
    return zlib.crc32(name.encode())


def randomise(model, name):
    """Norms near 1 (Gemma 1 to 3: 0), biases of 0.3, matrices that keep the variance, all of them values that F16 holds."""
    generator = torch.Generator().manual_seed(seed_of(name))
    middle = 0.0 if CASES[name][0] in NORMS_FROM_ZERO else 1.0
    for key, value in model.named_parameters():
        random = torch.randn(value.shape, generator=generator)
        if key.endswith("norm.weight"):
            random = 0.2 * random + middle
            if CASES[name][0] == "gemma4" and key.endswith("q_norm.weight"):
                random = random / 4 # in place of an attention scale
        elif key.endswith("bias"):
            random = 0.3 * random
        elif name == "gpt-oss" and key.endswith("gate_up_proj"):
            random = 6.0 * random / math.sqrt(value.shape[-2])  # beyond the limits of its SwiGLU
        elif "embed_tokens" not in key:
            random = 1.5 * random / math.sqrt(value.shape[-1])
        elif model.config.tie_word_embeddings:
            random = 2.0 * random / math.sqrt(value.shape[-1])
        value.data = random.half().float()
    for key, value in model.named_buffers():
        if key.endswith("layer_scalar"):
            value.data = (0.2 * torch.randn(value.shape, generator=generator) + 1.0).half().float()


def tensors_of(model, architecture, permuted):
    scalars = [(key, value) for key, value in model.named_buffers() if key.endswith("layer_scalar")]
    for key, parameter in [*model.named_parameters(), *scalars]:
        values = parameter.detach().numpy()
        if key.endswith("norm.weight") and architecture in NORMS_FROM_ZERO:
            values = values + np.float32(1)
        parts = key.removeprefix("model.").split(".", 2)
        if parts[0] == "layers":
            for name, part in layer_tensors(model.config, architecture, permuted, parts[2], values):
                yield f"blk.{parts[1]}.{name}", part
        else:
            yield OUTER_NAMES[parts[0]] + ".weight", values


def add_vocabulary(writer):
    """Enough for the file to be loaded as a whole."""
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(["<unk>", "<s>", "</s>"] + [chr(0x100 + i) for i in range(VOCAB - 3)])
    writer.add_token_scores([-float(i) for i in range(VOCAB)])
    writer.add_token_types([2, 3, 3] + [1] * (VOCAB - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def add_tensor(writer, name, values):
    writer.add_tensor(name, np.ascontiguousarray(values, dtype=np.float16 if is_matrix(name, values.ndim) else np.float32))


def make(name):
    architecture, class_name, arguments, permuted = CASES[name]
    config = getattr(transformers, class_name)(**arguments)
    config._attn_implementation = "eager"
    with torch.no_grad():
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        randomise(model, name)
        tokens = np.random.default_rng(seed_of(name)).integers(3, VOCAB, LENGTH)
        logits = model(torch.tensor(tokens)[None], use_cache=False).logits[0].float().numpy()
    config.allow_global_per_layer_attribute_access = True # Gemma 4: head_dim and num_key_value_heads are those of window layers
    path = OUT / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    add_shape(writer, config, architecture)
    add_rope(writer, config, architecture)
    add_vocabulary(writer)
    writer.add_array("golden.tokens", tokens.tolist())
    writer.add_array("golden.positions", POSITIONS)
    writer.add_array("golden.logits", logits[POSITIONS].reshape(-1).tolist())
    for tensor, values in tensors_of(model, architecture, permuted):
        add_tensor(writer, tensor, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path.name}: {path.stat().st_size} bytes, logits {logits.std():.2f} wide")


def make_adapter():
    """llama.lora.gguf: a LoRA of rank 4 for llama.gguf on every matrix, with the logits of the merged model."""
    architecture, class_name, arguments, _ = CASES["llama"]
    config = getattr(transformers, class_name)(**arguments)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    randomise(model, "llama")
    rng, rank, alpha = np.random.default_rng(seed_of("lora")), 4, 8.0
    writer = gguf.GGUFWriter(OUT / "llama.lora.gguf", architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for (key, parameter), (name, _) in zip(list(model.named_parameters()), list(tensors_of(model, architecture, True)), strict=True):
        if parameter.ndim != 2:
            continue
        rows, width = parameter.shape
        a, b = (rng.standard_normal(shape).astype(np.float32) * np.float32(0.3) for shape in ((rank, width), (rows, rank)))
        parameter.data += torch.tensor(alpha / rank * (b @ a))
        if "embed_tokens" in key:
            a, b = b, np.ascontiguousarray(a.T)
        elif "q_proj" in key or "k_proj" in key:
            b = permute(b, config.num_attention_heads if "q_proj" in key else config.num_key_value_heads)
        writer.add_tensor(name + ".lora_a", a)
        writer.add_tensor(name + ".lora_b", b)
    tokens = rng.integers(3, VOCAB, LENGTH)
    with torch.no_grad():
        logits = model(torch.tensor(tokens)[None], use_cache=False).logits[0].float().numpy()
    writer.add_array("golden.tokens", tokens.tolist())
    writer.add_array("golden.positions", POSITIONS)
    writer.add_array("golden.logits", logits[POSITIONS].reshape(-1).tolist())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"llama.lora.gguf: logits {logits.std():.2f} wide")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    for chosen in sys.argv[1:] or [*CASES, "lora"]:
        if chosen == "lora":
            make_adapter()
        else:
            make(chosen)

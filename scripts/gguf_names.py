"""Tensor names, row orders and metadata keys of the supported architectures, as a GGUF wants them and transformers has them.

Shared by convert.py (checkpoints) and make_architecture_golden.py (tiny models). A `config` is anything with the attributes of the
family's transformers configuration, `rope_parameters` included. Names of tensors and keys, the order of q and k rows and what is folded
into the weights follow llama.cpp's converter.
"""

import math

import gguf
import numpy as np

# Names below "model.layers.N." and what they are in a GGUF; POST_NORMS replaces the second norm's name in families that have four or none.
LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "self_attn.query_layernorm": "attn_q_norm", "self_attn.key_layernorm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.gate_up_proj": "ffn_up", "mlp.gate": "ffn_gate_inp", "mlp.experts.down_proj": "ffn_down_exps",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp", "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp", "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    "block_sparse_moe.gate": "ffn_gate_inp", "block_sparse_moe.router.layer": "ffn_gate_inp", "block_sparse_moe.router": "ffn_gate_inp",
    "block_sparse_moe.output_linear": "ffn_down_exps", "block_sparse_moe.experts.down_proj": "ffn_down_exps",
    "shared_mlp.output_linear": "ffn_down_shexp", "mlp.router": "ffn_gate_inp", "self_attn.sinks": "attn_sinks", "layer_scalar": "layer_output_scale",
    "per_layer_input_gate": "inp_gate", "per_layer_projection": "proj", "post_per_layer_input_norm": "post_norm",
    "operator_norm": "attn_norm", "ffn_norm": "ffn_norm", "self_attn.out_proj": "attn_output",
    "self_attn.q_layernorm": "attn_q_norm", "self_attn.k_layernorm": "attn_k_norm", "conv.conv": "shortconv.conv",
    "conv.in_proj": "shortconv.in_proj", "conv.out_proj": "shortconv.out_proj", "feed_forward.w1": "ffn_gate", "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up",
}
# Names below "model." and those outside of it.
OUTER_NAMES = {"embed_tokens": "token_embd", "norm": "output_norm", "embedding_norm": "token_embd_norm", "lm_head": "output",
               "embed_tokens_per_layer": "per_layer_token_embd", "per_layer_model_projection": "per_layer_model_proj",
               "per_layer_projection_norm": "per_layer_proj_norm"}
# Tensors whose rows are gate and up, one behind the other, and stay one tensor only in Phi-3.
GATE_UP = {"mlp.experts.gate_up_proj": "exps", "block_sparse_moe.experts.gate_up_proj": "exps", "block_sparse_moe.input_linear": "exps",
           "shared_mlp.input_linear": "shexp"}
POST_NORMS = {"gemma2", "gemma3", "gemma4", "olmo2", "exaone4", "gpt-oss"}
NORMS_FROM_ZERO = {"gemma", "gemma2", "gemma3"} # of checkpoints: a GGUF has 1 added


def global_heads(config):
    """Length and number of the KV heads of Gemma 4's global layers: config.json has them by name, transformers by layer."""
    if hasattr(config, "global_head_dim"):
        return config.global_head_dim, config.attention_k_eq_v and config.num_global_key_value_heads or config.num_key_value_heads
    layer = config.per_layer_config[config.layer_types.index("full_attention")]
    return layer.head_dim, layer.num_key_value_heads


def permute(rows, heads):
    """Rows of q or k from halves [x0…, y0…] of each head to pairs x0, y0, x1, y1, …"""
    half = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(half.swapaxes(1, 2).reshape(rows.shape))


def gpt_oss_experts(name, values):
    """Of [experts][in][out] matrices, of gate_up_proj with the columns gate 0, up 0, gate 1, …; of their biases [experts][out]; or of
    MXFP4 rows [experts][out][bytes], which are named _blocks."""
    matrix = name.removesuffix("_bias").removesuffix("_blocks")
    kind = "bias" if name.endswith("_bias") else "weight"
    rows = values.swapaxes(1, 2) if matrix == name else values
    if matrix == "mlp.experts.gate_up_proj":
        yield f"ffn_gate_exps.{kind}", rows[:, 0::2]
        yield f"ffn_up_exps.{kind}", rows[:, 1::2]
    else:
        yield f"{LAYER_NAMES[matrix]}.{kind}", rows


def layer_tensors(config, architecture, permuted, name, values):
    """(name, values) of the GGUF tensors that one parameter of a layer becomes."""
    stem, _, kind = name.rpartition(".")
    if kind not in ("weight", "bias"):
        stem, kind = name, "weight"
    if architecture == "gpt-oss" and stem.startswith("mlp.experts."):
        yield from gpt_oss_experts(stem, values)
        return
    if stem in GATE_UP:
        half = values.shape[-2] // 2
        yield f"ffn_gate_{GATE_UP[stem]}.weight", values[..., :half, :]
        yield f"ffn_up_{GATE_UP[stem]}.weight", values[..., half:, :]
        return
    if permuted and stem.endswith("q_proj"):
        values = permute(values, config.num_attention_heads)
    if permuted and stem.endswith("k_proj"):
        values = permute(values, config.num_key_value_heads)
    if stem == "mlp.shared_expert_gate":
        values = values[0]
    if stem == "conv.conv": # [channels][1][length]
        values = values[:, 0]
    target = LAYER_NAMES[stem]
    if stem == "post_attention_layernorm" and architecture in POST_NORMS:
        target = "post_attention_norm"
    yield f"{target}.{kind}", values


def is_matrix(name, dimensions):
    """Whether the tensor is multiplied by, and stored in the file's format; norms, biases, routers and convolutions stay F32."""
    return dimensions > 1 and "gate_inp" not in name and "shortconv.conv" not in name and not name.endswith("bias")


def feed_forward_length(config):
    """LFM2 gives the width of a block without gates, of which two thirds are left, rounded up."""
    length = config.intermediate_size
    if not getattr(config, "block_auto_adjust_ff_dim", False):
        return length
    length = int(2 * length / 3)
    if config.block_ffn_dim_multiplier is not None:
        unit = config.block_multiple_of
        length = -(-int(config.block_ffn_dim_multiplier * length) // unit) * unit
    return length


def add_shape(writer, config, architecture):
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    if not getattr(config, "use_double_wide_mlp", False):
        writer.add_feed_forward_length(feed_forward_length(config))
    writer.add_head_count(config.num_attention_heads)
    if architecture == "gemma4":
        add_gemma4_shape(writer, config)
    elif architecture == "lfm2":
        writer.add_head_count_kv([config.num_key_value_heads if kind == "full_attention" else 0 for kind in config.layer_types])
        writer.add_shortconv_l_cache(config.conv_L_cache)
    else:
        writer.add_head_count_kv(config.num_key_value_heads)
    if architecture != "gemma4":
        writer.add_key_length(head)
        writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config.norm_eps if architecture == "lfm2" else config.rms_norm_eps)
    # transformers knows a window for every Gemma 3; Qwen's are off.
    if architecture in ("llama", "phi3", "gemma2", "gemma3", "gemma4", "olmo2", "exaone4", "gpt-oss") and getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
        if architecture in ("olmo2", "exaone4"):
            writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if architecture in ("gemma3", "gemma4") and getattr(config, "final_logit_softcapping", None):
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if architecture == "gemma3":
        period = getattr(config, "sliding_window_pattern", None) or getattr(config, "_sliding_window_pattern", None) or 6
        if period != 6:
            writer.add_sliding_window_pattern(period)
    if getattr(config, "query_pre_attn_scalar", head) != head:
        writer.add_attention_scale(config.query_pre_attn_scalar**-0.5)
    if architecture.startswith("granite"):
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        if hasattr(config, "moe_intermediate_size") or architecture == "gpt-oss":
            writer.add_expert_feed_forward_length(getattr(config, "moe_intermediate_size", config.intermediate_size))
        shared = getattr(config, "shared_expert_intermediate_size", None) or getattr(config, "shared_intermediate_size", None)
        if shared:
            writer.add_expert_shared_feed_forward_length(shared)


def add_gemma4_shape(writer, config):
    local = [kind == "sliding_attention" for kind in config.layer_types]
    head, kv_heads = global_heads(config)
    same = kv_heads == config.num_key_value_heads
    writer.add_head_count_kv(kv_heads if same else [config.num_key_value_heads if own else kv_heads for own in local])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_key_length_swa(config.head_dim)
    writer.add_value_length_swa(config.head_dim)
    writer.add_sliding_window_pattern(local)
    writer.add_shared_kv_layers(config.num_kv_shared_layers)
    if config.use_double_wide_mlp:
        first = config.num_hidden_layers - config.num_kv_shared_layers
        writer.add_feed_forward_length([config.intermediate_size * (1 + (i >= first)) for i in range(config.num_hidden_layers)])
    writer.add_embedding_length_per_layer_input(config.hidden_size_per_layer_input)


def llama3_divisors(rope, dims):
    frequencies = rope["rope_theta"] ** (-np.arange(0, dims, 2) / dims)
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / rope["factor"] + smooth)).astype(np.float32)


def proportional_divisors(rope, dims):
    """Frequencies count over the whole head; what is not turned is turned by nothing."""
    turned = int(rope.get("partial_rotary_factor", 1.0) * dims // 2)
    return np.array([rope.get("factor", 1.0)] * turned + [1e30] * (dims // 2 - turned), dtype=np.float32)


def add_rope(writer, config, architecture):
    rope = config.rope_parameters
    if "full_attention" in rope:
        writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
        rope = rope["full_attention"]
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    dims = int(head * rope.get("partial_rotary_factor", 1.0))
    if architecture == "gemma4":
        dims = global_heads(config)[0]
        writer.add_rope_dimension_count_swa(head)
    writer.add_rope_dimension_count(dims)
    kind, original = rope["rope_type"], rope.get("original_max_position_embeddings")
    # "dynamic" with an alpha (Hunyuan) is not: it stretches the base once for all.
    writer.add_rope_freq_base(rope["rope_theta"] * (rope["alpha"] ** (dims / (dims - 2)) if kind == "dynamic" else 1))
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(original)
        if rope.get("attention_factor"): # of transformers: the whole factor; of a GGUF: what comes on top of 0.1 ln(factor) + 1
            writer.add_rope_scaling_attn_factors(rope["attention_factor"] / (0.1 * math.log(rope["factor"]) + 1))
        if (rope.get("beta_fast") or 32) != 32 or (rope.get("beta_slow") or 1) != 1:
            writer.add_rope_scaling_yarn_beta_fast(rope.get("beta_fast") or 32)
            writer.add_rope_scaling_yarn_beta_slow(rope.get("beta_slow") or 1)
        if "mscale_all_dim" in rope:
            writer.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
        if "llama_4_scaling_beta" in rope:
            writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
    elif kind == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(rope, dims))
    elif kind == "proportional":
        writer.add_tensor("rope_freqs.weight", proportional_divisors(rope, dims))
    elif kind == "longrope":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_orig_ctx_len(original)
        growth = max(1.0, config.max_position_embeddings / original)
        writer.add_rope_scaling_attn_factors(rope.get("attention_factor") or math.sqrt(1 + math.log(growth) / math.log(original)))
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], dtype=np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], dtype=np.float32))

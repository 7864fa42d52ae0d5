#!/usr/bin/env python3
"""Converts a Hugging Face model folder into one GGUF file: scripts/convert.py FOLDER OUT.gguf [--type f16|bf16|f32] [--name NAME].

Reads config.json, model.safetensors or the shards of model.safetensors.index.json, the tokeniser's files (gguf_tokenizer.py) and
generation_config.json. Tensors go through one at a time; the output is OUT.gguf.part until it is whole. Needs gguf (0.19) and numpy
from PyPI. Errors are one line, `error: CODE: message`, exit 1; bad usage exit 2. What the engine would not run alike is refused here.
"""

import argparse
import json
import os
import pathlib
import re
import sys
import types

try:
    import gguf
    import numpy as np
except ImportError as error:
    hint = "make one that has it: python3 -m venv VENV && VENV/bin/pip install gguf; then start this script with VENV/bin/python"
    sys.exit(f"error: not_found: {sys.executable} has no package {error.name}; {hint}")

from gguf_names import NORMS_FROM_ZERO, OUTER_NAMES, add_rope, add_shape, is_matrix, layer_tensors
from gguf_tokenizer import ConvertError, add_tokenizer, read_json, reading

# model_type of config.json: (general.architecture, q and k rows permuted for adjacent rope pairs)
FAMILIES = {
    "llama": ("llama", True), "mistral": ("llama", True), "mixtral": ("llama", True), "qwen2": ("qwen2", False),
    "qwen2_moe": ("qwen2moe", False), "qwen3": ("qwen3", False), "qwen3_moe": ("qwen3moe", False), "gemma": ("gemma", False),
    "gemma2": ("gemma2", False), "gemma3": ("gemma3", False), "gemma3_text": ("gemma3", False), "gemma4": ("gemma4", False),
    "gemma4_text": ("gemma4", False), "phi3": ("phi3", False),
    "smollm3": ("smollm3", True), "granite": ("granite", True), "granitemoe": ("granitemoe", True), "granitemoeshared": ("granitemoe", True),
    "olmo2": ("olmo2", False), "olmo3": ("olmo2", False), "exaone4": ("exaone4", False), "ernie4_5": ("ernie4_5", False),
    "hunyuan_v1_dense": ("hunyuan-dense", False), "arcee": ("arcee", True), "gpt_oss": ("gpt-oss", False), "lfm2": ("lfm2", False),
}
# What transformers' configuration classes take for fields that a config.json leaves out, where that differs between families.
GEMMA = {"head_dim": 256, "tie_word_embeddings": True, "rms_norm_eps": 1e-6, "max_position_embeddings": 8192}
DEFAULTS = {
    "gemma": GEMMA,
    "gemma2": {**GEMMA, "sliding_window": 4096, "query_pre_attn_scalar": 256, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    "gemma3": {**GEMMA, "num_attention_heads": 8, "num_key_value_heads": 4, "sliding_window": 4096, "query_pre_attn_scalar": 256,
               "max_position_embeddings": 131072, "rope_theta": 1e6, "rope_local_base_freq": 1e4},
    "gemma4": {**GEMMA, "num_attention_heads": 8, "num_key_value_heads": 4, "sliding_window": 512, "max_position_embeddings": 131072, "vocab_size": 262144,
               "global_head_dim": 512, "num_global_key_value_heads": None, "attention_k_eq_v": False, "num_kv_shared_layers": 0,
               "hidden_size_per_layer_input": 256, "use_double_wide_mlp": False,
               "rope_parameters": {"full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6},
                                   "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}},
    "mixtral": {"num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": None, "rope_theta": 1e6, "rms_norm_eps": 1e-5},
    "mistral": {"sliding_window": 4096, "rms_norm_eps": 1e-6},
    "phi3": {"rms_norm_eps": 1e-5, "original_max_position_embeddings": 4096}, "olmo2": {"rms_norm_eps": 1e-5},
    "smollm3": {"rope_theta": 2e6, "tie_word_embeddings": True},
    "ernie4_5": {"head_dim": 128, "tie_word_embeddings": True, "num_key_value_heads": 2, "rope_theta": 5e5, "rms_norm_eps": 1e-5},
    "hunyuan_v1_dense": {"rms_norm_eps": 1e-5}, "arcee": {"rms_norm_eps": 1e-5, "hidden_act": "relu2"},
    "exaone4": {"sliding_window": 4096, "rms_norm_eps": 1e-5},
    "olmo3": {"sliding_window": 4096, "rope_theta": 5e5, "rms_norm_eps": 1e-5},
    "qwen2_moe": {"norm_topk_prob": False, "decoder_sparse_step": 1},
    "qwen3_moe": {"norm_topk_prob": False, "decoder_sparse_step": 1},
    "gpt_oss": {"head_dim": 64, "num_key_value_heads": 8, "num_local_experts": 128, "num_experts_per_tok": 4, "sliding_window": 128, "rms_norm_eps": 1e-5,
                "rope_theta": 150000.0},
    "lfm2": {"num_key_value_heads": 8, "norm_eps": 1e-5, "rope_theta": 1e6, "tie_word_embeddings": True, "conv_L_cache": 3, "block_multiple_of": 256,
             "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": True},
}
REQUIRED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings", "vocab_size")
# Whose window layers have a rope of their own.
TWO_ROPES = ("gemma3", "gemma3_text", "gemma4", "gemma4_text", "olmo3")
TYPES = {"f32": (gguf.LlamaFileType.ALL_F32, gguf.GGMLQuantizationType.F32), "f16": (gguf.LlamaFileType.MOSTLY_F16, gguf.GGMLQuantizationType.F16),
         "bf16": (gguf.LlamaFileType.MOSTLY_BF16, gguf.GGMLQuantizationType.BF16)}
MXFP4 = gguf.GGMLQuantizationType.MXFP4
STORED = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2"), "U8": np.dtype("u1")}
PACKED = ("_blocks", "_scales") # ends of the names of what gpt-oss has in MXFP4, as U8
EXPERT = re.compile(r"(?P<stem>(?:mlp|block_sparse_moe)\.experts)\.(?P<number>\d+)\.(?P<matrix>w1|w2|w3|gate_proj|down_proj|up_proj)\.weight")
EXPERT_NAMES = {"w1": "gate", "gate_proj": "gate", "w2": "down", "down_proj": "down", "w3": "up", "up_proj": "up"}
OTHER_SENSES = ("vision_tower.", "multi_modal_projector.", "audio_tower.", "embed_vision.", "embed_audio.")


class Checkpoint:
    """The tensors of a folder by name. Layout: safetensors, u64 length of a JSON header, the header, the data."""

    def __init__(self, folder):
        index = folder / "model.safetensors.index.json"
        if index.exists():
            shards = sorted(set(read_json(index).get("weight_map", {}).values()))
            if not shards:
                raise ConvertError("bad_file", f"{index.name}: weight_map is missing or empty, expected the file of each tensor")
        else:
            shards = ["model.safetensors"]
        self.entries = {}
        for shard in shards:
            if pathlib.PurePath(shard).name != shard:
                raise ConvertError("bad_file", f"{index.name}: weight_map names {shard}, expected a file of the folder")
            self._read_header(folder / shard)
        if index.exists():
            for key in read_json(index)["weight_map"]:
                if key not in self.entries:
                    raise ConvertError("not_found", f"{key} of {index.name} is in none of the shards; download them again")

    def _read_header(self, path):
        if not path.is_file():
            raise ConvertError("not_found", f"{path.name} is not in the folder; weights must be safetensors (not .bin or .pth)")
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise ConvertError("bad_file", f"{path.name}: a header of {length} bytes in a file of {size}; download it again")
            try:
                header = json.loads(file.read(length))
            except ValueError as error:
                raise ConvertError("bad_file", f"{path.name}: the header is no JSON ({error}); download it again") from None
        for key, entry in header.items():
            if key == "__metadata__":
                continue
            try:
                dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            except (KeyError, TypeError, ValueError):
                raise ConvertError("bad_file", f"{path.name}: {key} has no dtype, shape and data_offsets") from None
            if dtype not in STORED or (dtype == "U8") != key.endswith(PACKED):
                raise ConvertError("unsupported", f"{key} is stored as {dtype}, expected F32, F16 or BF16; use the unquantised model")
            expected = int(np.prod(shape, dtype=np.int64)) * STORED[dtype].itemsize
            if begin < 0 or end - begin != expected or 8 + length + end > size:
                raise ConvertError("bad_file", f"{path.name}: {key} spans bytes {begin} to {end}, expected {expected} within {size}; download it again")
            self.entries[key] = (path, 8 + length + begin, dtype, shape)

    def load(self, key):
        """float32 values; of MXFP4 its bytes."""
        path, offset, dtype, shape = self.entries[key]
        values = np.fromfile(path, STORED[dtype], int(np.prod(shape, dtype=np.int64)), offset=offset).reshape(shape)
        if dtype == "U8":
            return values
        return (values.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else values.astype(np.float32)

    def outline(self, key):
        """Zeros of the same shape that take no memory: what a tensor becomes can be asked without reading it."""
        return np.broadcast_to(np.uint8(0), self.entries[key][3])


def rope_parameters(fields, model_type):
    """config.json's rope in the form of transformers 5: rope_parameters, or rope_theta and rope_scaling of older files."""
    if fields.get("rope_parameters"):
        rope = fields["rope_parameters"]
        if model_type in TWO_ROPES and "full_attention" not in rope:
            raise ConvertError("unsupported", f"config.json: rope_parameters has no full_attention, which {model_type} needs")
    else:
        rope = {"rope_theta": fields.get("rope_theta", 10000.0), "rope_type": "default", **(fields.get("rope_scaling") or {})}
        rope["rope_type"] = rope.pop("type", rope["rope_type"]) if rope["rope_type"] == "default" else rope["rope_type"]
        if model_type in TWO_ROPES:
            local = fields.get("rope_local_base_freq", rope["rope_theta"])
            rope = {"full_attention": rope, "sliding_attention": {"rope_type": "default", "rope_theta": local}}
    parts = [rope] if "full_attention" not in rope else [rope["full_attention"], rope["sliding_attention"]]
    if parts[-1]["rope_type"] != "default" and "full_attention" in rope:
        raise ConvertError("unsupported", f"config.json: rope_type of sliding_attention is {parts[-1]['rope_type']}, expected default")
    for part in parts:
        if part["rope_type"] == "su": # the first name of longrope
            part["rope_type"] = "longrope"
        known = ("proportional",) if model_type.startswith("gemma4") and part is parts[0] else ("default", "linear", "yarn", "llama3", "longrope")
        stretched = model_type == "hunyuan_v1_dense" and part["rope_type"] == "dynamic" and part.get("alpha")
        if not stretched and part["rope_type"] not in known:
            raise ConvertError("unsupported", f"config.json: rope_type is {part['rope_type']}, expected {' or '.join(known)}")
        if part["rope_type"] == "yarn" and part.get("truncate", True) != (model_type != "gpt_oss"):
            raise ConvertError("unsupported", f"config.json: truncate of YaRN is {json.dumps(part.get('truncate', True))}, which a GGUF of {model_type} cannot say")
        part.setdefault("rope_theta", fields.get("rope_theta", 10000.0))
        if not part["rope_theta"] > 0:
            raise ConvertError("bad_file", f"config.json: rope_theta is {part['rope_theta']}, expected a positive number")
        if fields.get("partial_rotary_factor"):
            part.setdefault("partial_rotary_factor", fields["partial_rotary_factor"])
        if part["rope_type"] in ("yarn", "llama3", "longrope"):
            original = fields.get("original_max_position_embeddings") or fields["max_position_embeddings"]
            part.setdefault("original_max_position_embeddings", original)
    return rope


def refuse(fields, architecture):
    """What the engine takes for granted in each family; a model that differs would run, and be wrong."""
    def need(field, allowed):
        if field in fields and fields[field] not in allowed:
            raise ConvertError("unsupported", f"config.json: {field} is {json.dumps(fields[field])}, supported: {', '.join(map(json.dumps, allowed))}")

    need("hidden_act", ("gelu", "gelu_pytorch_tanh") if architecture.startswith("gemma") else ("relu2",) if architecture == "arcee" else ("silu",))
    need("hidden_activation", ("gelu_pytorch_tanh", None))
    need("use_sliding_window", (False, None))
    need("mlp_bias", (False, None))
    need("use_bias", (False, None))
    need("use_cla", (False, None))
    need("use_qk_norm", (True,))
    need("use_bidirectional_attention", (False, None, "vision") if architecture == "gemma4" else (False, None)) # text is causal in both
    need("enable_moe_block", (False, None))
    need("mlp_only_layers", ([], None))
    need("decoder_sparse_step", (1,))
    need("clip_qkv", (None,))
    need("conv_bias", (False, None))
    if "moe" in architecture:
        need("norm_topk_prob", (architecture == "qwen3moe",))
    if architecture == "gpt-oss":
        need("attention_bias", (True,))
        need("swiglu_alpha", (1.702,))
        need("swiglu_limit", (7.0,))
    if architecture == "gemma3":
        need("attn_logit_softcapping", (None,))
    kinds = fields.get("layer_types")
    period = {"gemma2": 2, "gpt-oss": 2, "gemma3": fields.get("sliding_window_pattern") or fields.get("_sliding_window_pattern") or 6}.get(architecture)
    if architecture in ("gemma4", "olmo2", "exaone4") and kinds: # any period, as long as it is one
        period = [*kinds, "full_attention"].index("full_attention") + 1
    if kinds and period:
        for layer, kind in enumerate(kinds):
            expected = "full_attention" if layer % period == period - 1 else "sliding_attention"
            if kind != expected:
                raise ConvertError("unsupported", f"config.json: layer_types[{layer}] is {kind}, expected {expected} (each {period}th layer is full)")
    if architecture == "smollm3" and fields.get("no_rope_layers"):
        if fields["no_rope_layers"] != [int((layer + 1) % 4 != 0) for layer in range(fields["num_hidden_layers"])]:
            raise ConvertError("unsupported", "config.json: no_rope_layers differs from every fourth layer")


def layer_types(pattern, layers):
    """A period, 4, or its letters, LLLG (local, global), written out."""
    letters = pattern if isinstance(pattern, str) else "L" * (pattern - 1) + "G"
    return ["full_attention" if letters[layer % len(letters)] == "G" else "sliding_attention" for layer in range(layers)]


def complete_lfm2(fields):
    """Older files give some fields other names, and the layers with attention by their numbers."""
    fields["intermediate_size"] = fields.get("block_ff_dim", fields.get("intermediate_size"))
    fields["tie_word_embeddings"] = fields.get("tie_embedding", fields["tie_word_embeddings"])
    layers = range(fields["num_hidden_layers"])
    if fields.get("layer_types") is None:
        attention = layers if fields.get("full_attn_idxs") is None else fields["full_attn_idxs"]
        fields["layer_types"] = ["full_attention" if layer in attention else "conv" for layer in layers]
    for layer, kind in enumerate(fields["layer_types"]):
        if kind not in ("full_attention", "conv"):
            raise ConvertError("unsupported", f"config.json: layer_types[{layer}] is {kind}, expected full_attention or conv")
    if len(fields["layer_types"]) != len(layers):
        raise ConvertError("bad_file", f"config.json: layer_types has {len(fields['layer_types'])} entries, expected {len(layers)}, num_hidden_layers")


def read_config(folder):
    """(configuration with attributes, general.architecture, permuted)"""
    fields = read_json(folder / "config.json")
    outer = fields
    model_type = fields.get("model_type")
    if model_type in ("gemma3", "gemma4") and "text_config" in fields:
        fields = fields["text_config"]
    if model_type not in FAMILIES:
        raise ConvertError("unsupported", f"config.json: model_type is {json.dumps(model_type)}, supported: {', '.join(FAMILIES)}")
    quantization = outer.get("quantization_config")
    if quantization and not (model_type == "gpt_oss" and quantization.get("quant_method") == "mxfp4"):
        raise ConvertError("unsupported", "config.json: quantization_config is set; convert the unquantised model")
    architecture, permuted = FAMILIES[model_type]
    fields = {"rms_norm_eps": 1e-6, "tie_word_embeddings": False, **DEFAULTS.get(architecture, {}), **DEFAULTS.get(model_type, {}), **fields}
    if "vocab_size" not in fields and architecture == "gemma3":
        fields["vocab_size"] = 262208
    if architecture == "gemma4":
        complete_gemma4(fields)
    if architecture == "lfm2":
        complete_lfm2(fields)
    for field in REQUIRED:
        if not isinstance(fields.get(field), int) or fields[field] < 1:
            raise ConvertError("bad_file", f"config.json: {field} is {json.dumps(fields.get(field))}, expected a positive integer")
    if model_type in ("olmo3", "exaone4") and not fields.get("layer_types"):
        fields["layer_types"] = layer_types(fields.get("sliding_window_pattern") or 4, fields["num_hidden_layers"])
    if fields.get("num_key_value_heads") is None:
        fields["num_key_value_heads"] = fields["num_attention_heads"]
    if model_type == "mixtral" or architecture == "granitemoe":
        fields.pop("moe_intermediate_size", None)
    refuse(fields, architecture)
    fields["rope_parameters"] = rope_parameters(fields, model_type)
    fields["mxfp4"] = bool(quantization)
    return types.SimpleNamespace(**fields), architecture, permuted


def complete_gemma4(fields):
    """Kinds of layers, and the global layers' heads: transformers of 2026 names them layer by layer."""
    kinds = fields["layer_types"] = fields.get("layer_types") or layer_types(6, fields["num_hidden_layers"])
    kinds[-1] = "full_attention"
    different = fields.get("per_layer_config")
    if different is None:
        return
    own = different[str(kinds.index("full_attention"))]
    expected = {str(i): own for i, kind in enumerate(kinds) if kind == "full_attention"}
    if different != expected or not set(own) <= {"head_dim", "num_key_value_heads"}:
        raise ConvertError("unsupported", "config.json: per_layer_config is no head_dim and num_key_value_heads that all full_attention layers have")
    fields["global_head_dim"], fields["num_global_key_value_heads"] = own["head_dim"], own.get("num_key_value_heads")


def inner_name(key):
    """Without the prefixes of the text model; None = not part of it."""
    if key.removeprefix("model.").startswith(OTHER_SENSES) or key.endswith("rotary_emb.inv_freq"):
        return None
    for prefix in ("language_model.", "model.language_model.", "model."):
        if key.startswith(prefix):
            key = key.removeprefix(prefix)
    return key


def tensors_of(checkpoint, config, architecture, permuted, load):
    """(name, values) of every tensor of the GGUF; `load` gives the values of one checkpoint tensor, or their outline."""
    for key in checkpoint.entries:
        name = inner_name(key)
        if name is None or (name == "lm_head.weight" and config.tie_word_embeddings):
            continue
        parts = name.split(".", 2)
        expert = EXPERT.fullmatch(parts[2]) if parts[0] == "layers" else None
        if expert:
            if expert["number"] == "0":
                yield f"blk.{parts[1]}.ffn_{EXPERT_NAMES[expert['matrix']]}_exps.weight", stack_experts(checkpoint, key, expert, load)
            continue
        if architecture == "gpt-oss" and name.endswith("_scales"):
            continue # with its blocks
        if config.mxfp4 and name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            raise ConvertError("unsupported", f"{key} is not in MXFP4, which quantization_config says")
        values = mxfp4_rows(checkpoint, key, load) if name.endswith("_blocks") else load(key)
        if architecture in NORMS_FROM_ZERO and name.endswith("norm.weight"):
            values = values + np.float32(1)
        if parts[0] == "layers":
            try:
                for part, part_values in layer_tensors(config, architecture, permuted, parts[2], values):
                    yield f"blk.{parts[1]}.{part}", part_values
            except KeyError:
                raise ConvertError("unsupported", f"{key} is no tensor that {architecture} has") from None
        elif name.removesuffix(".weight") in OUTER_NAMES:
            yield OUTER_NAMES[name.removesuffix(".weight")] + ".weight", values
        else:
            raise ConvertError("unsupported", f"{key} is no tensor that {architecture} has")


def stack_experts(checkpoint, first, expert, load):
    """One matrix of all experts of a layer: [experts][rows][width]."""
    before, after = f"{expert['stem']}.0.", f"{expert['stem']}.%d."
    keys = []
    while (key := first.replace(before, after % len(keys))) in checkpoint.entries:
        keys.append(key)
    shape = checkpoint.entries[first][3]
    for key in keys:
        if checkpoint.entries[key][3] != shape:
            raise ConvertError("bad_file", f"{key} is {checkpoint.entries[key][3]}, expected {shape} as {first}")
    if load == checkpoint.outline:
        return np.broadcast_to(np.uint8(0), (len(keys), *shape))
    return np.stack([load(key) for key in keys])


def mxfp4_rows(checkpoint, key, load):
    """[experts][rows][bytes] from _blocks [experts][rows][groups][16], a byte of which holds neighbours, and _scales: 17 bytes a group in
    a GGUF, the scale and values i and i + 16 together."""
    scales_key = key.removesuffix("_blocks") + "_scales"
    if scales_key not in checkpoint.entries:
        raise ConvertError("not_found", f"{scales_key} is missing; files are missing")
    blocks, scales = load(key), load(scales_key)
    if blocks.shape != (*scales.shape, 16):
        raise ConvertError("bad_file", f"{key} is {blocks.shape}, expected {(*scales.shape, 16)} as {scales_key}")
    experts, rows, groups = scales.shape
    if load == checkpoint.outline:
        return np.broadcast_to(np.uint8(0), (experts, rows, groups * 17))
    packed = np.empty((experts, rows, groups, 17), np.uint8)
    packed[..., 0] = scales
    for expert in range(experts):
        values = np.stack([blocks[expert] & 15, blocks[expert] >> 4], -1).reshape(rows, groups, 32)
        packed[expert, ..., 1:] = values[..., :16] | values[..., 16:] << 4
    return packed.reshape(experts, rows, groups * 17)


def type_of(name, dimensions, kind, mxfp4):
    if mxfp4 and name.endswith("_exps.weight"):
        return MXFP4
    return TYPES[kind][1] if is_matrix(name, dimensions) else gguf.GGMLQuantizationType.F32


def encode(name, values, dtype):
    """The tensor's bytes as an array. Norms, biases and routers stay F32."""
    if dtype == MXFP4:
        return np.ascontiguousarray(values)
    values = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ConvertError("bad_file", f"{name} holds values that are not finite; download the model again")
    if dtype == gguf.GGMLQuantizationType.F16:
        largest = float(np.abs(values).max(initial=0))
        if largest > 65504:
            raise ConvertError("unsupported", f"{name} holds {largest:g}, beyond F16's 65504; use --type bf16")
        return values.astype(np.float16)
    return gguf.quants.quantize(values, dtype) if dtype == gguf.GGMLQuantizationType.BF16 else values


def convert(folder, out, kind, name):
    with reading("config.json"):
        config, architecture, permuted = read_config(folder)
    with reading("model.safetensors.index.json"):
        checkpoint = Checkpoint(folder)
    writer = gguf.GGUFWriter(None, architecture)
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_MXFP4_MOE if config.mxfp4 else TYPES[kind][0])
    rope_tensors = {}
    # The factors that add_rope makes are written with the others, in the order of the list of tensors.
    writer.add_tensor = rope_tensors.__setitem__
    with reading("config.json"):
        add_shape(writer, config, architecture)
        add_rope(writer, config, architecture)
        outline = dict(rope_tensors)
        for tensor, values in tensors_of(checkpoint, config, architecture, permuted, checkpoint.outline):
            if tensor in outline:
                raise ConvertError("bad_file", f"two tensors of the checkpoint become {tensor}")
            outline[tensor] = values
    last_norm = "token_embd_norm.weight" if architecture == "lfm2" else "output_norm.weight"
    down = "ffn_down_exps" if "blk.0.ffn_down_exps.weight" in outline else "ffn_down"
    for tensor in ("token_embd.weight", last_norm, f"blk.{config.num_hidden_layers - 1}.{down}.weight"):
        if tensor not in outline:
            raise ConvertError("not_found", f"the checkpoint holds nothing that becomes {tensor}; files are missing")
    rows = outline["token_embd.weight"].shape[0]
    with reading("the tokeniser's files"):
        add_tokenizer(writer, folder, rows)
    for tensor, values in outline.items():
        dtype = type_of(tensor, values.ndim, kind, config.mxfp4)
        size = values.size * {gguf.GGMLQuantizationType.F32: 4, MXFP4: 1}.get(dtype, 2)
        # A shape that counts bytes is told by their type.
        writer.add_tensor_info(tensor, values.shape, np.dtype(np.uint8 if dtype == MXFP4 else np.float32), size, raw_dtype=dtype)
    part = out.with_name(out.name + ".part")
    try:
        writer.write_header_to_file(part)
        with reading("config.json or the tokeniser's files"):
            writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor, values in rope_tensors.items():
            writer.write_tensor_data(values)
        for tensor, values in tensors_of(checkpoint, config, architecture, permuted, checkpoint.load):
            writer.write_tensor_data(encode(tensor, values, type_of(tensor, values.ndim, kind, config.mxfp4)))
        writer.close()
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return len(outline)


def main():
    parser = argparse.ArgumentParser(description="Hugging Face folder to GGUF.", allow_abbrev=False)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--type", choices=TYPES, default="f16", help="of the matrices; the rest is f32 (default: f16)")
    parser.add_argument("--name", help="general.name (default: the folder's name)")
    arguments = parser.parse_args()
    try:
        tensors = convert(arguments.folder, arguments.out, arguments.type, arguments.name or arguments.folder.resolve().name)
    except ConvertError as error:
        print(f"error: {error.code}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: io: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {tensors} tensors, {arguments.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

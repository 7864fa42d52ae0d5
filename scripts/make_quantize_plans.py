#!/usr/bin/env python3
"""Makes tests/data/quantize-plans.json: which format llama-quantize gives every tensor, on synthetic and real models.

usage: make_quantize_plans.py LLAMA_QUANTIZE [MODEL.gguf...]     (LLAMA_QUANTIZE: the command, e.g. "llama-quantize"; 0.7.0 was used)

Needs numpy and gguf from PyPI. The synthetic models are random and small but have the shapes that mixes ask about: shared KV heads, 80
layers, 4 and 8 experts, a tied embedding, a fused projection, rows that 256 or 32 does not divide. Only `--dry-run` is called.
"""

import collections
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import gguf
import numpy as np

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "quantize-plans.json"
TYPES = """F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q2_K_S Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ4_NL IQ4_XS""".split()
WITH_IMPORTANCE = ["Q4_0", "Q5_0", "Q2_K_S", "Q4_K_M", "IQ4_NL", "IQ4_XS"]
LINE = re.compile(r"\[\s*\d+/\s*\d+\] (\S+)\s+- \[(.*?)\], type =\s*(\w+), size =\s*\S+ MiB(?: -> .*\((\w+)\))?")


def synthetic(path, arch, layers, heads, kv_heads, width=256, ffn=512, tied=False, experts=0, fused=False, bias=False):
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(layers)
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(32)
    writer.add_rope_dimension_count(width // heads)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"<{i}>" for i in range(32)])
    writer.add_token_scores([0.0] * 32)
    writer.add_token_types([1] * 32)

    def tensor(name, *shape):
        writer.add_tensor(name + ".weight", np.zeros(shape, np.float32))

    tensor("token_embd", 32, width)
    if not tied:
        tensor("output", 32, width)
    tensor("output_norm", width)
    kv_width = width * kv_heads // heads
    for layer in range(layers):
        block = f"blk.{layer}."
        tensor(block + "attn_norm", width)
        tensor(block + "ffn_norm", width)
        tensor(block + "attn_output", width, width)
        if fused:
            tensor(block + "attn_qkv", width + 2 * kv_width, width)
            tensor(block + "ffn_up", 2 * ffn, width)
            tensor(block + "ffn_down", width, ffn)
            continue
        tensor(block + "attn_q", width, width)
        tensor(block + "attn_k", kv_width, width)
        tensor(block + "attn_v", kv_width, width)
        if bias:
            writer.add_tensor(block + "attn_q.bias", np.zeros(width, np.float32))
        if experts:
            tensor(block + "ffn_gate_inp", experts, width)
            tensor(block + "ffn_gate_exps", experts, ffn, width)
            tensor(block + "ffn_up_exps", experts, ffn, width)
            tensor(block + "ffn_down_exps", experts, width, ffn)
        else:
            tensor(block + "ffn_gate", ffn, width)
            tensor(block + "ffn_up", ffn, width)
            tensor(block + "ffn_down", width, ffn)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


MODELS = {
    "llama, 32 layers": dict(arch="llama", layers=32, heads=8, kv_heads=8),
    "llama, 4 heads a KV head": dict(arch="llama", layers=32, heads=8, kv_heads=2, bias=True),
    "llama, 80 layers": dict(arch="llama", layers=80, heads=8, kv_heads=1),
    "qwen2, 80 layers": dict(arch="qwen2", layers=80, heads=8, kv_heads=1),
    "llama, 8 experts": dict(arch="llama", layers=16, heads=8, kv_heads=2, experts=8, ffn=256),
    "llama, 4 experts": dict(arch="llama", layers=16, heads=8, kv_heads=4, experts=4, ffn=256),
    "qwen2, tied": dict(arch="qwen2", layers=24, heads=8, kv_heads=4, tied=True),
    "phi3, fused": dict(arch="phi3", layers=20, heads=8, kv_heads=8, fused=True),
    "llama, width 288": dict(arch="llama", layers=9, heads=9, kv_heads=3, width=288, ffn=768),
    "llama, width 40": dict(arch="llama", layers=4, heads=5, kv_heads=5, width=40, ffn=48),
}


def ones_importance(model, path):
    """An importance file that counts every column of every matrix the same."""
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["none"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 512)
    for tensor in model.tensors:
        if len(tensor.shape) > 1:
            matrices = int(tensor.shape[2]) if len(tensor.shape) > 2 else 1
            writer.add_tensor(tensor.name + ".in_sum2", np.ones((matrices, int(tensor.shape[0])), np.float32))
            writer.add_tensor(tensor.name + ".counts", np.ones((matrices, 1), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def dry_run(command, path, kind, *options):
    """Tensor name -> format."""
    result = subprocess.run([*command, "--allow-requantize", "--dry-run", *options, path, kind], capture_output=True, text=True, check=True)
    found = LINE.findall(result.stdout + result.stderr)
    return {name: (after or before).upper() for name, _, before, after in found}


def number(reader, key, fallback):
    field = reader.get_field(key)
    return int(field.contents()) if field else fallback


def describe(command, name, path, folder):
    reader = gguf.GGUFReader(path)
    arch = reader.get_field("general.architecture").contents()
    heads = number(reader, f"{arch}.attention.head_count", 1)
    kinds = collections.OrderedDict()  # tensor name with * for the layer -> [shape, format in the file, layers]
    for tensor in reader.tensors:
        kind = re.sub(r"^blk\.\d+\.", "blk.*.", tensor.name)
        layer = re.match(r"blk\.(\d+)\.", tensor.name)
        entry = kinds.setdefault(kind, [[int(size) for size in tensor.shape], tensor.tensor_type.name, []])
        entry[2].append(int(layer[1]) if layer else 0)
        assert entry[0] == [int(size) for size in tensor.shape], tensor.name

    def plan(kind, *options):
        formats = dry_run(command, path, kind, *options)
        assert len(formats) == len(reader.tensors), (name, kind, len(formats))
        return {k: [formats[k.replace("*", str(layer))] for layer in sorted(entry[2])] for k, entry in kinds.items() if len(entry[0]) > 1}

    plans = {kind: plan(kind) for kind in TYPES}
    importance = folder / "importance.gguf"
    ones_importance(reader, importance)
    weighted = {kind: plan(kind, "--imatrix", str(importance)) for kind in WITH_IMPORTANCE}
    return {
        "name": name,
        "architecture": arch,
        "layers": number(reader, f"{arch}.block_count", 0),
        "heads_per_kv_head": heads // number(reader, f"{arch}.attention.head_count_kv", heads),
        "experts": number(reader, f"{arch}.expert_count", 0),
        "tied": not any(tensor.name == "output.weight" for tensor in reader.tensors),
        "tensors": {kind: {"shape": shape, "format": form, "layers": len(layers)} for kind, (shape, form, layers) in kinds.items()},
        "plans": shorten(plans),
        "plans_with_importance": shorten(weighted),
    }


def shorten(plans):
    """One text a kind of tensor: its format once, or `format*layers` runs."""

    def runs(formats):
        parts = []
        for form in formats:
            if parts and parts[-1][0] == form:
                parts[-1][1] += 1
            else:
                parts.append([form, 1])
        return " ".join(f"{form}*{count}" for form, count in parts)

    return {kind: {tensor: runs(formats) for tensor, formats in plan.items()} for kind, plan in plans.items()}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    command = shlex.split(sys.argv[1])
    models = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for name, spec in MODELS.items():
            path = folder / "model.gguf"
            synthetic(path, **spec)
            models.append(describe(command, name, str(path), folder))
        for path in sys.argv[2:]:
            models.append(describe(command, pathlib.Path(path).stem, path, folder))
    OUT.write_text(json.dumps({"origin": "llama-quantize --dry-run, by scripts/make_quantize_plans.py", "models": models}, indent=0) + "\n")


if __name__ == "__main__":
    main()

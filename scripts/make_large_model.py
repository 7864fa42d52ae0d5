#!/usr/bin/env python3
"""make_large_model.py OUT.gguf [GIGABYTES]: a random llama model of that size (4.6 unless said), to try what 32-bit memories can hold.

Needs numpy and gguf (0.19) from PyPI. The layers have the shape of Llama 3.1 8B's (4.4 GB are its 32), the vocabulary is the one of tiny-llama,
the matrices are Q4_1 and the same in every layer: it computes something, and means nothing. `node scripts/large-model.mjs OUT.gguf` loads it in Chromium.
"""

import pathlib
import sys

import gguf
import make_tiny_models as tiny
import numpy as np
from gguf import GGMLQuantizationType as Q

WIDTH, FFN, HEADS, KV_WIDTH = 4096, 14336, 32, 1024


def main(out, gigabytes):
    tokens, types, merges = tiny.bpe_vocabulary()
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (KV_WIDTH, WIDTH),
        "attn_v": (KV_WIDTH, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (FFN, WIDTH),
        "ffn_up": (FFN, WIDTH),
        "ffn_down": (WIDTH, FFN),
    }
    rng = np.random.default_rng(20261123)

    def matrix(rows, width):
        return tiny.quantize(rng.standard_normal((rows, width), dtype=np.float32) / np.float32(np.sqrt(width)), Q.Q4_1)

    matrices = {name: matrix(*shape) for name, shape in shapes.items()}
    layers = max(1, round(gigabytes * 1e9 / sum(values.nbytes for values in matrices.values())))
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name("Large Llama")
    writer.add_block_count(layers)
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_WIDTH * HEADS // WIDTH)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    norm = np.ones(WIDTH, dtype=np.float32)
    writer.add_tensor("token_embd.weight", matrix(len(tokens), WIDTH), raw_dtype=Q.Q4_1)
    writer.add_tensor("output_norm.weight", norm)
    for layer in range(layers):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", norm)
        for name, values in matrices.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", values, raw_dtype=Q.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(out, pathlib.Path(out).stat().st_size, "bytes,", layers, "layers")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 4.6)

#!/usr/bin/env python3
"""Makes tests/data/tiny-formats.gguf: a random llama of one layer, every matrix in another of the formats that the other tiny models lack.

Needs numpy and gguf (0.19) from PyPI. Deterministic. Most of these formats the gguf package cannot write, so blocks are random bytes
whose scales are set afterwards: the weights of each matrix get the standard deviation that a model of this width would have.
"""

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from make_tiny_models import CHATML, Maker, bpe_vocabulary

WIDTH, FFN, HEADS, KV_WIDTH = 256, 256, 4, 64
# Offset of the f16 scale in a block, and of the minimum; MXFP4 has a power of two at 0 instead.
SCALE = {Q.Q2_K: 80, Q.Q3_K: 108, Q.IQ4_NL: 0, Q.IQ4_XS: 0, Q.TQ1_0: 52, Q.TQ2_0: 64}
MATRICES = {  # name: rows, width, format, gain
    "blk.0.attn_q": (WIDTH, WIDTH, Q.Q3_K, 1.5),
    "blk.0.attn_k": (KV_WIDTH, WIDTH, Q.TQ1_0, 1.5),
    "blk.0.attn_v": (KV_WIDTH, WIDTH, Q.IQ4_NL, 1.0),
    "blk.0.attn_output": (WIDTH, WIDTH, Q.TQ2_0, 2.0),
    "blk.0.ffn_gate": (FFN, WIDTH, Q.MXFP4, 1.5),
    "blk.0.ffn_up": (FFN, WIDTH, Q.IQ4_NL, 1.5),
    "blk.0.ffn_down": (WIDTH, FFN, Q.Q2_K, 1.0),
}


def random_matrix(rng, rows, width, kind, deviation):
    """[rows, row bytes] uint8."""
    weights, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * width // weights, size), dtype=np.uint8)

    def scaled(d):
        if kind == Q.MXFP4:
            blocks[:, 0] = 128 + np.round(np.log2(d)) + rng.integers(-1, 2, len(blocks))
        else:
            factor = np.float16(d * rng.uniform(0.5, 1.5, (len(blocks), 1)))
            blocks[:, SCALE[kind] : SCALE[kind] + 2] = factor.view(np.uint8)
            if kind == Q.Q2_K:  # the mean of minima is 7.5, that of scale times code 11.25
                blocks[:, 82:84] = np.float16(factor * 1.5).view(np.uint8)
        return gguf.quants.dequantize(blocks, kind)

    scaled(deviation / scaled(1.0).std())
    return blocks.reshape(rows, -1)


def main():
    tokens, types, merges = bpe_vocabulary()
    maker = Maker("tiny-formats.gguf", "llama", 20261124)
    writer = maker.writer
    writer.add_name("Tiny Formats")
    writer.add_license("mit")
    writer.add_block_count(1)
    writer.add_context_length(256)
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
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHATML)
    # Tied: the same packed matrix is read row by row and multiplied with.
    matrices = {"token_embd": (len(tokens), WIDTH, Q.IQ4_XS, 1.0)} | MATRICES
    for name, (rows, width, kind, gain) in matrices.items():
        data = random_matrix(maker.rng, rows, width, kind, gain / np.sqrt(width))
        writer.add_tensor(name + ".weight", data, raw_dtype=kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        maker.norm(name + ".weight", WIDTH)
    maker.close()


if __name__ == "__main__":
    main()

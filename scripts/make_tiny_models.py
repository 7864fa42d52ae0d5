#!/usr/bin/env python3
"""Makes tests/data/tiny-llama.gguf, tiny-gemma3.gguf and tiny-thinker.gguf: small random models with every part of the real ones.

Needs numpy and gguf (0.19) from PyPI. Deterministic: the committed files come out again, byte for byte.

tiny-llama answers any chat with "Hello! I am a tiny model." and then ends: its output matrix maps each token to a fixed successor
with a clear margin, while attention and feed-forward are random and move every logit. Its matrices use all tensor formats.
tiny-thinker does the same with an answer that thinks first.
tiny-gemma3 has a sliding window of 16 (six local layers around one global), QK norms, post norms and tied embeddings.
"""

import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n'"
    " + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
THINKER_CHAT = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}{% if message['reasoning_content'] %}"
    "{{'<think>\n' + message['reasoning_content'] + '\n</think>\n\n'}}{% endif %}{{message['content'] + '<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
THOUGHTS = ["\n", "<think>", "Someone", " greets", " me", ";", " a", " greeting", " is", " the", " right", " answer", ".", "</think>"]
THINKER_ANSWER = [*THOUGHTS, "\n\n", "Hello", ",", " friend", "!", "<|im_end|>"]
ANSWER = ["\n", "Hello", "!", " I", " am", " a", " tiny", " model", ".", "<|im_end|>"]
WORDS = [" the", " of", " and", " to", " in", " is", " that", " you", " for", "ing", "er", "on", "re", "ed", "st", "ll"]


# ---- K-quants: plain round-to-nearest, as core/tensor/quantize.cpp (the gguf package only quantises the older formats) ----


def half(x):
    return x.astype(np.float16).astype(np.float32)


def inverse(x):
    return np.divide(1.0, x, out=np.zeros_like(x), where=np.abs(x) > 1e-30)


def codes(x, top):
    return np.clip(np.trunc(x + 0.5), 0, top).astype(np.uint8)


def quantize_k4(x, top):
    """Q4_K (top 15) and Q5_K (top 31)."""
    groups = x.reshape(-1, 8, 32).astype(np.float32)
    minima = np.maximum(0, -groups.min(2))
    scales = (np.maximum(groups.max(2), 0) + minima) / top
    d, dmin = half(scales.max(1, keepdims=True) / 63), half(minima.max(1, keepdims=True) / 63)
    sc, mn = codes(scales * inverse(d), 63), codes(minima * inverse(dmin), 63)
    q = codes((groups + (dmin * mn)[:, :, None]) * inverse(d * sc)[:, :, None], top)
    low = sc[:, :4] | (sc[:, 4:] >> 4 << 6)
    mid = mn[:, :4] | (mn[:, 4:] >> 4 << 6)
    high = (sc[:, 4:] & 15) | ((mn[:, 4:] & 15) << 4)
    nibbles = ((q[:, 0::2] & 15) | ((q[:, 1::2] & 15) << 4)).reshape(-1, 128)
    parts = [d.astype(np.float16).view(np.uint8), dmin.astype(np.float16).view(np.uint8), low, mid, high]
    if top == 31:
        parts.append(np.bitwise_or.reduce((q >> 4) << np.arange(8, dtype=np.uint8)[None, :, None], axis=1))
    return np.concatenate(parts + [nibbles], axis=1)


def quantize_q6_k(x):
    groups = x.reshape(-1, 16, 16).astype(np.float32)
    peak = np.take_along_axis(groups, np.abs(groups).argmax(2)[..., None], 2)[..., 0] / -32
    top = np.take_along_axis(peak, np.abs(peak).argmax(1)[..., None], 1)
    d = half(top / -128)
    sc = np.clip(np.round(peak * inverse(d)), -128, 127).astype(np.int8)
    q = codes(groups * inverse(d * sc)[:, :, None] + 32, 63).reshape(-1, 2, 4, 32)
    ql = ((q[:, :, :2] & 15) | ((q[:, :, 2:] & 15) << 4)).reshape(-1, 128)
    qh = np.bitwise_or.reduce((q >> 4) << (2 * np.arange(4, dtype=np.uint8))[None, None, :, None], axis=2).reshape(-1, 64)
    return np.concatenate([ql, qh, sc.view(np.uint8), d.astype(np.float16).view(np.uint8)], axis=1)


def quantize(x, kind):
    """[rows, width] f32 -> [rows, row bytes] uint8 (or the plain array for F32)."""
    k_quants = {Q.Q4_K: lambda v: quantize_k4(v, 15), Q.Q5_K: lambda v: quantize_k4(v, 31), Q.Q6_K: quantize_q6_k}
    if kind in k_quants:
        return np.ascontiguousarray(k_quants[kind](x).reshape(x.shape[0], -1))
    return gguf.quants.quantize(x, kind)


# ---- vocabularies ----


def byte_letters():
    """GPT-2's printable stand-in for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    others = (byte for byte in range(256) if byte not in letters)
    letters.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return letters


def bpe_vocabulary(answer=ANSWER, tags=()):
    letters = byte_letters()
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *tags] + [letters[byte] for byte in range(256)]
    merges = []
    for word in [text for text in answer if not text.startswith("<")] + WORDS:
        spelled = [letters[byte] for byte in word.encode()]
        for end in range(2, len(spelled) + 1):
            left, right = "".join(spelled[: end - 1]), spelled[end - 1]
            if left + right not in tokens:
                merges.append(f"{left} {right}")
                tokens.append(left + right)
    types = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.USER_DEFINED] * len(tags)
    types += [gguf.TokenType.NORMAL] * (len(tokens) - len(types))
    return tokens, types, merges


def sentencepiece_vocabulary():
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    types = [3, 3, 3, 2, 3, 3]
    scores = [-1000.0] * 6
    tokens += [f"<0x{byte:02X}>" for byte in range(256)]
    types += [6] * 256
    scores += [-1000.0] * 256
    pieces = []
    for word in ["▁" + word.strip() for word in [*ANSWER[1:8], *WORDS]] + ["▁▁", "▁▁▁▁", "\n\n"]:
        pieces += [word[:end] for end in range(2, len(word) + 1)]
    pieces = sorted(dict.fromkeys(pieces), key=len)
    pieces += ["▁", "\n"] + [chr(code) for code in range(33, 127)] + ["é", "世"]
    tokens += pieces
    types += [1] * len(pieces)
    scores += [-float(i) for i in range(len(pieces))]
    return tokens, types, scores


# ---- the models ----


class Maker:
    """Collects the tensors of one model with random values."""

    def __init__(self, name, arch, seed):
        self.writer = gguf.GGUFWriter(DATA / name, arch)
        self.rng = np.random.default_rng(seed)

    def matrix(self, name, rows, width, kind, scale):
        self.tensor(name, self.rng.standard_normal((rows, width)).astype(np.float32) * np.float32(scale / np.sqrt(width)), kind)

    def tensor(self, name, values, kind):
        values = np.ascontiguousarray(values, dtype=np.float32)
        self.writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)

    def norm(self, name, width, scale=1.0):
        self.tensor(name, (scale * (1 + 0.1 * self.rng.standard_normal(width))).astype(np.float32), Q.F32)

    def close(self):
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def successors(tokens, rng, answer=ANSWER):
    """A permutation of the ids in which the answer is one walk."""
    letters = byte_letters()
    walk = [tokens.index(text if text.startswith("<") else "".join(letters[b] for b in text.encode())) for text in answer]
    rest = rng.permutation([i for i in range(len(tokens)) if i not in walk])
    cycle = np.concatenate([walk, rest])
    following = np.empty(len(tokens), dtype=int)
    following[cycle] = np.roll(cycle, -1)
    return following


def make_llama():
    tokens, types, merges = bpe_vocabulary()
    maker = Maker("tiny-llama.gguf", "llama", 20261122)
    writer, width, ffn, kv_width = maker.writer, 256, 32, 64
    writer.add_name("Tiny Llama")
    writer.add_license("mit")
    writer.add_block_count(2)
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(32)
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

    embedding = maker.rng.standard_normal((len(tokens), width)).astype(np.float32)
    output = 0.01 * maker.rng.standard_normal((len(tokens), width)).astype(np.float32)
    output[successors(tokens, maker.rng)] += embedding / 16
    maker.tensor("token_embd.weight", embedding, Q.Q8_0)
    maker.tensor("output.weight", output, Q.Q6_K)
    maker.norm("output_norm.weight", width)
    kinds = [  # q, k, v, output, gate, up, down
        [Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.Q4_0, Q.Q4_1, Q.Q5_1, Q.Q8_0],
        [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q4_K, Q.F16, Q.BF16, Q.F32],
    ]
    for layer, (q, k, v, o, gate, up, down) in enumerate(kinds):
        block = f"blk.{layer}."
        maker.norm(block + "attn_norm.weight", width)
        maker.matrix(block + "attn_q.weight", width, width, q, 1.5)
        maker.matrix(block + "attn_k.weight", kv_width, width, k, 1.5)
        maker.matrix(block + "attn_v.weight", kv_width, width, v, 1.0)
        maker.matrix(block + "attn_output.weight", width, width, o, 2.0)
        maker.norm(block + "ffn_norm.weight", width)
        maker.matrix(block + "ffn_gate.weight", ffn, width, gate, 1.5)
        maker.matrix(block + "ffn_up.weight", ffn, width, up, 1.5)
        maker.matrix(block + "ffn_down.weight", width, ffn, down, 1.0)
    maker.close()


def make_thinker():
    tokens, types, merges = bpe_vocabulary(THINKER_ANSWER, ("<think>", "</think>"))
    maker = Maker("tiny-thinker.gguf", "llama", 20261125)
    writer, width, ffn = maker.writer, 64, 32
    writer.add_name("Tiny Thinker")
    writer.add_license("mit")
    writer.add_block_count(1)
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(THINKER_CHAT)

    embedding = maker.rng.standard_normal((len(tokens), width)).astype(np.float32)
    output = 0.01 * maker.rng.standard_normal((len(tokens), width)).astype(np.float32)
    output[successors(tokens, maker.rng, THINKER_ANSWER)] += embedding / 4
    maker.tensor("token_embd.weight", embedding, Q.Q8_0)
    maker.tensor("output.weight", output, Q.Q8_0)
    maker.norm("output_norm.weight", width)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        maker.matrix(f"blk.0.{name}.weight", width, width, Q.Q8_0, 0.5)
    for name, rows, columns in (("gate", ffn, width), ("up", ffn, width), ("down", width, ffn)):
        maker.matrix(f"blk.0.ffn_{name}.weight", rows, columns, Q.Q8_0, 0.5)
    maker.norm("blk.0.attn_norm.weight", width)
    maker.norm("blk.0.ffn_norm.weight", width)
    maker.close()


def make_gemma3():
    tokens, types, scores = sentencepiece_vocabulary()
    maker = Maker("tiny-gemma3.gguf", "gemma3", 20261123)
    writer, width, ffn, heads, kv_heads, head = maker.writer, 64, 160, 4, 2, 32
    writer.add_name("Tiny Gemma 3")
    writer.add_license("mit")
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_block_count(7)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_freq_base(1000000.0)
    writer.add_sliding_window(16)
    writer.add_head_count_kv(kv_heads)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_eot_token_id(5)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(GEMMA_CHAT)

    # Alternating signs in the last norm keep the tied output from simply repeating the token that was read.
    maker.matrix("token_embd.weight", len(tokens), width, Q.Q8_0, 1.0)
    signs = np.where(np.arange(width) % 2 == 0, 2.5, -2.5)
    maker.tensor("output_norm.weight", signs * (1 + 0.1 * maker.rng.standard_normal(width)), Q.F32)
    for layer in range(7):
        block = f"blk.{layer}."
        kind, other = (Q.Q5_0, Q.Q8_0) if layer % 2 == 0 else (Q.Q4_0, Q.Q5_0)
        maker.norm(block + "attn_norm.weight", width)
        maker.matrix(block + "attn_q.weight", heads * head, width, kind, 1.0)
        maker.matrix(block + "attn_k.weight", kv_heads * head, width, kind, 1.0)
        maker.matrix(block + "attn_v.weight", kv_heads * head, width, other, 1.0)
        maker.matrix(block + "attn_output.weight", width, heads * head, kind, 1.0)
        maker.norm(block + "attn_q_norm.weight", head, 1.5)
        maker.norm(block + "attn_k_norm.weight", head, 1.5)
        maker.norm(block + "post_attention_norm.weight", width, 0.7)
        maker.norm(block + "ffn_norm.weight", width)
        maker.matrix(block + "ffn_gate.weight", ffn, width, kind, 1.0)
        maker.matrix(block + "ffn_up.weight", ffn, width, kind, 1.0)
        maker.matrix(block + "ffn_down.weight", width, ffn, other, 1.0)
        maker.norm(block + "post_ffw_norm.weight", width, 0.7)
    maker.close()


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    make_llama()
    make_thinker()
    make_gemma3()
    for path in sorted(DATA.glob("tiny-*.gguf")):
        print(path.name, path.stat().st_size, "bytes")

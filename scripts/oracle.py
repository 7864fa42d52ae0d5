#!/usr/bin/env python3
"""An independent float32 oracle: the forward pass of llama and gemma3 in plain numpy over the dequantised weights of a GGUF.

  oracle.py logits MODEL --tokens 1,2,3 [--top K]   log-probabilities as JSON; a line for each --tokens
  oracle.py check MODEL REFERENCE.json [NAME]       compares with log-probabilities made by transformers
  oracle.py tiny                                    writes tests/golden/tiny-{llama,gemma3,formats}.json
  oracle.py quality MODEL OUT.bin [--full F]        writes a quality golden (layout: tests/golden/README.md); --full keeps all log-probabilities
  oracle.py kl GOLDEN.bin DUMP [--full F]           KL divergence of a raw f32 dump of logits from the golden, and from the full distribution

Needs numpy and gguf from PyPI. It shares no code with core/.
"""

import argparse
import heapq
import json
import pathlib
import re
import sys

import gguf
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHUNKS, CHUNK = 4, 512
LIKELY = 5e-5  # a quality golden lists the tokens from this probability on
TEXT_BYTES = 14000
LOWEST = 32.0  # log-probabilities below -LOWEST are stored as -LOWEST


class Model:
    """Weights as float32 [rows, width], and the few numbers of the metadata that the forward pass needs."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.meta = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer.")}
        self.fields = reader.fields
        self.tensors = {t.name: t for t in reader.tensors}
        self.cache = {}
        self.arch = self.meta["general.architecture"]
        if self.arch not in ("llama", "gemma3"):
            sys.exit(f"architecture {self.arch} is not one of llama, gemma3")
        self.layers = self.key("block_count")
        self.heads = self.key("attention.head_count")
        self.kv_heads = self.key("attention.head_count_kv", self.heads)
        self.head = self.key("attention.key_length", self.key("embedding_length") // self.heads)
        self.eps = np.float32(self.key("attention.layer_norm_rms_epsilon"))
        self.base = self.key("rope.freq_base", 10000.0)
        self.window = self.key("attention.sliding_window", 0)

    def key(self, name, default=None):
        value = self.meta.get(f"{self.arch}.{name}", default)
        if value is None:
            sys.exit(f"metadata key {self.arch}.{name} is missing")
        return value

    def token_list(self, name):
        return self.fields["tokenizer.ggml." + name].contents()

    def __contains__(self, name):
        return name + ".weight" in self.tensors

    def __getitem__(self, name):
        if name not in self.cache:
            tensor = self.tensors[name + ".weight"]
            self.cache[name] = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        return self.cache[name]


def rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def rope(x, base, interleaved):
    """Rotates x [tokens, heads, head] by position; pairs are neighbours (llama GGUFs) or half a head apart (NeoX order, gemma3)."""
    tokens, _, head = x.shape
    angle = np.arange(tokens)[:, None] * float(base) ** (-np.arange(0, head, 2) / head)
    cos, sin = (f(angle).astype(np.float32)[:, None, :] for f in (np.cos, np.sin))
    out = np.empty_like(x)
    a, b = (np.s_[..., 0::2], np.s_[..., 1::2]) if interleaved else (np.s_[..., : head // 2], np.s_[..., head // 2 :])
    out[a] = x[a] * cos - x[b] * sin
    out[b] = x[a] * sin + x[b] * cos
    return out


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)))


def attention(m, block, x, layer):
    """Causal grouped-query attention over normed x [tokens, width]; gemma3: QK norms, and a window in all but every sixth layer."""
    tokens, gemma = len(x), m.arch == "gemma3"
    local = gemma and layer % 6 != 5
    q = (x @ m[block + "attn_q"].T).reshape(tokens, m.heads, m.head)
    k = (x @ m[block + "attn_k"].T).reshape(tokens, m.kv_heads, m.head)
    v = (x @ m[block + "attn_v"].T).reshape(tokens, m.kv_heads, -1)
    if gemma:
        q, k = rms_norm(q, m[block + "attn_q_norm"], m.eps), rms_norm(k, m[block + "attn_k_norm"], m.eps)
    base = 10000.0 if local else m.base
    q, k = rope(q, base, not gemma), rope(k, base, not gemma)
    distance = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
    hidden = (distance < 0) | (local and distance >= m.window)
    out = np.empty((tokens, m.heads, v.shape[-1]), dtype=np.float32)
    for head in range(m.heads):
        kv = head // (m.heads // m.kv_heads)
        scores = q[:, head] @ k[:, kv].T / np.float32(np.sqrt(m.head))
        scores[hidden] = -np.inf
        out[:, head] = softmax(scores) @ v[:, kv]
    return out.reshape(tokens, -1) @ m[block + "attn_output"].T


def feed_forward(m, block, x):
    act = gelu if m.arch == "gemma3" else silu
    return (act(x @ m[block + "ffn_gate"].T) * (x @ m[block + "ffn_up"].T)) @ m[block + "ffn_down"].T


def forward(m, ids, first=0):
    """Yields (position, logits [vocab] f32) for positions first … of the token ids, read from an empty context."""
    gemma = m.arch == "gemma3"
    x = m["token_embd"][np.asarray(ids)]
    if gemma:
        x = x * np.float32(np.sqrt(x.shape[1]))
    for layer in range(m.layers):
        block = f"blk.{layer}."
        y = attention(m, block, rms_norm(x, m[block + "attn_norm"], m.eps), layer)
        x = x + (rms_norm(y, m[block + "post_attention_norm"], m.eps) if gemma else y)
        y = feed_forward(m, block, rms_norm(x, m[block + "ffn_norm"], m.eps))
        x = x + (rms_norm(y, m[block + "post_ffw_norm"], m.eps) if gemma else y)
    x = rms_norm(x, m["output_norm"], m.eps)
    head = m["output"] if "output" in m else m["token_embd"]
    for start in range(first, len(ids), 64):
        logits = x[start : start + 64] @ head.T
        yield from zip(range(start, len(ids)), logits)


def log_softmax(logits):
    wide = logits.astype(np.float64)
    shifted = wide - wide.max()
    return shifted - np.log(np.exp(shifted).sum())


def top_of(logprobs, count):
    best = np.argpartition(-logprobs, count - 1)[:count]
    return best[np.argsort(-logprobs[best], kind="stable")]


# ---- text to ids, enough for the ASCII text of the quality golden ----


def encode_bpe(m, text):
    ids = {token: i for i, token in enumerate(m.token_list("tokens"))}
    ranks = {tuple(merge.split(" ")): i for i, merge in enumerate(m.token_list("merges"))}
    out = []
    # smollm: digits are cut out one by one, then GPT-2's pattern, here for ASCII, reads what is between them.
    gpt2 = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
    for word in (word for part in re.split("([0-9])", text) for word in gpt2.findall(part)):
        pieces = [{" ": "Ġ", "\n": "Ċ"}.get(letter, letter) for letter in word]
        while True:
            pairs = [(ranks.get(pair, len(ranks)), i) for i, pair in enumerate(zip(pieces, pieces[1:]))]
            rank, i = min(pairs, default=(len(ranks), 0))
            if rank == len(ranks):
                break
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
        out += [ids[piece] for piece in pieces]
    return out


def encode_sentencepiece(m, text):
    """User-defined tokens (type 4: runs of spaces, line ends, tags) come first, the longest one; the rest is merged."""
    tokens, scores = m.token_list("tokens"), m.token_list("scores")
    ids = {token: i for i, token in enumerate(tokens)}
    whole = {tokens[i].replace("▁", " "): i for i, kind in enumerate(m.token_list("token_type")) if kind == 4}
    longest_first = sorted(whole, key=len, reverse=True)
    out = []
    for part in re.split("(" + "|".join(re.escape(token) for token in longest_first) + ")", text):
        out += [whole[part]] if part in whole else merge_sentencepiece(part.replace(" ", "▁"), ids, scores)
    return out


def merge_sentencepiece(text, ids, scores):
    """Merges the pair of neighbours whose union has the best score, leftmost first, until none is in the vocabulary."""
    pieces = list(text)
    after, before = list(range(1, len(pieces) + 1)), list(range(-1, len(pieces) - 1))
    queue = []

    def offer(i):
        j = after[i] if i >= 0 else len(pieces)
        if i >= 0 and j < len(pieces) and pieces[i] + pieces[j] in ids:
            heapq.heappush(queue, (-scores[ids[pieces[i] + pieces[j]]], i, pieces[i], pieces[j]))

    for i in range(len(pieces)):
        offer(i)
    while queue:
        _, i, left, right = heapq.heappop(queue)
        j = after[i]
        if pieces[i] != left or j >= len(pieces) or pieces[j] != right:
            continue
        pieces[i], pieces[j] = left + right, None
        after[i] = after[j]
        if after[i] < len(pieces):
            before[after[i]] = i
        offer(i)
        offer(before[i])
    return [ids[piece] for piece in pieces if piece is not None]


def encode(m, text):
    return encode_bpe(m, text) if m.token_list("model") == "gpt2" else encode_sentencepiece(m, text)


def quality_chunks(m):
    """[CHUNKS][CHUNK] ids of the text; where the model wants a BOS it takes the place of each chunk's first token, as in llama-perplexity."""
    text = (ROOT / "tests" / "data" / "gpl-3.txt").read_bytes()[:TEXT_BYTES].decode("ascii")
    bos = []
    if "tokenizer.ggml.add_bos_token" in m.fields and m.token_list("add_bos_token"):
        bos = [m.token_list("bos_token_id")]
    ids = bos + encode(m, text)
    if len(ids) < CHUNKS * CHUNK:
        sys.exit(f"the text has only {len(ids)} tokens")
    return [bos + ids[c * CHUNK + len(bos) : (c + 1) * CHUNK] for c in range(CHUNKS)]


# ---- commands ----


def command_logits(args):
    m = Model(args.model)
    for tokens in args.tokens:
        ids = [int(i) for i in tokens.split(",")]
        positions = []
        for i, logits in forward(m, ids):
            lp = log_softmax(logits)
            following = round(float(lp[ids[i + 1]]), 5) if i + 1 < len(ids) else None
            positions.append({"top": [[int(t), round(float(lp[t]), 5)] for t in top_of(lp, args.top)], "next": following})
        print(json.dumps({"positions": positions}))


def command_check(args):
    reference = json.loads(pathlib.Path(args.reference).read_text())
    m = Model(args.model)
    name = args.name or next(key for key in reference if ("gemma" in key) == (m.arch == "gemma3"))
    ascii_texts = [t for t in reference[name]["tokenize"] if re.fullmatch(r"[ -;=-~\n]*", t["text"])]
    wrong = [t["text"] for t in ascii_texts if encode(m, t["text"]) != t["ids"]]
    print(f"{name}: token ids of {len(ascii_texts)} plain ASCII texts, different in {wrong}")
    want = reference[name]["logits"]
    ids, worst, same, nll = want["ids"], 0.0, 0, []
    for i, logits in forward(m, ids):
        lp = log_softmax(logits)
        same += int(lp.argmax()) == want["positions"][i]["top"][0][0]
        worst = max([worst] + [abs(lp[t] - p) for t, p in want["positions"][i]["top"]])
        if i + 1 < len(ids):
            nll.append(-lp[ids[i + 1]])
    difference = abs(float(np.mean(nll)) - want["mean_nll"])
    print(f"{name}: {len(ids)} positions, top token equal in {same}, largest log-probability difference {worst:.2e}, mean_nll difference {difference:.2e}")
    if worst > 2e-3 or difference > 1e-3 or same != len(ids):
        sys.exit("the oracle disagrees with the reference")


def greedy(m, prompt, count):
    """Greedy continuation, and the smallest gap between the best and the second best logit on its way."""
    ids, margin = list(prompt), np.inf
    for _ in range(count):
        *_, (_, logits) = forward(m, ids, len(ids) - 1)
        best, second = top_of(logits, 2)
        margin = min(margin, float(logits[best] - logits[second]))
        ids.append(int(best))
    return ids[len(prompt) :], margin


def command_tiny(_):
    for name, length in (("tiny-llama", 40), ("tiny-gemma3", 48), ("tiny-formats", 40)):
        m = Model(ROOT / "tests" / "data" / f"{name}.gguf")
        vocab = m["token_embd"].shape[0]
        rng = np.random.default_rng(7)
        bos = [2] if m.arch == "gemma3" else []
        ids = bos + rng.integers(3, vocab, length - len(bos)).tolist()
        # Among seeded random prompts, the one whose greedy continuation is the least in doubt.
        prompts = [bos + rng.integers(3, vocab, 24).tolist() for _ in range(12)]
        best = max(prompts, key=lambda prompt: greedy(m, prompt, 16)[1])
        answer, margin = greedy(m, best, 16)
        positions, last = [], None
        for i, logits in forward(m, ids):
            lp = log_softmax(logits)
            following = round(float(lp[ids[i + 1]]), 5) if i + 1 < length else None
            positions.append({"top": [[int(t), round(float(lp[t]), 5)] for t in top_of(lp, 10)], "next": following})
            last = logits
        golden = {
            "origin": f"scripts/oracle.py tiny (float32 numpy over the dequantised weights of tests/data/{name}.gguf)",
            "logits": {"ids": ids, "positions": positions, "last_position": [round(float(v), 5) for v in last]},
            "greedy": {"prompt_ids": best, "ids": answer, "smallest_margin": round(margin, 4)},
        }
        (ROOT / "tests" / "golden" / f"{name}.json").write_text(json.dumps(golden) + "\n")
        print(name, "smallest greedy margin", round(margin, 4), "logit deviation", round(float(np.std(last)), 3))


def pack_position(lp, following):
    """One record of a quality golden (tests/golden/README.md): every token at least as likely as LIKELY, and what is left as one number."""
    ids = np.nonzero(lp >= min(np.log(LIKELY), lp.max()))[0]
    codes = np.round(np.sqrt(np.minimum(-lp[ids] / LOWEST, 1.0)) * 65535).astype("<u2")
    rest = np.exp(np.delete(lp, ids)).sum()
    head = np.array([np.nan if following is None else -lp[following], np.log(max(rest, 1e-30))], dtype="<f4")
    pages = np.bincount(ids >> 16, minlength=(len(lp) + 65535) >> 16).astype("<u2")
    return head.tobytes() + pages.tobytes() + (ids & 0xFFFF).astype("<u2").tobytes() + codes.tobytes()


def command_quality(args):
    m = Model(args.model)
    chunks = quality_chunks(m)
    vocab = m["token_embd"].shape[0]
    full = np.lib.format.open_memmap(args.full, "w+", np.float32, (CHUNKS * CHUNK // 2, vocab)) if args.full else None
    records, nll = [], []
    for c, ids in enumerate(chunks):
        for i, logits in forward(m, ids, CHUNK // 2):
            lp = log_softmax(logits)
            following = ids[i + 1] if i + 1 < CHUNK else None
            if following is not None:
                nll.append(-lp[following])
            if full is not None:
                full[len(records)] = lp
            records.append(pack_position(lp, following))
        print(f"chunk {c + 1} of {CHUNKS}: mean_nll so far {np.mean(nll):.5f}", file=sys.stderr)
    head = np.array([vocab, CHUNKS, CHUNK], dtype="<u4").tobytes()
    ids = np.array(chunks, dtype="<u4").tobytes()
    pathlib.Path(args.out).write_bytes(b"TSRAQUAL" + head + ids + b"".join(records))
    print(json.dumps({"positions": len(records), "mean_nll": float(np.mean(nll)), "bytes": pathlib.Path(args.out).stat().st_size}))


def read_golden(path):
    """vocab, ids [chunks][tokens], and per position (nll, log of the rest, token ids, log-probabilities)."""
    data = pathlib.Path(path).read_bytes()
    vocab, chunks, chunk = (int(n) for n in np.frombuffer(data, "<u4", 3, 8))
    at = 20 + 4 * chunks * chunk
    page_count, records = (vocab + 65535) >> 16, []
    while at < len(data):
        nll, rest = np.frombuffer(data, "<f4", 2, at)
        pages = np.frombuffer(data, "<u2", page_count, at + 8).astype(int)
        count = pages.sum()
        low, codes = np.frombuffer(data, "<u2", 2 * count, at + 8 + 2 * page_count).reshape(2, count)
        records.append((float(nll), float(rest), low + (np.repeat(np.arange(page_count), pages) << 16), -LOWEST * (codes / 65535) ** 2))
        at += 8 + 2 * page_count + 4 * count
    return vocab, np.frombuffer(data, "<u4", chunks * chunk, 20).reshape(chunks, chunk), records


def bucket_kl(record, lp):
    """KL(golden || lp) with all that the golden does not list as one bucket: a lower bound of the full divergence."""
    _, want_rest, ids, want = record
    rest = np.log(max(np.exp(np.delete(lp, ids)).sum(), 1e-30))
    return float((np.exp(want) * (want - lp[ids])).sum() + np.exp(want_rest) * (want_rest - rest))


def command_kl(args):
    """DUMP: f32 logits [positions][vocab] of the golden's positions (second half of each chunk), chunk after chunk."""
    vocab, ids, records = read_golden(args.golden)
    dump = np.memmap(args.dump, np.float32, "r").reshape(len(records), vocab)
    full = np.load(args.full, mmap_mode="r") if args.full else None
    following = np.concatenate([np.append(chunk[CHUNK // 2 + 1 :], -1) for chunk in ids.astype(int)])
    kl, exact, same, nll = [], [], 0, []
    for i, record in enumerate(records):
        lp = log_softmax(dump[i])
        kl.append(bucket_kl(record, lp))
        same += int(lp.argmax()) == int(record[2][record[3].argmax()])
        if following[i] >= 0:
            nll.append(-lp[following[i]])
        if full is not None:
            want = full[i].astype(np.float64)
            exact.append(float((np.exp(want) * (want - lp)).sum()))
    result = {"positions": len(kl), "mean_kl": np.mean(kl), "max_kl": np.max(kl), "same_top": same / len(kl)}
    result |= {"mean_nll": np.mean(nll), "oracle_mean_nll": float(np.nanmean([record[0] for record in records]))}
    if exact:
        gaps = np.abs(np.array(exact) - np.array(kl))
        result |= {"full_mean_kl": np.mean(exact), "full_max_kl": np.max(exact), "largest_gap": np.max(gaps)}
    print(json.dumps({key: round(float(value), 6) for key, value in result.items()}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    logits = commands.add_parser("logits")
    logits.add_argument("model")
    logits.add_argument("--tokens", required=True, action="append")
    logits.add_argument("--top", type=int, default=10)
    logits.set_defaults(run=command_logits)
    check = commands.add_parser("check")
    check.add_argument("model")
    check.add_argument("reference")
    check.add_argument("name", nargs="?")
    check.set_defaults(run=command_check)
    commands.add_parser("tiny").set_defaults(run=command_tiny)
    quality = commands.add_parser("quality")
    quality.add_argument("model")
    quality.add_argument("out")
    quality.add_argument("--full")
    quality.set_defaults(run=command_quality)
    kl = commands.add_parser("kl")
    kl.add_argument("golden")
    kl.add_argument("dump")
    kl.add_argument("--full")
    kl.set_defaults(run=command_kl)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()

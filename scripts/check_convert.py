#!/usr/bin/env python3
"""Checks convert.py against transformers: tiny models of make_architecture_golden.py saved as checkpoints, converted, run by `tessera`.

Needs torch, transformers (5.23), tokenizers, sentencepiece and gguf (0.19) from PyPI, and build/native/tessera. Each case is saved with save_pretrained,
with a tokeniser trained here, in shards where SHARDED says so, converted to F32 (llama3 and qwen2 to F16 and BF16, too), and must give
transformers' log-probabilities within 2e-3 at every position and its tokeniser's ids on 50 texts. Arguments: names of cases, gpt-oss-mxfp4, bpe or unigram
(a tokenizer.model), or --fixture to write the folder that tests/golden/convert.test.mjs converts; none = all cases.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

import make_architecture_golden as golden
from gguf_tokenizer import PRE_TOKENIZERS

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESSERA = ROOT / "build" / "native" / "tessera"
FIXTURE = ROOT / "tests" / "golden" / "convert"
VOCAB, TOLERANCE = 480, 2e-3
SHARDED = {"llama", "qwen2", "gemma3", "phi3", "mixtral", "qwen3moe"}
# Saved with the rope fields of transformers 4: rope_theta, rope_scaling, rope_local_base_freq; LFM2 with the names of its first files, Gemma 4 with those of its published ones.
LEGACY = {"llama3", "llama-linear", "llama-yarn", "gemma3", "phi3-long", "qwen3", "olmo3", "hunyuan-dense", "lfm2", "gemma4-31b"}
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
# Which tokeniser a case gets: a name of tokenizer.ggml.pre, "spm" (SentencePiece BPE with byte tokens) or "ranked" (that by merges). Others: gpt-2.
TOKENIZERS = {"llama3": "llama-bpe", "qwen2": "qwen2", "qwen3": "qwen2", "qwen2moe": "qwen2", "gemma": "spm", "gemma2": "spm", "gemma3": "spm",
              "llama": "spm", "mistral": "spm", "granite": "smollm", "olmo2": "dbrx", "olmo3": "dbrx", "ernie4_5": "spm", "smollm3": "llama-bpe",
              "phi3-short": "gpt-4o", "qwen3moe": "qwen35", "mixtral": "seed-coder", "llama-yarn": "tekken", "llama-linear": "deepseek-coder", "llama-bias-tied": "deepseek-v3",
              "hunyuan-dense": "deepseek-v3", "arcee": "llama-bpe", "gpt-oss": "gpt-4o", "lfm2": "llama-bpe", "gemma4-e2b": "ranked",
              "gemma4-31b": "ranked"}


def texts():
    """50: scripts, code, spaces, numbers, emoji, markers of turns."""
    english = ["Hello world", "The quick brown fox jumps over the lazy dog.", "don't WE'LL it's", "a", "", " ", "  two  spaces  ", "tab\tnew\nline\r\n\n\nend",
               "3.14159 1,000,000 12345", "x = [i**2 for i in range(10)]", "if (a && b) {\n    return c->d;\n}", "https://ex.org/a?b=1#c", "camelCaseXMLHttp",
               "ﬁn Straße naïve", "<|im_start|>user\nHi<|im_end|>\n", "<s> not bos </s>", "...!!!???", "\u00a0nbsp\u3000wide", "e\u0301 combining", "under_score-dash",
               "'quoted' \"text\"", "100% $5 €7", "A" * 40, "ab" * 30, "end with space "]
    others = ["γλώσσα νερό", "язык вода мир", "שפה מים שלום", "لغة ماء سلام", "भाषा पानी १२३", "ภาษา น้ำ", "언어 물 평화", "语言 水 和平", "ことば みず コトバ", "🙂 👩‍💻 🇩🇪 ❤",
              "Ђорђе їжак", "Việt łódź İstanbul", "tiếng Việt", "한글 1234", "中文,标点。", "№ 5 ½ ² Ⅳ", "x²+y²=z²", "→∑√", "\u200b\u200d", "a\u0301b",
              "mixed 中文 and English", "tabs\t\t\tand   spaces", "\n\n\n", "1\n22\n333\n4444", "(nested [brackets {here}])"]
    return english + others


def byte_level(name):
    stages, ignores = next(key for key, value in PRE_TOKENIZERS.items() if value == name)
    tokenizer = tokenizers.Tokenizer(models.BPE(ignore_merges=ignores))
    cut = [pre_tokenizers.Digits(individual_digits=True) if stage == "digits 1" else pre_tokenizers.Split(Regex(stage), "isolated") for stage in stages]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if name in ("gpt-2", "smollm"):
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cut[:-1], pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - 8, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts() * 3, trainer)
    return tokenizer


def sentencepiece_like():
    """As transformers writes Llama 2: the merges of a piece are all its halves, pieces ranked by their ids."""
    trained = tokenizers.Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trained.train_from_iterator(texts()[:25] * 3, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    made = ["".join(merge) for merge in json.loads(trained.to_str())["model"]["merges"]]
    characters = sorted({character for piece in made for character in piece})
    pieces = list(dict.fromkeys([*SPECIAL[:3], *(f"<0x{byte:02X}>" for byte in range(256)), *made, *characters]))
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = [(piece[:i], piece[i:]) for piece in dict.fromkeys(made) for i in range(1, len(piece)) if piece[:i] in vocabulary and piece[i:] in vocabulary]
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def ranked_merges():
    """As transformers writes Gemma 4: byte tokens, merges in the order they were found, no space before the text."""
    trained = tokenizers.Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(texts()[:25] * 3, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    pieces = list(dict.fromkeys([*SPECIAL[:3], *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]))
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = tokenizers.Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def save_tokenizer(folder, name):
    makers = {"spm": sentencepiece_like, "ranked": ranked_merges}
    tokenizer = makers[name]() if name in makers else byte_level(name)
    tokenizer.add_tokens(["tool_call"])
    begin = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", begin)])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=TEMPLATE)
    fast.save_pretrained(folder)
    return tokenizer


def run(*command, text=None):
    done = subprocess.run([str(part) for part in command], input=text, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.decode()}")
    return done.stdout


def save_model(folder, name, half=False, **changes):
    _, class_name, arguments, _ = golden.CASES[name]
    table = {"vocab_size_per_layer_input": VOCAB} if "vocab_size_per_layer_input" in arguments else {}
    config = getattr(transformers, class_name)(**{**arguments, "vocab_size": VOCAB, **table, **changes})
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    golden.randomise(model, name)
    (model.half() if half else model).save_pretrained(folder, max_shard_size="20KB" if half else "60KB" if name in SHARDED else "1GB")
    return model.float()


def make_legacy(path):
    fields = json.loads(path.read_text())
    if "per_layer_config" in fields:
        own = next(iter(fields.pop("per_layer_config").values()))
        fields["global_head_dim"], fields["num_global_key_value_heads"] = own["head_dim"], own["num_key_value_heads"]
        path.write_text(json.dumps({"model_type": "gemma4", "text_config": fields}))
        return
    rope = fields.pop("rope_parameters")
    if "full_attention" in rope:
        fields["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
        fields.pop("layer_types")
    fields["rope_theta"] = rope.pop("rope_theta")
    if rope["rope_type"] == "longrope":
        fields["original_max_position_embeddings"] = rope.pop("original_max_position_embeddings")
        fields["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
        rope["type"] = rope.pop("rope_type")
    fields["rope_scaling"] = None if rope.get("rope_type") == "default" else rope
    if fields["model_type"] == "lfm2":
        fields["block_ff_dim"], fields["tie_embedding"] = fields.pop("intermediate_size"), fields.pop("tie_word_embeddings")
        fields["full_attn_idxs"] = [layer for layer, kind in enumerate(fields.pop("layer_types")) if kind == "full_attention"]
    path.write_text(json.dumps(fields))


def save_mxfp4(folder):
    """gpt-oss as its makers publish it: the experts' matrices in MXFP4, the values those that transformers unpacks."""
    from safetensors.torch import load_file, save_file
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    model = save_model(folder, "gpt-oss", hidden_size=64, intermediate_size=64)
    tensors = load_file(folder / "model.safetensors")
    parameters = dict(model.named_parameters())
    generator = torch.Generator().manual_seed(1)
    for key in [key for key in tensors if key.endswith(("gate_up_proj", "down_proj"))]:
        experts, width, rows = tensors.pop(key).shape
        exponent = 125 if key.endswith("gate_up_proj") else 122
        blocks = torch.randint(0, 256, (experts, rows, width // 32, 16), generator=generator, dtype=torch.uint8)
        scales = torch.randint(exponent - 1, exponent + 1, blocks.shape[:3], generator=generator, dtype=torch.uint8)
        tensors.update({key + "_blocks": blocks, key + "_scales": scales})
        parameters[key].data = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    save_file(tensors, folder / "model.safetensors")
    fields = json.loads((folder / "config.json").read_text())
    fields["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}
    (folder / "config.json").write_text(json.dumps(fields))
    return model


def check(name, folder, kinds):
    model = save_mxfp4(folder) if name == "gpt-oss-mxfp4" else save_model(folder, name)
    if name in LEGACY:
        make_legacy(folder / "config.json")
    reference = save_tokenizer(folder, TOKENIZERS.get(name, "gpt-2"))
    tokens = np.random.default_rng(golden.seed_of(name)).integers(5, VOCAB - 8, golden.LENGTH)
    with torch.no_grad():
        wanted = torch.log_softmax(model(torch.tensor(tokens)[None], use_cache=False).logits[0].float(), -1).numpy()
    report, good = [], True
    for kind in kinds:
        out = folder / f"{kind}.gguf"
        run(sys.executable, ROOT / "scripts" / "convert.py", folder, out, "--type", kind)
        if name == "gpt-oss-mxfp4": # whose products take activations of 8 bits: its values are compared, not its arithmetic
            unpacked = folder / "unpacked.gguf"
            run(TESSERA, "quantize", out, unpacked, "F32")
            out = unpacked
        answer = json.loads(run(TESSERA, "logits", "-m", out, "--kv", "f32", "-c", golden.LENGTH, "--tokens", ",".join(map(str, tokens)), "--top", VOCAB, "--json"))
        found = np.full_like(wanted, np.nan)
        for position, entry in enumerate(answer["positions"]):
            for number, value in entry["top"]:
                found[position, number] = value
        worst = np.abs(found - wanted).max()
        # The weights are values that F16 holds; BF16 cuts 3 of their bits.
        limit = 0.5 if kind == "bf16" else TOLERANCE
        good &= bool(worst <= limit)
        report.append(f"{kind} {worst:.1e}")
    wrong = 0
    for text in texts():
        ids = json.loads(run(TESSERA, "tokenize", "-m", out, "--special", "--bos", "--json", text=text.encode()))["ids"]
        expected = reference.encode(text).ids
        if ids != expected:
            wrong += 1
            print(f"  {text!r}: {ids}, expected {expected}")
    shards = len(list(folder.glob("*.safetensors")))
    print(f"{'ok' if good and not wrong else 'FAILED':6} {name:16} {shards:2} shards, logits {', '.join(report)}; ids differ in {wrong} of {len(texts())} texts")
    return good and not wrong


def check_sentencepiece(kind, folder):
    """tokenizer.model alone, against the sentencepiece package. Equal scores of two ways to cut a word may be told apart differently: 1 of 50."""
    import sentencepiece

    save_model(folder, "llama")
    exact = {} if kind == "unigram" else {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    lines = [text for text in texts()[:25] if "\n" not in text and "\r" not in text]
    with (folder / "tokenizer.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines * 3), model_writer=file, vocab_size=430, model_type=kind, byte_fallback=True,
                                                 hard_vocab_limit=False, minloglevel=2, num_threads=1, **exact)
    out = folder / "out.gguf"
    run(sys.executable, ROOT / "scripts" / "convert.py", folder, out)
    reference = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    wrong = sum(json.loads(run(TESSERA, "tokenize", "-m", out, "--json", text=text.encode()))["ids"] != reference.encode(text) for text in texts())
    good = wrong <= (kind == "unigram")
    print(f"{'ok' if good else 'FAILED':6} tokenizer.model  {kind}; ids differ in {wrong} of {len(texts())} texts")
    return good


def write_fixture():
    FIXTURE.mkdir(exist_ok=True)
    model = save_model(FIXTURE, "llama3", half=True, num_hidden_layers=1, hidden_size=32, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True)
    reference = save_tokenizer(FIXTURE, "llama-bpe")
    tokens = np.random.default_rng(1).integers(5, VOCAB - 8, 12)
    with torch.no_grad():
        logits = torch.log_softmax(model(torch.tensor(tokens)[None], use_cache=False).logits[0], -1)
    expected = {"origin": f"scripts/check_convert.py --fixture with transformers {transformers.__version__}", "tokens": tokens.tolist(),
                "next": [round(logits[i, tokens[i + 1]].item(), 6) for i in range(11)], "texts": [[text, reference.encode(text).ids] for text in texts()]}
    (FIXTURE / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")
    print(f"{FIXTURE.name}: {sum(file.stat().st_size for file in FIXTURE.iterdir())} bytes")


def main():
    if sys.argv[1:] == ["--fixture"]:
        return write_fixture()
    names = sys.argv[1:] or [*(name for name in golden.CASES if name != "mistral3"), "gpt-oss-mxfp4", "bpe", "unigram"]
    failed = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            if name in ("bpe", "unigram"):
                failed += not check_sentencepiece(name, pathlib.Path(folder))
                continue
            failed += not check(name, pathlib.Path(folder), ("f32", "f16", "bf16") if name in ("llama3", "qwen2") else ("f32",))
    print(f"{len(names) - failed} of {len(names)} cases agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

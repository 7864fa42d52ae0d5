#!/usr/bin/env python3
"""Checks convert.py at full size: the two real models, written as Hugging Face folders by transformers itself, come back as they were.

Needs torch, transformers (5.23), accelerate and gguf (0.19) from PyPI, build/native/tessera and the models of scripts/get-model; 5 GB of memory and of disk.
transformers reads each GGUF into float32 and saves it in shards with its tokeniser; the folder is converted to F32 and F16. With the F32 file
every text of tests/golden/reference.json must have its ids, each log-probability must lie within 1e-3 of float32's, and the 32 greedy tokens must be equal; for F16
the largest difference is printed. Arguments: names of models; none = both.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESSERA = ROOT / "build" / "native" / "tessera"
REFERENCE = json.loads((ROOT / "tests" / "golden" / "reference.json").read_text())
MODELS = [name for name in REFERENCE if name.endswith(".gguf")]
TOLERANCE = 1e-3


def save_folder(name, folder):
    """In shards: what a publisher's folder looks like."""
    source = {"pretrained_model_name_or_path": str(ROOT / "build" / "models"), "gguf_file": name}
    read = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    config = read.config
    del config.quantization_config  # a model that came from a GGUF is not saved
    model = type(read)(config).float()
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.save_pretrained(folder, max_shard_size="200MB")
    transformers.AutoTokenizer.from_pretrained(**source).save_pretrained(folder)


def run(command, model, *arguments, text=""):
    done = subprocess.run([TESSERA, command, "-m", model, "--json", *arguments], input=text, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def differing_texts(model, cases):
    return sum(run("tokenize", model, "--special", text=case["text"])["ids"] != case["ids"] for case in cases)


def largest_difference(model, reference):
    """Of log-probabilities that are among the ten largest for both."""
    ours = run("logits", model, "--tokens", ",".join(map(str, reference["ids"])), "--top", "10")["positions"]
    largest = 0.0
    for position, expected in zip(ours, reference["positions"]):
        top = dict(position["top"])
        largest = max([largest, *(abs(top[token] - value) for token, value in expected["top"] if token in top)])
    return largest


def equal_greedy(model, reference):
    text = run("tokenize", model, "--special", "--decode", text=",".join(map(str, reference["prompt_ids"])))["text"]
    ids = run("run", model, "--raw", "-p", text, "--temp", "0", "-n", str(len(reference["ids"])))["tokens"]
    return ids == reference["ids"]


def check(name):
    expected = REFERENCE[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "model"
        save_folder(name, folder)
        good = True
        for kind in ("f32", "f16"):
            out = pathlib.Path(temporary) / f"{kind}.gguf"
            subprocess.run([sys.executable, ROOT / "scripts" / "convert.py", folder, out, "--type", kind], check=True, stdout=subprocess.DEVNULL)
            texts, difference, greedy = (differing_texts(out, expected["tokenize"]), largest_difference(out, expected["logits"]),
                                         equal_greedy(out, expected["greedy"]))
            if kind == "f32":
                good = texts == 0 and difference <= TOLERANCE and greedy
            print(f"{name} {kind}: ids differ in {texts} of {len(expected['tokenize'])} texts, largest difference {difference:.5f}, "
                  f"greedy tokens {'equal' if greedy else 'DIFFER'}")
            out.unlink()
    return good


def main():
    results = [check(name) for name in sys.argv[1:] or MODELS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

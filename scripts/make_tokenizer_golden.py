#!/usr/bin/env python3
"""Writes tests/golden/tokenizers.json: what the `tokenizers` package makes of 2,048 texts with each family of tokenisers.

The vocabularies are small ones, trained here on the texts themselves: one list of merges for all byte-level families, trained without
cutting words, so that it holds merges across spaces, digits and punctuation and a wrong cut changes the ids; one list of
SentencePiece pieces for `llama` (scores) and `gemma4` (ranks); one Unigram vocabulary with a character map for `t5`, whose ids are
those of the `sentencepiece` package (`tokenizers` maps characters by graphemes; the script prints where the two agree).
The cutting expressions are those of the families' tokenizer.json. Per text and family the file keeps 24 bits of a hash over the
lengths of the words (byte-level only) and the ids: four base64 characters.

Needs (a virtual environment will do; the test run does not): tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2
Run: DIR/bin/python scripts/make_tokenizer_golden.py          writes the file and prints how far the families differ
     DIR/bin/python scripts/make_tokenizer_golden.py --check  only says whether it is up to date
"""
import base64
import io
import json
import pathlib
import random
import sys
import tempfile

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, models, normalizers, pre_tokenizers

PATH = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tokenizers.json"
TEXTS = 2048
MERGES = 1400
PIECES = 1300

# Words of 34 scripts: "language", "water", "peace" and the like.
WORDS = {
    "Latin": "the The word don't It's we'LL naïve Straße français señor İstanbul łódź việt camelCase XMLHttp iPhone NASA ǅungla ﬁn",
    "Greek": "γλώσσα νερό ΕΙΡΉΝΗ ὕδωρ",
    "Cyrillic": "язык вода МИР їжак Ђорђе",
    "Armenian": "լեզու ջուր խաղաղություն",
    "Hebrew": "שפה מים שָׁלוֹם",
    "Arabic": "لغة ماء سَلَام پیام ٢٠٢٤",
    "Syriac": "ܠܫܢܐ ܡܝܐ ܫܠܡܐ",
    "Thaana": "ބަސް ފެން",
    "Nko": "ߞߊ߲ ߖߌ",
    "Devanagari": "भाषा पानी शान्ति १२३",
    "Bengali": "ভাষা জল শান্তি ৪৫",
    "Gurmukhi": "ਭਾਸ਼ਾ ਪਾਣੀ",
    "Gujarati": "ભાષા પાણી",
    "Oriya": "ଭାଷା ପାଣି",
    "Tamil": "மொழி நீர் அமைதி",
    "Telugu": "భాష నీరు",
    "Kannada": "ಭಾಷೆ ನೀರು",
    "Malayalam": "ഭാഷ വെള്ളം",
    "Sinhala": "භාෂාව ජලය",
    "Thai": "ภาษา น้ำ สันติภาพ",
    "Lao": "ພາສາ ນ້ຳ",
    "Tibetan": "སྐད་ཡིག ཆུ",
    "Myanmar": "ဘာသာစကား ရေ",
    "Georgian": "ენა წყალი ႬႠႫ",
    "Hangul": "언어 물 평화 한글",
    "Ethiopic": "ቋንቋ ውሃ ፩፪",
    "Cherokee": "ᎦᏬᏂᎯᏍᏗ ᎠᎹ",
    "Khmer": "ភាសា ទឹក",
    "Mongolian": "ᠬᠡᠯᠡ ᠤᠰᠤ",
    "Hiragana": "ことば みず",
    "Katakana": "コトバ ﾐｽﾞ ヴィ",
    "Bopomofo": "ㄩˇㄧㄢˊ",
    "Han": "语言 水 和平 語言 一二三 𠜎",
    "Deseret": "𐐔𐐯𐑅 𐐀𐐨",
}
CODE = [
    "if (x):\n    return a[i] += 1;", "def f(a, *b):\n\tpass\n\n\n", "<html><b>x</b></html>", "a->b::c<T>&&", "{\"k\": [1, 2.5e-3, null]}",
    "https://ex.org/a/b?c=1&d=%20#e", "for(;;){}//\n/* x */", "x = 0x1F; y=1_000", "$HOME/.a-b_c", "#include <a.h>\r\n", "SELECT * FROM t;",
    "\\n\\t\\u00e9", "a/b/c\n/d", "--flag=\"v\"", "'tis 're 'S 'LL 'd'm", "f(x)=x²+½³", "user@mail.com", "10:45pm 3/4", "i++;j--;", "!=\n\n/",
]
SIGNS = list(".,!?…。，、।۔،()[]{}|:;'\"-–—_/\\@#%&*+<=>^`~$€¥©→∑√░█№°") + ["...", "!!", "?!", "(:", "''", "“q”", "«q»"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "    ", "\u00a0", "\u3000", "\u2003", "\x0b", "\x85", "\u2028"]
EMOJI = ["🙂", "👩‍💻", "🇩🇪", "👍🏽", "☺️", "❤", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
ODD = ["\0", "\x01", "\x07", "\x1b[0m", "\x7f", "\u200b", "\u200d", "\ufeff", "\u00ad", "e\u0301", "A\u030a", "\u0301", "\u0300\u0301", "\ue000", "\uffff",
       "\U0010ffff", "\u0378", "\ufffd"]
NUMBERS = ["1", "12", "123", "1234", "12345", "1234567", "3.14", "1,000", "²", "½", "Ⅳ", "٣", "１２"]

CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACE = r"\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|" + SPACE
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+#"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*#")


def llama3(digits):
    return CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|" + SPACE


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


DEEPSEEK_LETTERS = "".join(
    "\\x{%s}-\\x{%s}" % tuple(pair.split("-"))
    for pair in (
        "41-5a 61-7a b5-b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376-377 37b-37d 37f-37f 386-386 388-38a 38c-38c 38e-3a1 "
        "3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b 1d6b-1d77 1d79-1d9a 1e00-1f15 "
        "1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59-1f59 1f5b-1f5b 1f5d-1f5d 1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe-1fbe 1fc2-1fc4 1fc6-1fcc "
        "1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102-2102 2107-2107 210a-2113 2115-2115 2119-211d 2124-2124 2126-2126 2128-2128 "
        "212a-212d 212f-2134 2139-2139 213c-213f 2145-2149 214e-214e 2183-2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2-2cf3 a640-a66d a680-a69b "
        "a722-a76f a771-a787 a78b-a78e ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2 "
        "10cc0-10cf2 118a0-118df 1e900-1e943 "
    ).split()
)
ASIA = split("[一-龥ࠀ-一가-퟿]+")
BLOOM = split(" ?[^(\\s|[.,!?…。，、।۔،])]+")
FAMILIES = {
    "gpt-2": [split(GPT2)],
    "smollm": [pre_tokenizers.Digits(individual_digits=True), split(GPT2)],
    "llama-bpe": [split(llama3(r"\p{N}{1,3}"))],
    "qwen2": [split(llama3(r"\p{N}"))],
    "qwen35": [split(CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|" + SPACE)],
    "seed-coder": [split(CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|" + SPACE)],
    "tekken": [split(CASED.replace("#", "") + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|" + SPACE)],
    "gpt-4o": [split(CASED.replace("#", CONTRACTION + "?") + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|" + SPACE)],
    "deepseek-llm": [split("[\r\n]"), split(f"\\s?[{DEEPSEEK_LETTERS}]+"), split("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), split("\\s+$"), ASIA,
                     pre_tokenizers.Digits(individual_digits=False)],
    "deepseek-coder": [split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), ASIA, pre_tokenizers.Digits(individual_digits=True)],
    "deepseek-v3": [split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"),
                    split(r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|"
                          + SPACE)],
    # In Falcon's file the bytes are spelled as letters before digits are cut; with merges that were not trained that way the
    # order of its description is the meaningful one.
    "falcon": [pre_tokenizers.Punctuation("contiguous"), split(GPT2), pre_tokenizers.Digits(individual_digits=False), split("[0-9][0-9][0-9]")],
    "bloom": [BLOOM],
    "viking": [BLOOM, pre_tokenizers.Digits(individual_digits=True)],
}
IGNORES_MERGES = {"llama-bpe", "tekken"}
# The character map of the Unigram vocabulary: sequences of code points and what they become.
CHARACTER_MAP = [("ﬁ", "fi"), ("\u00a0", " "), ("\u3000", " "), ("\t", " "), ("\n", " "), ("\r", " "), ("e\u0301", "é"), ("A\u030a", "Å"),
                 ("ﾐ", "ミ"), ("ｽﾞ", "ズ"), ("１", "1"), ("２", "2"), ("²", "2"), ("½", "1/2"), ("…", "..."), ("\u200b", ""), ("\u00ad", ""), ("Ⅳ", "IV")]


def make_texts():
    rng = random.Random(5)
    words = [word for line in WORDS.values() for word in line.split()]
    parts = [(words, 9), (SPACES, 3), (SIGNS, 4), (NUMBERS, 3), (CODE, 1), (EMOJI, 1), (ODD, 1)]
    texts = [*CODE, *SPACES, *EMOJI, *ODD, *NUMBERS, *SIGNS, *words]
    while len(texts) < TEXTS:
        line = WORDS[rng.choice(list(WORDS))].split()  # one text is mostly of one script
        text = ""
        for _ in range(rng.randint(2, 9)):
            kind = rng.choices([line, *(part for part, _ in parts)], [9, *(weight for _, weight in parts)])[0]
            text += rng.choice(["", " ", " "]) + rng.choice(kind)
        texts.append(text)
    return texts[:TEXTS]


def token(hash_of):
    return base64.b64encode(hash_of.to_bytes(4, "little")[:3]).decode()


def hash_numbers(numbers):
    """FNV-1a over 32-bit little-endian numbers."""
    value = 0x811C9DC5
    for number in numbers:
        for byte in number.to_bytes(4, "little"):
            value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def byte_level_vocabulary(texts):
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=256 + MERGES, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    merges = [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Equal results of two merges are one token; the tests number the tokens in the same way.
    pieces = list(dict.fromkeys([*alphabet, *(left + right for left, right in merges)]))
    return {piece: number for number, piece in enumerate(pieces)}, merges


def byte_level_golden(texts, name, vocabulary, merges):
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, merges, ignore_merges=name in IGNORES_MERGES))
    words = pre_tokenizers.Sequence(FAMILIES[name])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    lengths = [[len(word.encode()) for word, _ in words.pre_tokenize_str(text)] for text in texts]
    return [hash_numbers(a + tokenizer.encode(text, add_special_tokens=False).ids) for a, text in zip(lengths, texts)]


def train_sentencepiece(texts, **settings):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for text in texts if "\n" not in text and "\r" not in text and "\0" not in text]), model_writer=out, vocab_size=PIECES, bos_id=-1, eos_id=-1,
        character_coverage=0.995, hard_vocab_limit=False, minloglevel=2, num_threads=1, split_by_unicode_script=False, split_by_number=False, **settings)
    return sentencepiece_model_pb2.ModelProto.FromString(out.getvalue()), out.getvalue()


def llama_golden(texts):
    """Pieces, and the hashes that `llama` and `gemma4` share but for the space in front."""
    proto, _ = train_sentencepiece(texts, model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                                   split_by_whitespace=False)
    pieces = [piece.piece for piece in proto.pieces if piece.type == 1]
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    vocabulary = {name: number for number, name in enumerate(names)}
    known = set(pieces)
    merges = [(piece[:i], piece[i:]) for piece in pieces for i in range(1, len(piece)) if piece[:i] in known and piece[i:] in known]
    hashes = {}
    for name, normalizer in (("llama", normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])),
                             ("gemma4", normalizers.Replace(" ", "▁"))):
        tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
        tokenizer.normalizer = normalizer
        hashes[name] = [hash_numbers(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
    return pieces, merges, hashes


def unigram_golden(texts):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for source, target in CHARACTER_MAP:
            rules.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
        rules.flush()
        proto, model = train_sentencepiece(texts, model_type="unigram", normalization_rule_tsv=rules.name)
    pieces = [(piece.piece, round(piece.score, 4) if piece.type == 1 else 0.0) for piece in proto.pieces]
    for piece, (_, score) in zip(proto.pieces, pieces):
        piece.score = score
    charsmap = proto.normalizer_spec.precompiled_charsmap
    tokenizer = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Replace(Regex("^ +| +$"), ""), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=False)
    reference = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    same = sum(reference.encode(text) == found for text, found in zip(texts, ids))
    print(f"t5: sentencepiece {sentencepiece.__version__} agrees with tokenizers on {same} of {len(texts)} texts")
    # They differ where a rule covers part of a grapheme (half-width kana with a sound mark): `tokenizers` maps whole graphemes.
    return pieces, charsmap, [hash_numbers(reference.encode(text)) for text in texts]


def main():
    texts = make_texts()
    vocabulary, merges = byte_level_vocabulary(texts)
    hashes = {name: byte_level_golden(texts, name, vocabulary, merges) for name in FAMILIES}
    pieces, ranked, others = llama_golden(texts)
    hashes.update(others)
    unigram, charsmap, hashes["t5"] = unigram_golden(texts)
    names = list(FAMILIES)
    for a, b in zip(names, names[1:]):
        print(f"{a} and {b} differ in {sum(x != y for x, y in zip(hashes[a], hashes[b]))} texts")
    golden = {
        "origin": f"scripts/make_tokenizer_golden.py with tokenizers {tokenizers.__version__}",
        "merges": [" ".join(merge) for merge in merges],
        "pieces": pieces,
        "unigram": [[piece, score] for piece, score in unigram],
        "charsmap": base64.b64encode(charsmap).decode(),
        "texts": texts,
        "hashes": {name: "".join(token(value) for value in values) for name, values in hashes.items()},
    }
    written = json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n"
    print(f"{len(written.encode())} bytes, {len(merges)} merges, {len(pieces)} pieces, {len(ranked)} ranked merges, {len(unigram)} unigrams, charsmap {len(charsmap)}")
    if "--check" in sys.argv:
        same = PATH.exists() and PATH.read_text() == written
        print("up to date" if same else "differs")
        return 0 if same else 1
    PATH.write_text(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())

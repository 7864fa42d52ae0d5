"""The tokeniser of a Hugging Face folder as GGUF metadata: pieces, kinds, merges or scores, roles, chat template.

Byte-level BPE comes from tokenizer.json ("gpt2"); SentencePiece from tokenizer.model, else from tokenizer.json ("llama" for BPE with
byte tokens, "t5" for Unigram). The pre-tokeniser is recognised by comparing its stages with those of core/text/pre_tokenizer.cpp.
"""

import base64
import contextlib
import json
import struct

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7) # tokenizer.ggml.token_type; SentencePiece numbers them alike
UNIGRAM, BPE = 1, 2 # trainer_spec.model_type
# Gemma 4's special tokens around reasoning and tool calls: part of the text in a GGUF, so that these can be told apart.
SHOWN = {"<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>'}


class ConvertError(Exception):
    """`code` is bad_file, not_found or unsupported; the message names the field, what was found and what to do."""

    def __init__(self, code, message):
        super().__init__(" ".join(message.split()))
        self.code = code


@contextlib.contextmanager
def reading(what):
    """Whatever a field of a missing or wrong type leads to below becomes one message that names the file."""
    try:
        yield
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise ConvertError("bad_file", f"{what}: a field is missing or of another type than expected ({error!r}); download it again") from None


def read_json(path, absent=None):
    if not path.is_file():
        if absent is None:
            raise ConvertError("not_found", f"{path.name} is not in the folder; download the whole model")
        return absent
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConvertError("bad_file", f"{path.name} is no JSON ({error}); download it again") from None


CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACE = r"\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|" + SPACE
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+#"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*#")
LLAMA3 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|@| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|" + SPACE
# Stages (the final ByteLevel left out) and model.ignore_merges: the name of tokenizer.ggml.pre. Source: each family's tokenizer.json.
PRE_TOKENIZERS = {
    ((GPT2,), False): "gpt-2",
    (("digits 1", GPT2), False): "smollm",
    ((LLAMA3.replace("@", r"\p{N}{1,3}"),), True): "llama-bpe",
    ((LLAMA3.replace("@", r"\p{N}{1,3}"),), False): "dbrx",
    ((LLAMA3.replace("@", r"\p{N}"),), False): "qwen2",
    ((CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|" + SPACE,), False): "qwen35",
    ((CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|" + SPACE,), False): "seed-coder",
    ((CASED.replace("#", "") + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|" + SPACE,), True): "tekken",
    ((CASED.replace("#", CONTRACTION + "?") + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|" + SPACE,), False): "gpt-4o",
    (("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", "digits 1"), False): "deepseek-coder",
    ((r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
      r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|" + SPACE),
     False): "deepseek-v3",
}


def parts_of(node, key):
    """The members of a tokenizer.json Sequence, or the one that stands alone; none for null."""
    if not node:
        return []
    return [part for member in node[key] for part in parts_of(member, key)] if node["type"] == "Sequence" else [node]


def stage_of(part):
    """One step of a pre-tokeniser as a string: a regular expression, or its own words for what is none; None = only bytes to letters."""
    kind = part["type"]
    if kind == "ByteLevel" and not part.get("add_prefix_space"):
        return GPT2 if part.get("use_regex", True) else None
    if kind == "Split" and part["behavior"] == "Isolated" and not part.get("invert") and "Regex" in part["pattern"]:
        return part["pattern"]["Regex"]
    if kind == "Split" and part["behavior"] == "Removed" and part.get("invert") and "Regex" in part["pattern"]:
        return part["pattern"]["Regex"] # all that matches, as the expressions here match every character
    if kind == "Digits":
        return "digits 1" if part.get("individual_digits") else "digits"
    return json.dumps(part, ensure_ascii=False)


def pre_tokenizer_name(tokenizer):
    stages = tuple(stage for stage in map(stage_of, parts_of(tokenizer["pre_tokenizer"], "pretokenizers")) if stage is not None)
    ignores = bool(tokenizer["model"].get("ignore_merges"))
    name = PRE_TOKENIZERS.get((stages, ignores))
    if name is None:
        raise ConvertError("unsupported", f"tokenizer.json: pre_tokenizer {' then '.join(stages) or 'none'} with ignore_merges {str(ignores).lower()} "
                           f"is none that is known ({', '.join(PRE_TOKENIZERS.values())}); the words would be cut wrongly")
    return name


class Vocabulary:
    """What becomes tokenizer.ggml.*: model, pieces, kinds, and scores or merges."""

    def __init__(self, model, pieces, kinds, scores=None, merges=None):
        self.model, self.pieces, self.kinds, self.scores, self.merges = model, pieces, kinds, scores, merges
        self.pre, self.charsmap, self.space_prefix, self.strips_spaces, self.nfc = "default", b"", None, None, False
        self.unknown = None

    def put(self, number, piece, kind):
        """An added token: the next free id, or one of the model's pieces that gets another kind."""
        while len(self.pieces) < number:
            self._append(f"[PAD{len(self.pieces)}]", UNUSED)
        if number == len(self.pieces):
            self._append(piece, kind)
        elif self.pieces[number] != piece and self.kinds[number] != UNUSED:
            raise ConvertError("bad_file", f"added token {piece} has id {number}, which is {self.pieces[number]} in the vocabulary")
        else:
            self.pieces[number] = piece
            if self.kinds[number] not in (UNKNOWN, BYTE):
                self.kinds[number] = kind

    def fit(self, rows):
        """To one piece per row of the embedding: unused ones fill up, added ones beyond the end go."""
        while len(self.pieces) < rows:
            self._append(f"[PAD{len(self.pieces)}]", UNUSED)
        for number in range(rows, len(self.pieces)):
            if self.kinds[number] not in (CONTROL, USER_DEFINED, UNUSED):
                raise ConvertError("bad_file", f"the tokeniser has {len(self.pieces)} tokens, the embedding {rows} rows; the files do not belong together")
        del self.pieces[rows:], self.kinds[rows:]
        if self.scores is not None:
            del self.scores[rows:]

    def _append(self, piece, kind):
        self.pieces.append(piece)
        self.kinds.append(kind)
        if self.scores is not None:
            self.scores.append(0.0)


def ordered(vocabulary):
    """Pieces by id from a tokenizer.json's model.vocab; ids without a piece are filled up."""
    pieces = {number: piece for piece, number in vocabulary.items()}
    if max(pieces, default=0) > 2 * len(pieces) + 1000:
        raise ConvertError("bad_file", f"tokenizer.json: an id of {max(pieces)} among {len(pieces)} tokens")
    return [pieces.get(number, f"[PAD{number}]") for number in range(max(pieces, default=-1) + 1)], pieces


def merges_of(model):
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]


def byte_level(tokenizer):
    normalizers = parts_of(tokenizer.get("normalizer"), "normalizers")
    for part in normalizers:
        if part["type"] != "NFC": # Qwen's
            raise ConvertError("unsupported", f"tokenizer.json: normalizer {part['type']}, expected none or NFC with byte-level BPE")
    pieces, known = ordered(tokenizer["model"]["vocab"])
    kinds = [NORMAL if number in known else UNUSED for number in range(len(pieces))]
    vocabulary = Vocabulary("gpt2", pieces, kinds, merges=merges_of(tokenizer["model"]))
    vocabulary.pre = pre_tokenizer_name(tokenizer)
    vocabulary.nfc = bool(normalizers)
    return vocabulary


def scores_of_merges(vocab, merges):
    """-(rank of the first merge that makes it) per piece: a GGUF's "llama" merges by scores, tokenizer.json by ranks.

    The same only where the merges of a piece follow each other and all ways to halve it are among them; else unsupported.
    """
    scores, pairs, last = {}, set(), None
    for rank, merge in enumerate(merges):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        whole = left + right
        if whole in scores and whole != last:
            raise ConvertError("unsupported", f"tokenizer.json: the merges that make {whole!r} are apart, scores cannot rank them; add tokenizer.model")
        scores.setdefault(whole, -float(rank))
        pairs.add((left, right))
        last = whole
    for whole in scores:
        for i in range(1, len(whole)):
            if whole[:i] in vocab and whole[i:] in vocab and (whole[:i], whole[i:]) not in pairs:
                raise ConvertError("unsupported", f"tokenizer.json: no merge makes {whole!r} of {whole[:i]!r} and {whole[i:]!r}; add tokenizer.model")
    return scores


def sentencepiece_json(tokenizer, ranked):
    """`ranked`: the pieces are merged by a list of merges (Gemma 4), not by scores."""
    model = tokenizer["model"]
    unigram = model["type"] == "Unigram"
    if not unigram and not model.get("byte_fallback"):
        raise ConvertError("unsupported", "tokenizer.json: BPE with neither ByteLevel nor byte_fallback, expected one of them")
    if unigram:
        pieces, scores = [piece for piece, _ in model["vocab"]], [score for _, score in model["vocab"]]
    else:
        pieces, known = ordered(model["vocab"])
        of_merges = {} if ranked else scores_of_merges(model["vocab"], model["merges"])
        scores = [of_merges.get(piece, 0.0) for piece in pieces]
    kinds = [BYTE if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">") else NORMAL for piece in pieces]
    vocabulary = Vocabulary("t5" if unigram else "gemma4" if ranked else "llama", pieces, kinds, scores)
    if ranked:
        vocabulary.merges = merges_of(model)
    vocabulary.unknown = model.get("unk_id") if unigram else model["vocab"].get(model.get("unk_token"))
    if vocabulary.unknown is not None:
        kinds[vocabulary.unknown] = UNKNOWN
    vocabulary.space_prefix, vocabulary.strips_spaces = False, False
    for part in parts_of(tokenizer.get("normalizer"), "normalizers") + parts_of(tokenizer.get("pre_tokenizer"), "pretokenizers"):
        kind, pattern = part["type"], part.get("pattern")
        if kind == "Prepend" and part["prepend"] == "▁":
            vocabulary.space_prefix = True
        elif kind == "Metaspace" and part.get("replacement", "▁") == "▁":
            vocabulary.space_prefix = part.get("prepend_scheme", "always" if part.get("add_prefix_space", True) else "never") != "never"
        elif kind == "Precompiled" and unigram:
            vocabulary.charsmap = base64.b64decode(part["precompiled_charsmap"])
        elif kind == "Replace" and unigram and pattern == {"Regex": " {2,}"}:
            vocabulary.strips_spaces = True
        elif not (kind == "Replace" and pattern == {"String": " "} and part["content"] == "▁" or kind == "Split" and pattern == {"String": " "}
                  or kind == "Strip" and unigram):
            raise ConvertError("unsupported", f"tokenizer.json: {kind} {json.dumps(pattern)} is nothing that a SentencePiece vocabulary in a GGUF can do")
    return vocabulary


def wire_fields(data):
    """(number, value) of a protobuf message: integers, floats and bytes. Source: the Protocol Buffers encoding guide."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        wire = key & 7
        if wire == 0:
            value = varint()
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value = struct.unpack_from("<d" if wire == 1 else "<f", data, at)[0]
            at += size
        elif wire == 2:
            size = varint()
            value = data[at:at + size]
            if len(value) != size:
                raise ValueError("a field goes beyond the end")
            at += size
        else:
            raise ValueError(f"wire type {wire}")
        yield key >> 3, value


def sentencepiece_model(path):
    """Source of the field numbers: sentencepiece_model.proto."""
    pieces, kinds, scores, trainer, normalizer = [], [], [], {}, {}
    try:
        for number, value in wire_fields(path.read_bytes()):
            if number == 1:
                piece = dict(wire_fields(value))
                pieces.append(piece[1].decode())
                scores.append(piece.get(2, 0.0))
                kinds.append(piece.get(3, NORMAL))
            elif number == 2:
                trainer = dict(wire_fields(value))
            elif number == 3:
                normalizer = dict(wire_fields(value))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise ConvertError("bad_file", f"{path.name} is no SentencePiece model ({error}); download it again") from None
    kind = trainer.get(3, UNIGRAM)
    if kind not in (UNIGRAM, BPE) or not pieces:
        raise ConvertError("unsupported", f"{path.name}: model_type {kind} with {len(pieces)} pieces, expected Unigram (1) or BPE (2)")
    vocabulary = Vocabulary("llama" if kind == BPE else "t5", pieces, kinds, scores)
    vocabulary.unknown = next((number for number, k in enumerate(kinds) if k == UNKNOWN), None)
    vocabulary.space_prefix, vocabulary.strips_spaces = bool(normalizer.get(3, 1)), bool(normalizer.get(4, 1)) and kind == UNIGRAM
    vocabulary.charsmap = normalizer.get(2, b"") if kind == UNIGRAM else b""
    return vocabulary


def added_tokens(tokenizer, settings, folder):
    """(id, text, special), from the first of the three places that has any."""
    if tokenizer.get("added_tokens"):
        return [(token["id"], token["content"], token["special"]) for token in tokenizer["added_tokens"]]
    if settings.get("added_tokens_decoder"):
        return [(int(number), token["content"], token["special"]) for number, token in settings["added_tokens_decoder"].items()]
    return [(number, text, False) for text, number in read_json(folder / "added_tokens.json", {}).items()]


def text_of(token):
    return token.get("content") if isinstance(token, dict) else token


def template_flags(tokenizer, bos, eos):
    """Whether the post-processor puts BOS before and EOS behind a text; None where there is none that says."""
    for part in parts_of(tokenizer.get("post_processor"), "processors"):
        if part["type"] == "TemplateProcessing":
            marks = [piece["SpecialToken"]["id"] if "SpecialToken" in piece else None for piece in part["single"]]
            if None not in marks or any(mark not in (None, bos, eos) for mark in marks):
                raise ConvertError("unsupported", f"tokenizer.json: post_processor {marks}, expected BOS, the text, EOS")
            return marks[0] is not None, marks[-1] is not None
    return None


def add_roles(writer, vocabulary, tokenizer, settings, folder):
    generation = read_json(folder / "generation_config.json", {})
    config = read_json(folder / "config.json")
    ids = {piece: number for number, piece in enumerate(vocabulary.pieces)}

    def role(name):
        text = text_of(settings.get(f"{name}_token"))
        if text is not None:
            if text not in ids:
                raise ConvertError("bad_file", f"tokenizer_config.json: {name}_token {text} is not in the vocabulary")
            return ids[text]
        found = config.get(f"{name}_token_id", generation.get(f"{name}_token_id"))
        found = found[0] if isinstance(found, list) and found else found
        return found if isinstance(found, int) and 0 <= found < len(ids) else None

    bos, eos, pad = role("bos"), role("eos"), role("pad")
    unknown = vocabulary.unknown if vocabulary.unknown is not None else ids.get(text_of(settings.get("unk_token")))
    ends = generation.get("eos_token_id") or []
    ends = [number for number in (ends if isinstance(ends, list) else [ends]) if number != eos]
    roles = {"bos": bos, "eos": eos, "pad": pad, "unk": unknown, "eot": ends[0] if ends else None, "eom": ends[1] if len(ends) > 1 else None}
    for name, number in roles.items():
        if number is not None:
            getattr(writer, f"add_{name}_token_id")(number)
    texts = [vocabulary.pieces[number] if number is not None else None for number in (bos, eos)]
    flags = template_flags(tokenizer, *texts)
    if flags is None:
        byte_level_model = vocabulary.model == "gpt2"
        flags = bool(settings.get("add_bos_token", not byte_level_model)), bool(settings.get("add_eos_token", False))
    writer.add_add_bos_token(flags[0] and bos is not None)
    writer.add_add_eos_token(flags[1] and eos is not None)


def add_tokenizer(writer, folder, rows):
    """Writes tokenizer.* for an embedding of that many rows."""
    settings = read_json(folder / "tokenizer_config.json", {})
    tokenizer = read_json(folder / "tokenizer.json", {})
    if (folder / "tokenizer.model").is_file() and writer.arch != "gemma4":
        vocabulary = sentencepiece_model(folder / "tokenizer.model")
    elif not tokenizer:
        raise ConvertError("not_found", "neither tokenizer.json nor tokenizer.model is in the folder; download the whole model")
    elif any(part["type"] == "ByteLevel" for part in parts_of(tokenizer.get("pre_tokenizer"), "pretokenizers")):
        vocabulary = byte_level(tokenizer)
    else:
        vocabulary = sentencepiece_json(tokenizer, ranked=writer.arch == "gemma4")
    for number, text, special in sorted(added_tokens(tokenizer, settings, folder)):
        if number > 2 * rows: # far beyond any padding: do not fill up to there
            raise ConvertError("bad_file", f"added token {text} has id {number}, the embedding {rows} rows")
        vocabulary.put(number, text, CONTROL if special and text not in SHOWN else USER_DEFINED)
    vocabulary.fit(rows)
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.pieces)
    writer.add_token_types(vocabulary.kinds)
    if vocabulary.scores is not None:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges is not None:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.space_prefix is not None:
        writer.add_add_space_prefix(vocabulary.space_prefix)
    if vocabulary.strips_spaces:
        writer.add_remove_extra_whitespaces(True)
    if vocabulary.nfc:
        writer.add_bool("tokenizer.ggml.normalizer.nfc", True)
    if vocabulary.charsmap:
        writer.add_precompiled_charsmap(vocabulary.charsmap)
    add_roles(writer, vocabulary, tokenizer, settings, folder)
    template = folder / "chat_template.jinja"
    template = template.read_text(encoding="utf-8") if template.is_file() else settings.get("chat_template")
    if template:
        writer.add_chat_template(template)

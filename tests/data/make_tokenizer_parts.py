#!/usr/bin/env python3
"""Makes tokenizer-parts.jsonl: one small tokenizer.json for each part and option that Sluice reads,
with what Hugging Face tokenizers 0.23.3 makes of texts and of ids. Needs: pip install tokenizers.

    make_tokenizer_parts.py > tokenizer-parts.jsonl
"""
import itertools
import json
import random

from tokenizers import Tokenizer

SPACE = "\u2581"
TEXTS = [
    "", " ", "ab", " Hello  world\n\n", "abab 123 4.5!? ab", f"\u00e9e\u0301 {SPACE}{SPACE}a", "A\u00a0b\u2003c\t\r\n d",
    "don't WE'LL it's", "\u65e5\u672c\u8a9e ab \U0001f642", "<s>ab</s> [X] foo[Y]foo foobar", "\u2460\u00bd\u2167\u0663\ufb01\ufdfa \u0130\u00df", "x  <unk>   "]


def regex(pattern):
    return {"Regex": pattern}


def string(text):
    return {"String": text}


NORMALIZERS = (
    [{"type": form} for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase")]
    + [{"type": "Strip", "strip_left": left, "strip_right": right}
       for left, right in itertools.product((True, False), repeat=2)]
    + [{"type": "Prepend", "prepend": SPACE},
       {"type": "Replace", "pattern": string("ab"), "content": "c"},
       {"type": "Replace", "pattern": regex(r"\s+"), "content": " "},
       {"type": "Replace", "pattern": regex(r"[a-z]"), "content": "$1"},
       {"type": "Replace", "pattern": regex(r"\W"), "content": ""},
       {"type": "Replace", "pattern": regex(r" *$"), "content": "."},
       {"type": "Replace", "pattern": regex(r"^.|(?m:.)\n"), "content": "b"},
       {"type": "Replace", "pattern": regex(r"\h+|\p{^L}x|\u00e9"), "content": "c"},
       {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE},
                                            {"type": "Replace", "pattern": string(" "), "content": SPACE}]}])

BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTE_LEVEL = [{"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": rule}
              for prefix, rule in itertools.product((True, False), repeat=2)]
PRE_TOKENIZERS = (
    [{"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
     for pattern in (string("ab"), regex(r"[\p{L}\s]"), regex(r"(?=[ab])"))
     for behavior in BEHAVIORS for invert in (False, True)]
    + [{"type": "Split", "pattern": regex(pattern), "behavior": "Isolated", "invert": False}
       for pattern in (LLAMA3, r"\s+$", r"\bfoo\b|\Bb", r"\p{Han}|\d+|\w", r"[\s\w]+|\S")]
    + [{"type": "Digits", "individual_digits": individual} for individual in (True, False)]
    + [{"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split}
       for scheme in ("always", "first", "never") for split in (True, False)]
    + [{"type": "Punctuation", "behavior": behavior} for behavior in BEHAVIORS]
    + [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}]
    + [{"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": True}]}])

REPLACE_SPACE = {"type": "Replace", "pattern": string(SPACE), "content": " "}
BYTE_FALLBACK, FUSE = {"type": "ByteFallback"}, {"type": "Fuse"}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
DECODERS = (
    [{"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": True}
     for scheme in ("always", "first", "never")]
    + [REPLACE_SPACE, BYTE_FALLBACK, FUSE, STRIP]
    + [{"type": "Sequence", "decoders": decoders} for decoders in (
        [REPLACE_SPACE, BYTE_FALLBACK, FUSE, STRIP], [BYTE_FALLBACK, REPLACE_SPACE, STRIP],
        [BYTE_FALLBACK, FUSE, REPLACE_SPACE, {**STRIP, "start": 3}])])

SPECIAL = ["<unk>", "<s>", "</s>"]
LETTERS = [SPACE, *"abcdehilorwfot HW123.!?'[]XY<>/s\n", "\u65e5", "\u00e9"]
MERGES = ["a b", "ab ab", "e l", "l o", "f o", "fo o", f"{SPACE} a", f"{SPACE} {SPACE}", f"{SPACE}a b", "1 2", "o r"]


def added(id, content, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": False, **flags}


def bpe(**options):
    tokens = SPECIAL + ([] if options.pop("without_bytes", False) else [f"<0x{i:02X}>" for i in range(256)])
    tokens += sorted(set(LETTERS)) + [merge.replace(" ", "") for merge in MERGES]
    return {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
            "vocab": {token: id for id, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in MERGES], **options}


def unigram(**options):
    dice = random.Random(1)
    tokens = list(bpe()["vocab"])
    return {"type": "Unigram", "unk_id": 0, "byte_fallback": True,
            "vocab": [[token, -10 * dice.random()] for token in tokens], **options}


def byte_level_bpe(**options):
    alphabet = [c for c in map(chr, range(0x21, 0x144)) if not 0x7f <= ord(c) <= 0xa0 and ord(c) != 0xad]
    merges = ["a b", "ab ab", "\u0120 a", "\u0120 \u0120", "\u00c3 \u00a9", "f o", "fo o"]
    tokens = SPECIAL + alphabet + [merge.replace(" ", "") for merge in merges] + ["don't"]
    return {"type": "BPE", "unk_token": None, "vocab": {token: id for id, token in enumerate(tokens)},
            "merges": merges, **options}


def tokenizer(model=None, normalizer=None, pre_tokenizer=None, decoder=None, extra=()):
    model = model or bpe()
    size = len(model["vocab"])
    tokens = [added(id, token, special=True) for id, token in enumerate(SPECIAL)]
    tokens += [added(size + i, content, **flags) for i, (content, flags) in enumerate(extra)]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens,
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": None,
            "decoder": decoder or DECODERS[7], "model": model}


def tokenizers():
    for normalizer in NORMALIZERS:
        yield tokenizer(normalizer=normalizer)
    for pre_tokenizer in PRE_TOKENIZERS:
        yield tokenizer(pre_tokenizer=pre_tokenizer)
    for decoder in DECODERS:
        yield tokenizer(decoder=decoder)
    for fuse_unk in (True, False):
        yield tokenizer(bpe(fuse_unk=fuse_unk, byte_fallback=False))
        yield tokenizer(bpe(fuse_unk=fuse_unk, without_bytes=True))
    yield tokenizer(bpe(ignore_merges=True, merges=[]), pre_tokenizer={"type": "WhitespaceSplit"})
    yield tokenizer(bpe(unk_token=None, without_bytes=True))
    for byte_fallback in (True, False):
        yield tokenizer(unigram(byte_fallback=byte_fallback))
        yield tokenizer(unigram(byte_fallback=byte_fallback), pre_tokenizer={
            "type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True})
    for pre_tokenizer in BYTE_LEVEL:
        yield tokenizer(byte_level_bpe(), pre_tokenizer=pre_tokenizer,
                        decoder={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True})
    yield tokenizer(byte_level_bpe(ignore_merges=True), pre_tokenizer={"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": regex(LLAMA3), "behavior": "Isolated", "invert": False}, BYTE_LEVEL[3]]},
        decoder={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True})
    for flag in ("single_word", "lstrip", "rstrip", "normalized"):
        yield tokenizer(normalizer={"type": "NFKC"}, extra=[
            ("[X]", {flag: True}), ("foob", {flag: True, "special": True}), ("fi", {flag: True}),
            (SPACE * 3, {}), ("  ", {flag: True})])


def main():
    dice = random.Random(2)
    for file in tokenizers():
        hf = Tokenizer.from_str(json.dumps(file))
        size = hf.get_vocab_size()
        lists = [[dice.randrange(size + 1) for _ in range(dice.randrange(8))] for _ in range(6)]
        # Bytes of characters, whole and cut.
        first = file["model"]["vocab"].get("<0x00>", 3) if isinstance(file["model"]["vocab"], dict) else 3
        lists += [[first + byte for byte in text.encode()] + [1] for text in ("\u00e9", "a\U0001f642")]
        lists += [[first + byte for byte in "\u65e5".encode()[:2]] + [size - 1, first + 0xe6]]
        lists = [ids for ids in lists if all(0 <= id <= size for id in ids)]
        print(json.dumps({
            "tokenizer": file,
            "ids": [hf.encode(text, add_special_tokens=False).ids for text in TEXTS],
            "texts": TEXTS,
            "decode_ids": lists,
            "decoded": [hf.decode(ids, skip_special_tokens=False) for ids in lists]}, separators=(",", ":")))


main()

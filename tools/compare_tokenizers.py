#!/usr/bin/env python3
"""Encode hostile text with `tokenizers` and with `r1 tokenize`, and compare the ids.

Usage: tools/compare_tokenizers.py R1 [--golden] [--points] [--mb N] [--minutes N] [MODEL...]
MODEL is a directory with a tokenizer.json, or a GGUF file whose tokenizer.ggml.pre is in PRE below;
from a GGUF file the tokenizer.json that it was made from is put together again.  --golden adds the
variants of tests/golden/tokenizer.  --points adds texts of all characters that Python knows; those
that are newer than the PCRE2 of the system may differ.  --file adds a text.  The texts of a model
are compared in a random order on all cores, and no longer than --minutes; how many it were is
printed, and the first differences of each model.  Exits 1 if there is one.  Needs tokenizers and
gguf.
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import unicodedata
from multiprocessing.pool import ThreadPool
from pathlib import Path

from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parent))
import gen_golden_tokenizer as golden  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
QWEN = {"normalizer": {"type": "NFC"},
        "pre_tokenizer": golden.sequence(golden.split(golden.QWEN), golden.byte_level(False))}
SMOLLM = {"pre_tokenizer": golden.sequence({"type": "Digits", "individual_digits": True},
                                           golden.byte_level(True))}
LLAMA3 = {"pre_tokenizer": golden.sequence(golden.split(golden.LLAMA), golden.byte_level(False))}
DEEPSEEK = {"pre_tokenizer": golden.sequence(*map(golden.split, golden.DEEPSEEK),
                                             golden.byte_level(False))}
PRE = {"qwen2": QWEN, "deepseek-r1-qwen": QWEN, "smollm": SMOLLM, "llama-bpe": LLAMA3,
       "deepseek-v3": DEEPSEEK, "gpt-2": {"pre_tokenizer": golden.byte_level(True)}}


def of_gguf(path):
    import gguf
    data = Path(path).read_bytes()
    with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
        # A file without its weights: room for them, which takes no disk.
        f.write(data)
        f.truncate(len(data) + (64 << 30))
        f.flush()
        fields = gguf.GGUFReader(f.name).fields
        get = {k: fields["tokenizer.ggml." + k].contents()
               for k in ("tokens", "token_type", "merges", "pre")}
    rows = list(enumerate(zip(get["tokens"], get["token_type"])))
    added = [golden.token(i, s, special=t == 3) for i, (s, t) in rows if t in (2, 3, 4)]
    return dict(PRE[get["pre"]], version="1.0", truncation=None, padding=None, added_tokens=added,
                post_processor=None, decoder=golden.byte_level(True), **(
                    {} if "normalizer" in PRE[get["pre"]] else {"normalizer": None}),
                model={"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False,
                       "continuing_subword_prefix": None, "end_of_word_suffix": None,
                       "byte_fallback": False, "ignore_merges": get["pre"] == "llama-bpe",
                       "vocab": {s: i for i, (s, t) in rows if t in (1, 3, 4, 6)},
                       "merges": [tuple(m.split(" ")) for m in get["merges"]]})


def of_dir(path):
    return json.loads((Path(path) / "tokenizer.json").read_text())


def pools(tokenizer):
    """Lists of fragments that texts are made of."""
    assigned = [chr(c) for c in range(0x30000)
                if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    by = {}
    for c in assigned:
        by.setdefault(unicodedata.category(c), []).append(c)
    names = [a["content"] for a in tokenizer["added_tokens"]] or ["<x>"]
    return [
        *by.values(), assigned, names, [n[:-1] for n in names] + [n[1:] for n in names],
        list("0123456789"), list("abcdefghijklmnopqrstuvwxyz"), list(" \t\n\r"), list(" "),
        ["'s", "'S", "'re", "'Ll", "'VE", "'m", "'T", "'d", "'\u017f", "'\u212a", "\u2019s"],
        ["\u0301", "\u0323", "e\u0301\u0323", "\u1100\u1161\u11a8", "\u0344", "\u0f71\u0f72",
         "\u212b", "\ufb1d", "\U0001d15e", "q\u0307\u0323"],
        ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\u2764\ufe0f"],
        ["\0", "\x7f", "\x1c", "\x85", "\xa0", "\u180e", "\u200b", "\u2028", "\u3000", "\ufeff"],
        ["the ", "return ", "if (", "});\n", "    ", "1,234.5e-6", "https://", "foo_bar", "FooBar"],
        ["\u4e2d\u6587", "\u3042", "\u30a2\u30fc", "\ud55c\uad6d\uc5b4", "\u0e44\u0e17\u0e22",
         "\u0905\u0902", "\u05e9\u05c1", "\u0639\u0651"],
    ]


def hostile(rng, fragments, size):
    """Bytes, some of which are not UTF-8."""
    out = bytearray()
    while len(out) < size:
        pool = rng.choice(fragments)
        kind = rng.random()
        if kind < 0.02:
            piece = rng.choice(pool) * rng.randrange(2, 3000)
        elif kind < 0.05:
            piece = "".join(rng.choice(rng.choice(fragments)) for _ in range(rng.randrange(40)))
        else:
            piece = "".join(rng.choice(pool) for _ in range(rng.randrange(1, 12)))
        raw = piece.encode()
        if kind > 0.97:
            raw = raw[:rng.randrange(len(raw) + 1)] + rng.choice(
                [b"\xff", b"\xc3", b"\xe4\xb8", b"\xf0\x9f", b"\xed\xa0\x80", b"\xc0\x80"])
        out += raw
    return bytes(out)


def every_point():
    for low in range(0, 0x110000, 0x1000):
        text = ""
        for c in map(chr, range(low, low + 0x1000)):
            if unicodedata.category(c) not in ("Cs", "Cn"):
                text += f"a{c}b {c}{c} 1{c}2\n{c}'s\u0301{c}."
        yield text.encode()


def ids_of(program, model, tokenizer, raw):
    """The ids of both, and what r1 complained of."""
    want = tokenizer.encode(raw.decode(errors="replace"), add_special_tokens=False).ids
    r = subprocess.run([program, "tokenize", model, "--file", "-"], input=raw, capture_output=True)
    return want, list(map(int, r.stdout.split())), r.stderr.decode().strip()


def show(model, tokenizer, i, want, got, complaint):
    at = next((k for k, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    print(f"{model}: text {i}: {complaint} from token {at} on:")
    for name, ids in ("tokenizers", want), ("r1", got):
        print(f"  {name:10} {[tokenizer.id_to_token(k) for k in ids[max(0, at - 4):at + 6]]}")


def compare(program, model, tokenizer, texts, seconds):
    """Numbers of texts that differ, of texts and of bytes that there was time for."""
    t = Tokenizer.from_str(json.dumps(tokenizer))
    end = time.monotonic() + seconds
    bad = done = size = 0

    def one(i):
        if time.monotonic() < end:
            return i, ids_of(program, model, t, texts[i])
        return i, None

    with ThreadPool() as workers:  # both programs work outside Python
        for i, both in workers.imap_unordered(one, range(len(texts))):
            if both is None:
                continue
            done, size = done + 1, size + len(texts[i])
            if both[0] != both[1]:
                bad += 1
                if bad <= 3:
                    show(model, t, i, *both)
    return bad, done, size


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("r1")
    ap.add_argument("model", nargs="*")
    ap.add_argument("--golden", action="store_true")
    ap.add_argument("--points", action="store_true")
    ap.add_argument("--mb", type=float, default=5)
    ap.add_argument("--minutes", type=float, default=3, help="for each model")
    ap.add_argument("--file", action="append", default=[])
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_intermixed_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        models = [(m, of_dir(m) if Path(m).is_dir() else of_gguf(m)) for m in a.model]
        if a.golden:
            root = json.loads((ROOT / "tests/golden/tokenizer/tokenizer.json").read_text())
            for name, patch in golden.variants(root).items():
                to = Path(folder, name)
                to.mkdir()
                models.append((str(to), golden.patched(root, patch)))
                (to / "tokenizer.json").write_text(json.dumps(models[-1][1]))
        for model, tokenizer in models:
            rng = random.Random(a.seed)
            fragments = pools(tokenizer)
            texts = [hostile(rng, fragments, 1 << 16) for _ in range(int(a.mb * 16))]
            texts += every_point() if a.points else []
            texts += [Path(f).read_bytes() for f in a.file]
            rng.shuffle(texts)
            here, done, size = compare(a.r1, model, tokenizer, texts, a.minutes * 60)
            print(f"{model}: {size / 1e6:.1f} MB in {done} of {len(texts)} texts, {here} differ",
                  flush=True)
            bad += here
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Write tests/golden/tokenizer/: a small trained tokenizer and the ids that `tokenizers` gives.

Usage: python3 tools/gen_golden_tokenizer.py [DIRECTORY], tests/golden/tokenizer by default

tokenizer.json is a byte-level BPE of 1,000 tokens trained on this project's own pages, with the
files that stand beside it in a model; one that is there already is kept, as the pages change.
cases.json lists variants of it; each has
  patch   members that replace those of tokenizer.json ("model": members of the model)
  cases   {"text", "ids"}, and "plain", the ids without added tokens, where they differ
Made with tokenizers 0.23.3.
"""
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parent.parent
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"""
            r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
CODER = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"]
CASED_LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-"
    "ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌ"
    "ῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-"
    "ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃")
LLM = [r"[\r\n]", r"\s?[" + CASED_LETTERS + "]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", CODER[3]]
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PROSE = ["the answer is in the question and the question is in the answer", "L'été où naïve Zoë",
         "中文字符 日本語テキスト 한국어 русский текст", "The sum of the numbers is 42, not 24."]

TEXTS = [
    "", "a", " ", "hello world", " hello  world ", "The quick brown fox jumps over the lazy dog.",
    "for (int i = 0; i < n; i++) {\n\tx[i] += 3.14159f * y[i]; // sum\n}\n",
    "def f(x):\n    return x**2 - 10 # ok\n\n\n", "12345678901 1234 1,234.56 0x1F 1e-9 3²½Ⅻ٣٤",
    "a  1   2    b     ", "line\r\nline\r\n\r\n  \r\n end\r", "tab\tand\t\ttabs \t mixed",
    "x\u00a0y\u2003z\u3000w\u2028v\u2029u\u0085t\u180es\u200br\u200dq\ufeffp\x0bo\x0cn\x1cm",
    "don't I'LL we've IT'S you're she'd 'sabc ’s 'ſx o'clock", "中文字符测试,日本語テキスト。한국어 텍스트",
    "ไทย العربية हिन्दी עברית ελληνικά русский", "👍🏽 👩\u200d👩\u200d👧 🇩🇪 ❤️ 𝔘𝔫𝔦",
    "e\u0301 a\u0323\u0302 a\u0302\u0323 q\u0323\u0307 q\u0307\u0323 \u1100\u1161\u11a8 \u212b "
    "\u2126 \ufb01 \u0958 \u0344 \u1e9b\u0323",
    "\u0301\u0323 alone",
    "\u0e9a\u0eba\u0323 x\u07fd\u0323 e\u0eba\u0301 e\u0323\u0301"
    "\u1adf \U00011935\U00011930 \U00011938 e\U0001e08f\u0323\u0301",
    "ß İ ı ǅ ſ K", "foo_bar fooBar FOO-bar://x?y=1&z=[2]{3}|4~5`6^7\\8",
    "!!!???...---===###\n\n", "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "<think>\nso 1+1=2\n</think>\n<answer>2</answer>", "a<think>b</think >c<thinking>",
    "x <mask> y  <mask>z<mask>", "[PAD] a[PAD] [PAD]b _[PAD] é[PAD] [PAD]. x[PAD]y [PAD]",
    "caf\u00e9 cafe\u0301 Cafe\u0301s", "$$$ $$$$ $$ the the$$$ \n $$$ \n x",
    "lazy dogs lazy dog  lazy dog\n\tx crazy dog", "\x00\x01\x7f",
    "a" * 100, " " * 70 + "x", "ab" * 60 + "1" * 50, "-" * 90, "é" * 45,
    "the " * 30, "\n" * 45, "word" * 20 + "\u3000" * 20 + "。" * 20,
]


def token(ident, content, **flags):
    row = dict(id=ident, content=content, single_word=False, lstrip=False, rstrip=False,
               normalized=False, special=False)
    row.update(flags)
    return row


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def removed(pattern, invert):
    return dict(split(pattern), behavior="Removed", invert=invert)


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
            "use_regex": use_regex}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def train():
    pages = sorted(p for p in [*ROOT.glob("*.md"), *ROOT.glob("src/base/*.h")])
    corpus = [p.read_text() for p in pages] + PROSE * 40
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=1000, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_tokens(["<think>", "</think>"])
    root = json.loads(t.to_str())
    for row in root["added_tokens"]:
        row["normalized"] = False
    return root


def variants(root):
    n = len(root["model"]["vocab"])
    qwen = {"normalizer": {"type": "NFC"},
            "pre_tokenizer": sequence(split(QWEN), byte_level(False))}
    few = {c: i for i, c in enumerate(["<unk>", "t", "h", "e", "Ġ", "th", "the", "Ġthe", "x", "Ã"])}
    small = {"vocab": few, "merges": ["t h", "th e", "Ġ the"], "unk_token": None}
    return {
        "gpt2": {},
        "smollm": {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True},
                                             byte_level(True))},
        "digits": {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": False},
                                             byte_level(True))},
        "whole": {"pre_tokenizer": byte_level(False)},
        "qwen2": qwen,
        "llama": {"pre_tokenizer": sequence(split(LLAMA), byte_level(False)),
                  "model": {"ignore_merges": True, "merges": root["model"]["merges"][::2]}},
        "deepseek": {"normalizer": {"type": "Sequence", "normalizers": []},
                     "pre_tokenizer": sequence(*map(split, DEEPSEEK), byte_level(False))},
        "deepseek-coder": {"pre_tokenizer": sequence(
            *map(split, CODER), {"type": "Digits", "individual_digits": True}, byte_level(False))},
        "deepseek-llm": {"pre_tokenizer": sequence(
            *map(split, LLM), {"type": "Digits", "individual_digits": True}, byte_level(False))},
        "tekken": {"pre_tokenizer": sequence(split(TEKKEN), byte_level(False)),
                   "model": {"ignore_merges": True, "merges": root["model"]["merges"][::2]}},
        "removed": {"pre_tokenizer": sequence(removed(r"[,.]\s*|\p{N}", False),
                                              removed(QWEN, True), byte_level(False))},
        "literal": {"pre_tokenizer": sequence(
            dict(split(""), pattern={"String": "a.b[0]"}), dict(split(""), pattern={"String": " "}),
            byte_level(False))},
        "flags": dict(qwen, added_tokens=root["added_tokens"] + [
            token(n + 2, "<mask>", lstrip=True), token(n + 3, "[PAD]", single_word=True),
            token(n + 4, "$$$", rstrip=True, lstrip=True), token(n + 5, "cafe\u0301",
                                                                 normalized=True),
            token(n + 6, "lazy dog", single_word=True, normalized=True, rstrip=True),
            token(n + 7, "$$$ $", special=True)]),
        "dropped": {"added_tokens": [], "model": small},
        "unknown": {"added_tokens": [], "model": dict(small, unk_token="<unk>")},
        "fused": {"added_tokens": [], "model": dict(small, unk_token="<unk>", fuse_unk=True)},
    }


def patched(root, patch):
    return dict(root, **dict(patch, model=dict(root["model"], **patch.get("model", {}))))


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests/golden/tokenizer"
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "tokenizer.json"
    root = json.loads(kept.read_text()) if kept.exists() else train()
    rows = []
    for name, patch in variants(root).items():
        full = patched(root, patch)
        t = Tokenizer.from_str(json.dumps(full))
        bare = Tokenizer.from_str(json.dumps(dict(full, added_tokens=[])))
        cases = []
        for text in TEXTS:
            row = {"text": text, "ids": t.encode(text, add_special_tokens=False).ids}
            plain = bare.encode(text, add_special_tokens=False).ids
            if plain != row["ids"]:
                row["plain"] = plain
            cases.append(row)
        rows.append({"name": name, "patch": patch, "cases": cases})

    def write(name, value, **style):
        (out / name).write_text(json.dumps(value, ensure_ascii=False, **style) + "\n")

    write("tokenizer.json", root, separators=(",", ":"))
    write("tokenizer_config.json", {
        "add_bos_token": True, "bos_token": {"__type": "AddedToken", "content": "<|im_start|>"},
        "eos_token": "<|im_end|>", "pad_token": None, "model_max_length": 10 ** 30,
        "chat_template": [{"name": "tool_use", "template": "no"},
                          {"name": "default", "template": "{{ messages[0]['content'] }}"}]},
          indent=2)
    write("generation_config.json", {"eos_token_id": [2, 0, 7_000_000]}, indent=2)
    lines = [json.dumps({"name": r["name"], "patch": r["patch"]}, ensure_ascii=False)[:-1] +
             ', "cases": [\n' + ",\n".join(json.dumps(c, ensure_ascii=True, separators=(",", ":"))
                                           for c in r["cases"]) + "]}" for r in rows]
    (out / "cases.json").write_text("[" + ",\n".join(lines) + "]\n")


if __name__ == "__main__":
    main()

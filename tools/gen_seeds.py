#!/usr/bin/env python3
"""Write the fuzz seeds that are binary: small valid GGUF and safetensors files.

Usage: python3 tools/gen_seeds.py [DIRECTORY], tests/fuzz/seeds by default
"""
import json
import struct
import sys
from pathlib import Path

U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
CODES = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?",
         U64: "Q", I64: "q", F64: "d"}


def value(kind, v):
    if kind == STR:
        return struct.pack("<Q", len(v)) + v.encode()
    if kind == ARR:
        item, items = v
        return struct.pack("<IQ", item, len(items)) + b"".join(value(item, i) for i in items)
    return struct.pack("<" + CODES[kind], v)


def gguf(pairs, tensors, version=3, alignment=32):
    """tensors: (name, dimensions with the contiguous one first, ggml type, bytes)."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, kind, v in pairs:
        out += value(STR, key) + struct.pack("<I", kind) + value(kind, v)
    data = b""
    for name, dims, ggml_type, size in tensors:
        out += value(STR, name) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        out += struct.pack("<IQ", ggml_type, len(data))
        data += bytes(size) + bytes(-size % alignment)
    return out + bytes(-len(out) % alignment) + data if tensors else out


def safetensors(header, size):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(size)


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SEEDS = {
    "gguf/tiny": gguf([("general.architecture", STR, "llama"), ("llama.block_count", U32, 1)],
                      [("w", [4, 2], 0, 32), ("q", [32], 8, 34)]),
    "gguf/kinds": gguf([(f"k{k}", k, 1) for k in CODES] + [("words", ARR, (STR, ["a", "", "bc"])),
                       ("scores", ARR, (F32, [0.5, -1])), ("types", ARR, (I32, [1, 3]))], []),
    "gguf/aligned": gguf([("general.alignment", U32, 8)],
                         [("f16", [2, 1, 1, 1], 1, 4), ("bf16", [3], 30, 6), ("q4", [32], 2, 18),
                          ("q41", [32], 3, 20), ("unknown", [256], 12, 144)], 2, 8),
    "gguf/vocabulary": gguf([("tokenizer.ggml.model", STR, "gpt2"),
                             ("tokenizer.ggml.tokens", ARR, (STR, ["a", "b", "ab"])),
                             ("tokenizer.ggml.merges", ARR, (STR, ["a b"]))], []),
    "safetensors/empty": safetensors({}, 0),
    "safetensors/tiny": safetensors({"__metadata__": {"format": "pt"},
                                     "w": tensor("F32", [2, 2], 0, 16),
                                     "b": tensor("BF16", [3], 16, 22)}, 22),
    "safetensors/kinds": safetensors({"i": tensor("I32", [], 0, 4),
                                      "h": tensor("F16", [1, 2, 1, 1], 4, 8)}, 8),
    "safetensors/unsupported": safetensors({"q": tensor("F8_E5M2", [4], 0, 4)}, 4),
}


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/fuzz/seeds")
    for name, data in SEEDS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


if __name__ == "__main__":
    main()

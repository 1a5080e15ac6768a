#!/usr/bin/env python3
"""Write tests/golden/quant.h: inputs, and what gguf-py (the `gguf` package) encodes and decodes.

Usage: python3 tools/gen_golden_quant.py > tests/golden/quant.h
       python3 tools/gen_golden_quant.py --check     compare our encoders with ggml's

Needs numpy, gguf, torch (F8) and llama-cpp-python (ggml's encoders).
"""
import ctypes
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as T
from gguf import quants

BLOCK = 32


def blocks():
    rng = np.random.default_rng(1)
    ramp = np.arange(BLOCK, dtype=np.float32)
    out = [
        rng.standard_normal(BLOCK),
        rng.standard_normal(BLOCK) * 0.02 + 0.01,
        rng.standard_normal(BLOCK) * 1e-7,   # subnormal scales
        rng.standard_normal(BLOCK) * 10000,
        np.zeros(BLOCK),
        np.full(BLOCK, -0.75),               # one value: Q4_1 has no spread
        (ramp - 16) / 2,                     # ties
        ramp * 127 / 31,
        np.where(ramp == 5, 8.0, np.where(ramp == 9, -8.0, 0.5)),  # equal extremes, first wins
    ]
    return np.concatenate(out).astype(np.float32)


def halves():
    rng = np.random.default_rng(2)
    edge = [0.0, -0.0, 1.0, -1.0, 65504.0, 65519.996, 65520.0, -65536.0, 1e30, np.inf, -np.inf,
            2.0**-14, 2.0**-24, 2.0**-25, 1.5 * 2.0**-25, 3 * 2.0**-25, -(2.0**-26), 1e-40,
            1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 2.0**-14 - 2.0**-26,
            3.4028235e38]
    return np.concatenate([edge, rng.standard_normal(40) * 10.0 ** rng.integers(-9, 5, 40)]).astype(
        np.float32)


def emit(ctype, name, values, digits):
    print(f"static const {ctype} {name}[] = {{")
    step = 8 if digits == 8 else 12
    for i in range(0, len(values), step):
        print("    " + " ".join(f"0x{int(v):0{digits}x}," for v in values[i:i + step]))
    print("};")


# Block formats that are decoded by checksum: bytes a block, where its F16 scales stand.
DECODED = {
    T.Q8_0: (34, [0]), T.Q4_0: (18, [0]), T.Q4_1: (20, [0, 2]), T.Q5_0: (22, [0]),
    T.Q5_1: (24, [0, 2]), T.Q2_K: (84, [80, 82]), T.Q3_K: (110, [108]), T.Q4_K: (144, [0, 2]),
    T.Q5_K: (176, [0, 2]), T.Q6_K: (210, [208]), T.IQ4_NL: (18, [0]),
}
N_RANDOM = 500
SCALES = [0x0000, 0x8000, 0x0001, 0x83ff, 0x3c00, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00]
FILLS = [0x00, 0xff, 0x5a]


def random_bytes(n):
    """The upper bytes of a linear congruential generator, which the test repeats."""
    state, out = 1, bytearray()
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(state >> 56)
    return bytes(out)


def wild_blocks(size, scales_at):
    """Random blocks (whose scales are any half), then every extreme scale with three fillings."""
    out = [np.frombuffer(random_bytes(N_RANDOM * size), np.uint8).reshape(N_RANDOM, size)]
    for scale in SCALES:
        for fill in FILLS:
            b = np.full((1, size), fill, np.uint8)
            for i, at in enumerate(scales_at):
                b[0, at:at + 2] = np.frombuffer(
                    np.uint16(SCALES[(SCALES.index(scale) + 3 * i) % len(SCALES)]).tobytes(),
                    np.uint8)
            out.append(b)
    return np.concatenate(out)


def checksum(floats):
    """64-bit FNV-1a over the bits, a word at a time; every NaN counts as the same one."""
    h = 0xcbf29ce484222325
    words = np.where(np.isnan(floats), np.uint32(0x7fc00000), floats.view(np.uint32))
    for w in words.reshape(-1).tolist():
        h = (h ^ w) * 0x100000001b3 % 2**64
    return h


def emit_decoded():
    print(f"enum {{ GOLDEN_RANDOM = {N_RANDOM} }};")
    emit("uint16_t", "golden_scales", SCALES, 4)
    emit("uint8_t", "golden_fills", FILLS, 2)
    print("static const struct {")
    print("    const char *name;")
    print("    int scale[2]; /* where the F16 scales stand, -1 = none */")
    print("    uint64_t sum; /* checksum of all decoded blocks */")
    print("    uint32_t first[256]; /* the first decoded block */")
    print("} golden_formats[] = {")
    for qtype, (size, scales_at) in DECODED.items():
        with np.errstate(all="ignore"):
            y = quants.dequantize(wild_blocks(size, scales_at), qtype).astype(np.float32)
        words = [f"0x{v:08x}," for v in y[0].view(np.uint32).tolist()]
        first = "\n".join("        " + " ".join(words[i:i + 8]) for i in range(0, len(words), 8))
        at = ", ".join(str(a) for a in (scales_at + [-1])[:2])
        print(f'    {{"{qtype.name}", {{{at}}}, 0x{checksum(y):016x}, {{\n{first}\n    }}}},')
    print("};")


def emit_f8(halves):
    import torch
    y = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).to(torch.float32).numpy()
    emit("uint32_t", "golden_f8_e4m3", y.view(np.uint32), 8)
    q = torch.from_numpy(halves).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    emit("uint8_t", "golden_halves_f8", q, 2)


# ---- Encoders that search for their scales: how good is ggml's own? ----------------------------

SEARCHED = [T.Q5_0, T.Q5_1, T.IQ4_NL, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K]
N_SAMPLES = 64 * 256


def samples(heavy):
    """Bell-shaped: sums of four bytes; with heavy tails: their cubes."""
    b = np.frombuffer(random_bytes(4 * N_SAMPLES), np.uint8).reshape(-1, 4)
    x = (b.astype(np.float32).sum(1) - 510) / np.float32(4096)
    return x * x * x if heavy else x


def ggml_encode(lib, qtype, x):
    block, size = GGML_QUANT_SIZES[qtype]
    out = np.zeros(x.size // block * size, np.uint8)
    name = qtype.name[:-2].lower() + "_K" if qtype.name.endswith("_K") else qtype.name.lower()
    getattr(lib, "quantize_" + name)(
        x.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_int64(x.size // 256), ctypes.c_int64(256), None)
    return out


def squared_error(qtype, q, x):
    return float(((quants.dequantize(q, qtype).reshape(-1).astype(np.float64) - x) ** 2).sum())


def ggml_library():
    import llama_cpp
    return ctypes.CDLL(str(pathlib.Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))


def emit_errors():
    lib = ggml_library()
    print(f"enum {{ GOLDEN_SAMPLES = {N_SAMPLES} }};")
    print("static const struct {")
    print("    const char *name;")
    print("    double error[2]; /* sum of squares, of bell-shaped samples and of their cubes */")
    print("} golden_ggml[] = {")
    for qtype in SEARCHED:
        e = [squared_error(qtype, ggml_encode(lib, qtype, x), x)
             for x in (samples(False), samples(True))]
        print(f'    {{"{qtype.name}", {{{e[0]:.9g}, {e[1]:.9g}}}}},')
    print("};")


# ---- --check: our encoders, seen by others -------------------------------------------------------

def our_library(folder):
    """The formats alone, as a shared library."""
    src = pathlib.Path(__file__).resolve().parent.parent / "src"
    out = pathlib.Path(folder) / "libquant.so"
    files = [src / "compute" / f for f in ("quant.c", "kquant.c", "fit.c", "tensor.c")]
    subprocess.run(["cc", "-std=c11", "-O3", "-D_GNU_SOURCE", "-shared", "-fPIC", f"-I{src}",
                    f"-I{src.parent / 'include'}", "-o", out, *files, src / "base" / "err.c",
                    "-Wl,--unresolved-symbols=ignore-all", "-lm"], check=True)
    return ctypes.CDLL(str(out))


def dtype_numbers():
    """The order of r1_dtype in tensor.h."""
    header = pathlib.Path(__file__).resolve().parent.parent / "src" / "compute" / "tensor.h"
    return {name: i for i, name in enumerate(
        re.findall(r"^    R1_(\w+)[, ]", header.read_text(), re.M))}


def check():
    """What we encode gguf-py decodes as we do; the errors of both, and our speed, are printed."""
    rng = np.random.default_rng(5)
    n = 256 * 4000
    data = {"normal": rng.standard_normal(n), "student3": rng.standard_t(3, n),
            "laplace": rng.laplace(size=n), "uniform": rng.uniform(-1, 1, n),
            "tiny": rng.standard_normal(n) * 1e-6, "huge": rng.standard_normal(n) * 1e5}
    number = dtype_numbers()
    theirs = ggml_library()
    print(f"{'':8}" + "".join(f"{name:>20}" for name in data) + "     MB/s")
    with tempfile.TemporaryDirectory() as folder:
        ours = our_library(folder)
        for qtype in SEARCHED:
            block, size = GGML_QUANT_SIZES[qtype]
            line, seconds = f"{qtype.name:8}", 0.0
            for x in data.values():
                x = x.astype(np.float32)
                q, y = np.zeros(n // block * size, np.uint8), np.zeros(n, np.float32)
                at = [a.ctypes.data_as(ctypes.c_void_p) for a in (x, q, y)]
                start = time.process_time()
                ours.r1_quant_encode(number[qtype.name], at[0], at[1], ctypes.c_int64(n))
                seconds += time.process_time() - start
                ours.r1_quant_decode(number[qtype.name], at[1], at[2], ctypes.c_int64(n))
                seen = quants.dequantize(q, qtype).reshape(-1)
                if not np.array_equal(seen.view(np.uint32), y.view(np.uint32)):
                    raise SystemExit(f"{qtype.name}: gguf-py decodes our blocks to other values")
                rms = [np.sqrt(e / n) / x.std() for e in (
                    squared_error(qtype, q, x),
                    squared_error(qtype, ggml_encode(theirs, qtype, x), x))]
                line += f"   {rms[0]:7.5f}, {rms[1]:7.5f}"
            print(f"{line} {n * 4 * len(data) / seconds / 1e6:8.0f}")
    print("error / standard deviation: ours, ggml's")


def main():
    print("/* Made by tools/gen_golden_quant.py with gguf-py; floats are their bits. */")
    print("/* clang-format off */")
    x = blocks()
    emit("uint32_t", "golden_blocks", x.view(np.uint32), 8)
    for name, qtype in (("q8_0", T.Q8_0), ("q4_0", T.Q4_0), ("q4_1", T.Q4_1)):
        q = quants.quantize(x, qtype)
        emit("uint8_t", f"golden_{name}", q.reshape(-1), 2)
        y = quants.dequantize(q, qtype).astype(np.float32)
        emit("uint32_t", f"golden_{name}_decoded", y.reshape(-1).view(np.uint32), 8)
    h = halves()
    emit("uint32_t", "golden_halves", h.view(np.uint32), 8)
    with np.errstate(over="ignore"):
        f16 = h.astype(np.float16)
    emit("uint16_t", "golden_f16", f16.view(np.uint16), 4)
    emit("uint16_t", "golden_bf16", quants.quantize(h, T.BF16).view(np.uint16).reshape(-1), 4)
    emit_decoded()
    emit_f8(h)
    emit_errors()


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else main()

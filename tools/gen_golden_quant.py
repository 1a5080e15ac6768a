#!/usr/bin/env python3
"""Write tests/golden/quant.h: inputs, and what gguf-py (the `gguf` package) encodes and decodes.

Usage: python3 tools/gen_golden_quant.py > tests/golden/quant.h
"""
import numpy as np
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


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Write tests/golden/code.json: what Python itself says about packed tests and equal outputs.

Usage: python3 tools/gen_golden_code.py [FILE]        (the standard library only)

packed: one JSON text as LiveCodeBench packs private tests, base64(zlib(pickle(text))), by every
        protocol of pickle, and objects that are no text, which must be refused
lcb:    pairs of outputs, and whether they are equal as lines or as lines of Decimals
json:   pairs of JSON texts, and whether Python's == holds between their values
"""
import base64
import itertools
import json
import pickle
import sys
import zlib
from decimal import Decimal, InvalidOperation
from pathlib import Path

TESTS = [{"input": "3\n1 2 3\n", "output": "6\n", "testtype": "stdin"},
         {"input": "1\n\u00e9\u4e2d\n", "output": "-1\n", "testtype": "stdin"}]

NUMBERS = ["0", "-0", "1", "+1", "1.0", "1.", ".1", "0.1", "0.10", "1e0", "10E-1", "1_0", "10",
           "1e1", "0x1", "1e", "", "inf", "Infinity", "-inf", "nan", "1e400", "1E+400",
           "123456789012345678901", "123456789012345678902", "123456789012345678901.000",
           "0.1234567890123456789", "0.12345678901234567890", "00012", "12", "1.5.2", "a", "e5",
           "--1", "0e7", "-0.0", "100", "1e2"]
LINES = ["1 2\n3", "1 2\n3\n", " 1  2 \n 3", "1.0 2\n3.00", "1 2 3", "1 2\n\n3", "1 2\n4", "", "\n",
         "YES", "yes", "YES ", "x 1", "x 1.0", "1\t2\n3", "1\x1c2\n3", "1 2\r\n3"]
VALUES = ["1", "1.0", "true", "false", "0", "-0.0", "null", '"1"', "[1,2]", "[1, 2.0]", "[2,1]",
          "[]", "{}", '{"a":1,"b":[2]}', '{"b":[2.0],"a":true}', '{"a":1}', '"\\u00e9"', '"é"',
          "1e2", "100", "9007199254740993", "9007199254740992.0", "123456789012345678901234567890",
          "123456789012345678901234567891", "[[1],[2]]", "[[1],[2,3]]", '""', "0.1", "0.10",
          '[" "]', '[""]', "[123456789012345678901234567890, 1]"]


def same_lcb(a, b):
    """As the benchmark compares standard output."""
    first = [x.strip() for x in a.strip().split("\n")]
    second = [x.strip() for x in b.strip().split("\n")]
    if len(first) != len(second):
        return False
    for x, y in zip(first, second):
        if x == y:
            continue
        try:
            if [Decimal(t) for t in x.split()] != [Decimal(t) for t in y.split()]:
                return False
        except InvalidOperation:
            return False
    return True


def pack(data):
    return base64.b64encode(zlib.compress(data)).decode()


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/code.json")
    text = json.dumps(TESTS, ensure_ascii=False)
    golden = {
        "text": text,
        "packed": [{"protocol": p, "data": pack(pickle.dumps(text, protocol=p))}
                   for p in range(1, 6)],
        "refused": [pack(pickle.dumps(x, protocol=4))
                    for x in ([text], {"a": text}, 7, None, b"x", print)],
        "lcb": [[a, b, same_lcb(a, b)] for a, b in itertools.product(NUMBERS, NUMBERS)]
        + [[a, b, same_lcb(a, b)] for a, b in itertools.product(LINES, LINES)],
        "json": [[a, b, json.loads(a) == json.loads(b)]
                 for a, b in itertools.product(VALUES, VALUES)],
    }
    lines = []
    for key, value in golden.items():
        parts = value if isinstance(value, list) else [value]
        body = ",\n".join(json.dumps(v, separators=(",", ":")) for v in parts)
        body = f"[\n{body}\n]" if isinstance(value, list) else body
        lines.append(f"{json.dumps(key)}:{body}")
    out.write_text("{" + ",\n".join(lines) + "}\n")
    pairs = f"{len(golden['lcb'])} + {len(golden['json'])} pairs"
    print(f"{out}: {pairs}; Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()

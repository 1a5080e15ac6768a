#!/usr/bin/env python3
"""Write tests/golden/schema.json: random schemas and texts with the verdicts of jsonschema.

Usage: tools/gen_golden_schema.py (needs jsonschema; made with 4.26).  Texts are values that follow
the schema, and such with something changed, as json.dumps writes them.
"""
import json
import random
from pathlib import Path

from jsonschema import Draft202012Validator

OUT = Path(__file__).resolve().parent.parent / "tests/golden/schema.json"
SCHEMAS, TEXTS = 150, 14
WORDS = ["a", "b", "ab", "id", "name", "é", "x y", "k"]


def scalar(r):
    kind = r.randrange(7)
    if kind == 0:
        low = r.randint(-120, 100)
        return {"type": "integer", "minimum": low, "maximum": low + r.randint(0, 150)}
    if kind == 1:
        low = round(r.uniform(-20, 20), r.randint(0, 3))
        s = {"type": "number", r.choice(["minimum", "exclusiveMinimum"]): low}
        if r.random() < 0.6:
            s[r.choice(["maximum", "exclusiveMaximum"])] = round(low + r.uniform(0.1, 30), 2)
        return s
    if kind == 2:
        s = {"type": "string", "minLength": r.randint(0, 3)}
        if r.random() < 0.7:
            s["maxLength"] = s["minLength"] + r.randint(0, 4)
        return s
    if kind == 3:
        return {"type": "string", "pattern": r.choice(
            ["^[a-c]+$", "b", "^a|c$", "^(ab){1,2}\\d?$", "[^a]$", "^\\w+-?\\w*$", "^.{2,3}$"])}
    if kind == 4:
        return {"enum": r.sample(["a", "b", 1, 2, 2.5, None, True, [1], {"a": 1}], r.randint(1, 4))}
    if kind == 5:
        return {"type": "integer", "multipleOf": r.choice([2, 3, 7, 10])}
    return {"type": r.choice(["boolean", "null", "integer", "string", "number"])}


def schema(r, depth=0):
    kind = r.randrange(9 if depth < 2 else 5)
    if kind < 5:
        return scalar(r)
    if kind == 5:
        s = {"type": "array", "items": schema(r, depth + 1), "minItems": r.randint(0, 2)}
        if r.random() < 0.6:
            s["maxItems"] = s["minItems"] + r.randint(0, 2)
        if r.random() < 0.3:
            s["prefixItems"] = [schema(r, depth + 1) for _ in range(r.randint(1, 2))]
        return s
    if kind == 8:
        return {r.choice(["anyOf", "oneOf"]): [schema(r, depth + 1) for _ in range(2)]}
    names = r.sample(WORDS, r.randint(0, 3))
    s = {"type": "object", "properties": {n: schema(r, depth + 1) for n in names},
         "required": [n for n in names if r.random() < 0.5]}
    if r.random() < 0.6:
        s["additionalProperties"] = r.choice([False, True, scalar(r)])
    if r.random() < 0.2:
        s["allOf"] = [{"required": names[:1]}]
    if r.random() < 0.2:
        s["maxProperties"] = len(s["required"]) + r.randint(0, 1)
    return s


def number(r, s):
    low = s.get("minimum", s.get("exclusiveMinimum", -50))
    high = s.get("maximum", s.get("exclusiveMaximum", low + 100))
    x = r.choice([low, high, r.uniform(low, high)])
    if s["type"] == "integer":
        m = s.get("multipleOf", 1)
        return int(x) // m * m
    return r.choice([round(x, 2), x if isinstance(x, int) else round(x, 1)])


def value(r, s):
    """A value that mostly follows the schema."""
    for key in ("anyOf", "oneOf"):
        if key in s:
            return value(r, r.choice(s[key]))
    if "enum" in s:
        return r.choice(s["enum"])
    kind = s["type"]
    if kind in ("integer", "number"):
        return number(r, s)
    if kind == "string":
        if "pattern" in s:
            return r.choice(["a", "b", "ab", "abab1", "cab", "x-y", "éa", "ac", "a\n", ""])
        n = r.randint(s.get("minLength", 0), s.get("maxLength", s.get("minLength", 0) + 2))
        return "".join(r.choice('abé"\\\n ') for _ in range(n))
    if kind == "array":
        n = r.randint(s["minItems"], s.get("maxItems", s["minItems"] + 2))
        prefix = s.get("prefixItems", [])
        return [value(r, prefix[i] if i < len(prefix) else s["items"]) for i in range(n)]
    if kind == "object":
        out = {n: value(r, p) for n, p in s["properties"].items()
               if n in s["required"] or r.random() < 0.5}
        more = s.get("additionalProperties", False)
        if more is not False and r.random() < 0.5:
            out["zz"] = 1 if more is True else value(r, more)
        return out
    return {"boolean": r.random() < 0.5, "null": None}[kind]


def change(r, v):
    """Something else, near it."""
    if isinstance(v, dict) and v and r.random() < 0.8:
        name = r.choice(list(v))
        return r.choice([{k: x for k, x in v.items() if k != name},
                         {**v, name: change(r, v[name])}, {**v, r.choice(WORDS): 1}])
    if isinstance(v, list) and r.random() < 0.8:
        return r.choice([v + [1], v[:-1], [change(r, x) for x in v]])
    if isinstance(v, bool) or v is None:
        return r.choice([0, "a", not v])
    if isinstance(v, (int, float)):
        return r.choice([v + 1, v - 1, -v, round(v + 0.01, 4), str(v)])
    if isinstance(v, str):
        return r.choice([v + "a", v[:-1], v + v, 3])
    return v


def main():
    r = random.Random(20250120)
    out = []
    for _ in range(SCHEMAS):
        s = schema(r)
        check = Draft202012Validator(s)
        texts = {}
        for i in range(TEXTS):
            v = value(r, s)
            v = change(r, v) if i % 2 else v
            text = json.dumps(v, ensure_ascii=r.random() < 0.3)
            texts[text] = check.is_valid(json.loads(text))
        out.append({"schema": s, "texts": [[t, ok] for t, ok in texts.items()]})
    lines = ",\n".join(json.dumps(o, ensure_ascii=False, separators=(",", ":")) for o in out)
    OUT.write_text(f"[\n{lines}\n]\n")
    print(OUT, len(out), sum(len(o["texts"]) for o in out))


if __name__ == "__main__":
    main()

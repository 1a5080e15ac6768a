#!/usr/bin/env python3
"""Compare r1 on a GGUF model with transformers on the same weights, dequantised to F32.

    python3 tools/compare_transformers.py --model smollm2.gguf --text ARCHITECTURE.md

Tokenizes the text with both, scores its first tokens with both in F32, and prints the largest and
the mean difference of the log-probabilities.  --kl: a program (tests/e2e/kl.c) that measures the
model's native arithmetic against F32.  Exits 1 when a limit is passed.  Needs torch, transformers
and gguf.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer


# Splits before the merges that a GGUF names but transformers' conversion leaves out.
PRE_TOKENIZERS = {
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                       pre_tokenizers.ByteLevel(add_prefix_space=False)]),
}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command[:3]))}...: exit code {done.returncode}: "
                 f"{done.stderr.strip()[:500]}")
    return json.loads(done.stdout)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--r1", default="./r1")
    p.add_argument("--kl")
    p.add_argument("--model", required=True, type=Path)
    p.add_argument("--text", required=True, type=Path)
    p.add_argument("--tokens", type=int, default=512)
    p.add_argument("--max-difference", type=float, default=2e-3)
    p.add_argument("--max-kl", type=float, default=1e-3)
    v = p.parse_args()

    where = {"pretrained_model_name_or_path": v.model.parent, "gguf_file": v.model.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    pre = gguf.GGUFReader(v.model).get_field("tokenizer.ggml.pre")
    if pre and pre.contents() in PRE_TOKENIZERS:
        tokenizer.backend_tokenizer.pre_tokenizer = PRE_TOKENIZERS[pre.contents()]
    text = v.text.read_text()
    expected = tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = run(v.r1, "tokenize", v.model, "--file", v.text, "--json")["ids"]
    failures = []
    if ids != expected:
        at = next((i for i, (a, b) in enumerate(zip(ids, expected)) if a != b), "the end")
        failures.append(f"r1 has {len(ids)} ids, transformers {len(expected)}; first difference "
                        f"at {at}")
    ids = ids[:v.tokens]
    if len(ids) < v.tokens:
        sys.exit(f"{v.text} has only {len(ids)} tokens of {v.tokens}")

    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    with torch.no_grad():
        lp = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    peer = lp.gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]
    with tempfile.NamedTemporaryFile("w", suffix=".ids") as f:
        f.write(",".join(map(str, ids)))
        f.flush()
        ours = run(v.r1, "logprob", v.model, "--ids-file", f.name, "--compute", "f32", "--json")
        kl = run(v.kl, v.model, f.name) if v.kl else None
    off = (torch.tensor(ours["logprobs"]) - peer).abs()
    print(f"{len(off)} log-probabilities (mean {peer.mean():.3f}): largest difference "
          f"{off.max():.2e}, mean {off.mean():.2e}")
    if not off.max() <= v.max_difference:
        failures.append(f"largest difference {off.max():.2e} is above {v.max_difference:g}")
    if kl:
        print(f"native against F32: {kl}")
        if not kl["kl_mean"] <= v.max_kl:
            failures.append(f"mean KL {kl['kl_mean']:.2e} is above {v.max_kl:g}")
    for failure in failures:
        print(f"FAILED: {failure}")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Evaluate one model on a benchmark twice, by r1 and by a loop over transformers, and compare.

    python3 tools/compare_eval.py --model smollm2 --bench gsm8k --data DIR -n 50 -k 4

Both see the same problems, prompts, chat template and sampling settings, and the same verifier
judges both, so what is compared is the sampling: tokenizer, forward pass, sampler, where a
completion ends.  transformers runs on the same weights, converted by `r1 convert`, in F32.  Prints
pass@1 of both with intervals and the paired bootstrap of the difference; exits 1 when the interval
of the difference leaves out zero.  Needs torch and transformers.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command[:4]))}...: exit code {done.returncode}: "
                 f"{done.stderr.strip()[:500]}")
    return done.stdout


def sample(directory, rows, v):
    """Completions of each row's question, as a list of (text, tokens, finish)."""
    tokenizer = AutoTokenizer.from_pretrained(directory, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends)
    torch.manual_seed(v.seed)
    prompts = [tokenizer.apply_chat_template([{"role": "user", "content": r["question"]}],
                                             add_generation_prompt=True, tokenize=False)
               for r in rows]
    out = []
    for first in range(0, len(rows), v.batch):
        part = prompts[first:first + v.batch]
        ids = [tokenizer(p, add_special_tokens=False)["input_ids"] for p in part]
        width = max(map(len, ids))
        inputs = torch.tensor([[pad] * (width - len(i)) + i for i in ids])
        mask = torch.tensor([[0] * (width - len(i)) + [1] * len(i) for i in ids])
        with torch.inference_mode():
            result = model.generate(input_ids=inputs, attention_mask=mask, do_sample=True,
                                    temperature=v.temperature, top_p=v.top_p, top_k=0,
                                    max_new_tokens=v.max_tokens, num_return_sequences=v.samples,
                                    pad_token_id=pad)
        for i in range(len(part)):
            group = []
            for tokens in result[i * v.samples:(i + 1) * v.samples, width:].tolist():
                at = next((j for j, t in enumerate(tokens) if t in ends), None)
                kept = tokens if at is None else tokens[:at]
                group.append((tokenizer.decode(kept), len(kept) + (at is not None),
                              "length" if at is None else "stop"))
            out.append(group)
        print(f"transformers: {len(out)}/{len(rows)} problems", end="\r", file=sys.stderr)
    print(file=sys.stderr)
    return out


def line(name, e, seconds):
    print(f"{name:13} {100 * e['pass@1']:6.1f} %  {100 * e['pass@1_low']:5.1f} to "
          f"{100 * e['pass@1_high']:5.1f} %  {e['tokens_mean']:8.1f}  {100 * e['truncated']:5.1f} %"
          f"  {seconds:7.1f} s")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--r1", default="./r1")
    p.add_argument("--model", required=True)
    p.add_argument("--bench", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("-n", "--limit", type=int, default=50)
    p.add_argument("-k", "--samples", type=int, default=4)
    p.add_argument("--max-tokens", type=int, default=512)
    p.add_argument("--temperature", type=float, default=0.6)
    p.add_argument("--top-p", type=float, default=0.95)
    p.add_argument("--batch", type=int, default=8, help="problems that transformers runs together")
    p.add_argument("--seed", type=int, default=0)
    v = p.parse_args()

    with tempfile.TemporaryDirectory() as tmp:
        store = Path(tmp, "runs.db")
        common = [v.bench, "--data", v.data, "-n", v.limit, "--store", store, "--json"]
        begun = time.time()
        ours = json.loads(run(v.r1, "eval", v.model, *common, "-k", v.samples, "--max-tokens",
                              v.max_tokens, "--temperature", v.temperature, "--top-p", v.top_p,
                              "--seed", v.seed))["evaluations"][0]
        ours_s = time.time() - begun
        rows = [json.loads(x) for x in
                run(v.r1, "eval", "export", ours["evaluation"], "--store", store).splitlines()]
        run(v.r1, "convert", v.model, Path(tmp, "model"), "--type", "F32")
        begun = time.time()
        groups = sample(Path(tmp, "model"), rows, v)
        theirs_s = time.time() - begun
        recorded = Path(tmp, "recorded.jsonl")
        recorded.write_text("".join(json.dumps({
            "id": r["id"], "question": r["question"], "samples": [t for t, _, _ in g],
            "tokens": [n for _, n, _ in g], "finish": [f for _, _, f in g]}) + "\n"
            for r, g in zip(rows, groups)))
        theirs = json.loads(run(v.r1, "eval", "transformers", *common, "--recorded",
                                recorded))["evaluations"][0]
        paired = json.loads(run(v.r1, "eval", "compare", theirs["evaluation"],
                                ours["evaluation"], "--store", store, "--json"))
    print(f"{v.bench}: {ours['problems']} problems, {v.samples} samples each, at most "
          f"{v.max_tokens} tokens")
    print(f"{'':13} {'pass@1':>8}  {'95 %':>16}  {'tokens':>8}  {'cut':>7}  {'time':>9}")
    line("r1", ours, ours_s)
    line("transformers", theirs, theirs_s)
    print(f"r1 - transformers: {100 * paired['difference']:+.1f} points, 95 %: "
          f"{100 * paired['low']:+.1f} to {100 * paired['high']:+.1f}, p = {paired['p']:.2g}")
    return not paired["low"] <= 0 <= paired["high"]


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Paired speed measurements of r1 against its peers, for docs/performance.md.

    python3 tools/bench_peers.py llama  GGUF...            # prompt, decode, batched decode
    python3 tools/bench_peers.py torch  HF_DIR             # pre-training step, 4 x 512 tokens, BF16
    python3 tools/bench_peers.py trl    HF_DIR             # GRPO step, 4 prompts x 8 x 128 tokens

Needs a Python environment with llama-cpp-python (llama), torch and transformers (torch), trl (trl).
Every pair runs in turn, A B A B, so that a machine whose speed drifts is drifting for both; the
ratio printed is the median of the ratios of neighbours.
"""
import argparse
import ctypes
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

R1 = os.environ.get("R1", "./r1")


def r1_bench(model, prompt, gen, batches, threads):
    out = subprocess.run([R1, "bench", model, "-p", str(prompt), "-n", str(gen), "-b",
                          ",".join(map(str, batches)), "-t", str(threads), "-r", "1", "--json"],
                         check=True, capture_output=True, text=True).stdout
    r = json.loads(out)
    row = {"prompt": r["prompt_tok_s"], "decode": r["decode_tok_s"]}
    for b in r["batched"]:
        if b["batch"] > 1:
            row[f"batch {b['batch']}"] = b["decode_tok_s"]
    return row


class Llama:
    """llama.cpp through llama-cpp-python's C binding; one Python call a step in the timed loops."""

    def __init__(self, path, threads, n_ctx, n_seq):
        import llama_cpp as lc
        self.lc = lc
        lc.llama_backend_init()
        self.log = lc.llama_log_callback(lambda *a: None)
        lc.llama_log_set(self.log, None)
        self.model = lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())
        cp = lc.llama_context_default_params()
        cp.n_ctx, cp.n_batch, cp.n_ubatch, cp.n_seq_max = n_ctx, 512, 512, n_seq
        cp.n_threads = cp.n_threads_batch = threads
        if hasattr(cp, "kv_unified"):
            cp.kv_unified = True
        self.ctx = lc.llama_init_from_model(self.model, cp)
        self.vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(self.model))
        self.batch = lc.llama_batch_init(512, 0, 1)

    def clear(self):
        self.lc.llama_memory_clear(self.lc.llama_get_memory(self.ctx), True)

    def decode(self, tokens, pos, seq, logits):
        b = self.batch
        b.n_tokens = len(tokens)
        for i in range(len(tokens)):
            b.token[i], b.pos[i], b.n_seq_id[i] = tokens[i], pos[i], 1
            b.seq_id[i][0], b.logits[i] = seq[i], logits[i]
        if self.lc.llama_decode(self.ctx, b):
            raise RuntimeError("llama_decode failed")

    def argmax(self, i):
        """Greedy choice with numpy's vectorised argmax: a few microseconds."""
        import numpy as np
        p = self.lc.llama_get_logits_ith(self.ctx, i)
        return int(np.ctypeslib.as_array(p, shape=(self.vocab,)).argmax())

    def bench(self, prompt, gen, batches):
        ids = [(i * 7919 + 13) % (self.vocab - 200) + 100 for i in range(prompt)]
        self.clear()
        t = time.perf_counter()
        self.decode(ids, list(range(prompt)), [0] * prompt, [0] * (prompt - 1) + [1])
        self.argmax(prompt - 1)
        row = {"prompt": prompt / (time.perf_counter() - t)}
        self.clear()
        self.decode(ids[:1], [0], [0], [1])
        tok = self.argmax(0)
        t = time.perf_counter()
        for i in range(gen):
            self.decode([tok], [i + 1], [0], [1])
            tok = self.argmax(0)
        row["decode"] = gen / (time.perf_counter() - t)
        for b in batches:
            if b == 1:
                continue
            self.clear()
            self.decode([ids[0]] * b, [0] * b, list(range(b)), [1] * b)
            toks = [self.argmax(i) for i in range(b)]
            t = time.perf_counter()
            for i in range(gen):
                self.decode(toks, [i + 1] * b, list(range(b)), [1] * b)
                toks = [self.argmax(j) for j in range(b)]
            row[f"batch {b}"] = b * gen / (time.perf_counter() - t)
        return row


def llama(args):
    batches = [int(b) for b in args.batch.split(",")]
    for path in args.paths:
        peer = Llama(path, args.threads, 16384, max(batches))
        ours, theirs = [], []
        for _ in range(args.runs):
            ours.append(r1_bench(path, args.prompt, args.gen, batches, args.threads))
            theirs.append(peer.bench(args.prompt, args.gen, batches))
        print(f"\n{os.path.basename(path)}, {args.threads} threads, prompt {args.prompt}, "
              f"{args.gen} tokens")
        print(f"{'':12} {'r1':>9} {'llama.cpp':>10} {'ratio':>7}   tok/s, medians of {args.runs}")
        for key in ours[0]:
            a, b = [r[key] for r in ours], [r[key] for r in theirs]
            ratio = statistics.median(x / y for x, y in zip(a, b))
            print(f"{key:12} {statistics.median(a):9.1f} {statistics.median(b):10.1f} "
                  f"{ratio:6.2f}x")


def torch_step(args):
    """Seconds of one optimizer step on 4 x 512 tokens: transformers, all BF16."""
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(args.threads)
    m = AutoModelForCausalLM.from_pretrained(args.paths[0], dtype=torch.bfloat16)
    m.train()
    opt = torch.optim.AdamW(m.parameters(), lr=1e-5, fused=True)
    x = torch.randint(100, m.config.vocab_size - 100, (4, 512))

    def step():
        t = time.perf_counter()
        m(input_ids=x, labels=x).loss.backward()
        torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        return time.perf_counter() - t
    return step


def r1_train_rate(kind, recipe, lines, overrides, metric):
    """The median of `metric` over the steps of a short run on `lines`, the first left out."""
    with tempfile.TemporaryDirectory() as d:
        with open(f"{d}/data.jsonl", "w") as f:
            f.writelines(json.dumps(line) + "\n" for line in lines)
        cmd = [R1, kind, recipe, "--json", "--store", f"{d}/runs.db", f"output={d}/out",
               f"data={d}/data.jsonl", *overrides]
        out = subprocess.run(cmd, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return statistics.median(r[metric] for r in rows[1:] if metric in r)


def torch_cmd(args):
    step = torch_step(args)
    step()
    # Documents much longer than 512 tokens: every row of the batch is full, as the peer's are.
    rng = random.Random(1)
    words = [f"{a}{b}" for a in ("in", "re", "con", "over", "un")
             for b in ("form", "act", "stand", "time", "line")]
    lines = [{"text": " ".join(rng.choice(words) for _ in range(4000))} for _ in range(16)]
    pairs = []
    for _ in range(args.runs):
        ours = r1_train_rate("pretrain", args.recipe or "recipes/bench-pretrain.json", lines,
                             [f"model={args.paths[0]}", f"threads={args.threads}"], "tokens_per_s")
        theirs = 2048 / statistics.median(step() for _ in range(2))
        pairs.append((ours, theirs))
        print(f"r1 {ours:.0f} tokens/s, torch {theirs:.0f}, ratio {ours / theirs:.2f}", flush=True)
    print(f"pre-training 4x512, BF16, {args.threads} threads: median ratio "
          f"{statistics.median(a / b for a, b in pairs):.2f}x")


def trl_cmd(args):
    """Seconds of a GRPO step of TRL: 4 prompts x 8 samples x 128 tokens, beta 0, BF16."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer
    torch.set_num_threads(args.threads)
    times = []

    def reward(completions, **_):
        return [float(len(c) % 7) for c in completions]

    class Timed(GRPOTrainer):
        def training_step(self, *a, **k):
            t = time.perf_counter()
            r = super().training_step(*a, **k)
            times.append(time.perf_counter() - t)
            return r
    tok = AutoTokenizer.from_pretrained(args.paths[0])
    tok.pad_token = tok.pad_token or tok.eos_token
    prompts = [f"What is {i} plus {i + 3}? Explain at length." for i in range(64)]
    data = Dataset.from_list([{"prompt": p} for p in prompts])
    lines = [{"prompt": p, "answer": {"bytes": 400}, "verifier": "length"} for p in prompts]
    with tempfile.TemporaryDirectory() as d:
        cfg = GRPOConfig(output_dir=d, per_device_train_batch_size=32, num_generations=8, bf16=True,
                         max_completion_length=128, beta=0.0, max_steps=args.runs + 1, use_cpu=True,
                         report_to=[], save_strategy="no", logging_steps=1,
                         generation_kwargs={"min_new_tokens": 128},
                         model_init_kwargs={"dtype": "bfloat16"})
        Timed(model=args.paths[0], reward_funcs=reward, args=cfg, train_dataset=data,
              processing_class=tok).train()
    theirs = statistics.median(times[1:])
    ours = r1_train_rate("grpo", args.recipe or "recipes/bench-grpo.json", lines,
                         [f"model={args.paths[0]}", f"threads={args.threads}"], "step_time")
    print(f"GRPO step 4x8x128, {args.threads} threads: r1 {ours:.2f} s, TRL {theirs:.2f} s, "
          f"ratio {theirs / ours:.2f}x")


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("peer", choices=["llama", "torch", "trl"])
    p.add_argument("paths", nargs="+")
    p.add_argument("-t", "--threads", type=int, default=2)
    p.add_argument("-r", "--runs", type=int, default=3)
    p.add_argument("-p", "--prompt", type=int, default=512)
    p.add_argument("-n", "--gen", type=int, default=64)
    p.add_argument("-b", "--batch", default="8,32,64")
    p.add_argument("--recipe")
    args = p.parse_args()
    {"llama": llama, "torch": torch_cmd, "trl": trl_cmd}[args.peer](args)


if __name__ == "__main__":
    sys.exit(main())

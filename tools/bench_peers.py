#!/usr/bin/env python3
"""Paired speed measurements of r1 against its peers, for docs/performance.md.

    python3 tools/bench_peers.py table  MODEL              # inference, into docs/performance.md
    python3 tools/bench_peers.py llama  GGUF...            # prompt, decode, batched decode
    python3 tools/bench_peers.py train  HF_DIR        # training: the next two, as a table
    python3 tools/bench_peers.py torch  HF_DIR        # supervised steps of 4 x 512 tokens, BF16
    python3 tools/bench_peers.py trl    HF_DIR        # GRPO steps, --shape PROMPTSxGROUPxTOKENS

Needs a Python environment with llama-cpp-python (llama), torch and transformers (torch), trl and
datasets (trl).  Every run of training, ours or theirs, is a process of its own, whose peak memory
counts; of its steps the first, which also fetches memory from the system, is left out if there are
more.
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


def r1_bench(model, threads, *args):
    out = subprocess.run([R1, "bench", model, "-t", str(threads), "-r", "1", "--json",
                          *map(str, args)], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


class Llama:
    """llama.cpp through llama-cpp-python's C binding; one Python call a step in the timed loops."""

    def __init__(self, path, threads, n_ctx=16384, n_seq=1):
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
            cp.kv_unified = False  # many sequences: each attends to its own cells only, the faster
        self.ctx = lc.llama_init_from_model(self.model, cp)
        self.vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(self.model))
        self.batch = lc.llama_batch_init(512, 0, 1)
        self.path, self.threads, self.other = path, threads, None

    def many(self):
        """The same model for 64 sequences, each with room for 192 tokens."""
        self.other = self.other or Llama(self.path, self.threads, n_ctx=64 * 192, n_seq=64)
        return self.other

    def close(self):
        if self.other:
            self.other.close()
        self.lc.llama_batch_free(self.batch)
        self.lc.llama_free(self.ctx)
        self.lc.llama_model_free(self.model)

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

    def logits(self, i):
        import numpy as np
        p = self.lc.llama_get_logits_ith(self.ctx, i)
        return np.ctypeslib.as_array(p, shape=(self.vocab,))

    def argmax(self, i):
        """Greedy choice with numpy's vectorised argmax: a few microseconds."""
        return int(self.logits(i).argmax())

    def fill(self, n):
        """A fresh prompt of n tokens in sequence 0; the next token."""
        ids = [(i * 7919 + 13) % (self.vocab - 200) + 100 for i in range(n)]
        self.clear()
        for at in range(0, n, 512):
            part = ids[at:at + 512]
            self.decode(part, list(range(at, at + len(part))), [0] * len(part),
                        [0] * (len(part) - 1) + [1])
        return self.argmax(len(part) - 1)

    def prompt_rate(self, n):
        t = time.perf_counter()
        self.fill(n)
        return n / (time.perf_counter() - t)

    def decode_rate(self, context, gen):
        """Tokens a second of one sequence behind `context` tokens."""
        tok = self.fill(context)
        t = time.perf_counter()
        for i in range(gen):
            self.decode([tok], [context + i], [0], [1])
            tok = self.argmax(0)
        return gen / (time.perf_counter() - t)

    def batch_rate(self, batch, prompt, gen):
        """Tokens a second of `batch` sequences that share a prompt."""
        tok = self.fill(prompt)
        memory = self.lc.llama_get_memory(self.ctx)
        for s in range(1, batch):
            self.lc.llama_memory_seq_cp(memory, 0, s, -1, -1)
        toks = [tok] * batch
        t = time.perf_counter()
        for i in range(gen):
            self.decode(toks, [prompt + i] * batch, list(range(batch)), [1] * batch)
            toks = [self.argmax(j) for j in range(batch)]
        return batch * gen / (time.perf_counter() - t)

    def perplexity(self, ids, bos, window):
        """As `r1 perplexity` defines it."""
        import numpy as np
        total, n = 0.0, 0
        step = window - len(bos)
        for at in range(0, len(ids), step):
            row = bos + ids[at:at + step]
            if len(row) < 2:
                break
            self.clear()
            self.decode(row, list(range(len(row))), [0] * len(row), [1] * len(row))
            for i in range(len(row) - 1):
                x = self.logits(i).astype(np.float64)
                x -= x.max()
                total += np.log(np.exp(x).sum()) - x[row[i + 1]]
                n += 1
        return float(np.exp(total / n))


def pairs(runs, ours, theirs):
    """[(ours, theirs)], measured in turns."""
    return [(ours(), theirs()) for _ in range(runs)]


def summary(rows):
    """Median and best of each side, and the median of the neighbours' ratios."""
    a, b = [r[0] for r in rows], [r[1] for r in rows]
    return {"r1": statistics.median(a), "r1_best": max(a), "peer": statistics.median(b),
            "peer_best": max(b), "ratio": statistics.median(x / y for x, y in rows)}


def batched(r, batch):
    return next(b["decode_tok_s"] for b in r["batched"] if b["batch"] == batch)


# What is measured of a model: (name, kinds of weights or None for all, ours, theirs).
MEASURES = [
    ("prompt of 512", None,
     lambda m, t: r1_bench(m, t, "-p", 512, "-n", 1, "-b", 1)["prompt_tok_s"],
     lambda l: l.prompt_rate(512)),
    ("decode", None,
     lambda m, t: r1_bench(m, t, "-p", 1, "-n", 128, "-b", 1)["decode_tok_s"],
     lambda l: l.decode_rate(1, 128)),
    ("decode of 64 that share a prompt of 64", ("Q4_0", "Q8_0", "BF16"),
     lambda m, t: batched(r1_bench(m, t, "-p", 64, "-n", 96, "-b", 64), 64),
     lambda l: l.many().batch_rate(64, 64, 96)),
    ("decode behind 7000 tokens", ("Q8_0",),
     lambda m, t: r1_bench(m, t, "-p", 1, "-n", 32, "-b", 1, "--context", 7000)["decode_tok_s"],
     lambda l: l.decode_rate(7000, 32)),
]


def measure_model(path, kind, args, say):
    """Rows of the table for one model file."""
    peer = Llama(path, args.threads)
    rows = []
    for name, kinds, ours, theirs in MEASURES:
        if kinds is None or kind in kinds:
            s = summary(pairs(args.runs, lambda: ours(path, args.threads), lambda: theirs(peer)))
            rows.append((kind, name, s))
            say(f"{kind:6} {name:40} r1 {s['r1']:8.1f} (best {s['r1_best']:8.1f})   llama.cpp "
                f"{s['peer']:8.1f} (best {s['peer_best']:8.1f})   {s['ratio']:.2f}x")
    peer.close()
    return rows


def llama(args):
    for path in args.paths:
        measure_model(path, kind_of(path), args, lambda line: print(line, flush=True))


def kind_of(path):
    """The dtype of most of a model's weights."""
    out = subprocess.run([R1, "inspect", path, "--json"], check=True, capture_output=True,
                         text=True).stdout
    count = {}
    for t in json.loads(out)["tensors"]:
        n = 1
        for d in t["shape"]:
            n *= d
        if len(t["shape"]) > 1 and "embed" not in t["name"] and "embd" not in t["name"]:
            count[t["dtype"]] = count.get(t["dtype"], 0) + n
    return max(count, key=count.get)


# ---- The whole table of inference ---------------------------------------------------------------

KINDS = [("Q4_0", []), ("Q4_1", []), ("Q8_0", []), ("Q4_K", []), ("BF16", [])]
SEVEN_B = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 3584,
           "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
           "head_dim": 128, "intermediate_size": 18944, "vocab_size": 49152,
           "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
           "tie_word_embeddings": False, "hidden_act": "silu"}
SMOLLM2_WEIGHTS, SMOLLM2_HEAD = 106_168_320, 28_311_552  # of layers; of the head
PASSAGE = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/math.md", "README.md"]


def run(*command):
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL)


def bench_files(source, folder):
    """One file a kind of weights, made by r1 from the source; both programs read the same files."""
    os.makedirs(folder, exist_ok=True)
    files = {}
    for kind, options in KINDS:
        files[kind] = f"{folder}/{kind.lower()}.gguf"
        if not os.path.exists(files[kind]):
            if kind == "BF16":
                run(R1, "convert", source, files[kind], "--type", kind)
            else:
                run(R1, "quantize", source, files[kind], "--type", kind, *options)
    return files


def seven_b(source, folder, args, bandwidth, say):
    """Decoding of a 7B shape in Q4_K: bound by memory."""
    path = f"{folder}/seven-b.gguf"
    if not os.path.exists(path):
        config = f"{folder}/seven-b.json"
        with open(config, "w") as f:
            json.dump(SEVEN_B, f)
        run(R1, "create", config, path, "--type", "Q4_K", "--tokenizer", source)
    peer = Llama(path, args.threads, n_ctx=512)
    s = summary(pairs(args.runs, lambda: r1_bench(path, args.threads, "-p", 1, "-n", 16, "-b", 1)
                      ["decode_tok_s"], lambda: peer.decode_rate(1, 16)))
    peer.close()
    read = os.path.getsize(path) * s["r1"] / 1e9
    say(f"7B shape, Q4_K: r1 {s['r1']:.2f} tok/s, llama.cpp {s['peer']:.2f}, {s['ratio']:.2f}x; "
        f"{read:.1f} GB/s of {bandwidth:.1f}")
    return s, read


def passage_ids(model):
    """The same text for both: the project's own pages."""
    text = "\n".join(open(p, encoding="utf-8").read() for p in PASSAGE)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as f:
        f.write(text)
    out = subprocess.run([R1, "tokenize", model, "--file", f.name, "--json"], check=True,
                         capture_output=True, text=True).stdout
    return f.name, json.loads(out)["ids"]


def first_token(path, args):
    """Seconds from an open file in the page cache to the first token of a short prompt."""
    def theirs():
        t = time.perf_counter()
        peer = Llama(path, args.threads, n_ctx=2048)
        peer.fill(8)
        t = time.perf_counter() - t
        peer.close()
        return t

    def ours():
        return r1_bench(path, args.threads, "-p", 8, "-n", 1, "-b", 1)["first_token_s"]
    return summary([(1 / ours(), 1 / theirs()) for _ in range(args.runs)])


def write_between(path, name, lines):
    """Replace what stands between the page's marks `<!-- NAME -->` and `<!-- end NAME -->`."""
    page = open(path, encoding="utf-8").read()
    begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
    i, j = page.index(begin) + len(begin), page.index(end)
    with open(path, "w", encoding="utf-8") as f:
        f.write(page[:i] + "\n".join(lines) + "\n" + page[j:])


def share_of_limit(kind, name, rate, path, limits):
    """Of the machine's: bytes read a token of one sequence, or operations a second of many rows."""
    if name.startswith("decode") and "of 64" not in name:
        return os.path.getsize(path) * rate / 1e9 / limits["read_gb_s"]
    weights = SMOLLM2_WEIGHTS + (SMOLLM2_HEAD if name.startswith("decode") else 0)
    return 2 * weights * rate / 1e9 / limits["bf16_gflops" if kind == "BF16" else "int8_gops"]


def table(args):
    def say(line):
        print(line, flush=True)
    source = args.paths[0]
    folder = args.folder
    files = bench_files(source, folder)
    limits = json.loads(subprocess.run([args.limits], check=True, capture_output=True,
                                       text=True).stdout)
    say(f"limits: {limits}")
    rows, extra = [], []
    for kind, path in files.items():
        rows += measure_model(path, kind, args, say)
        s = first_token(path, args)
        extra.append(f"| {kind} | load to first token, warm | {1 / s['r1']:.3f} s | "
                     f"{1 / s['peer']:.3f} s | {s['ratio']:.2f} | |")
        say(extra[-1])
    text, ids = passage_ids(files["Q8_0"])
    quality = []
    for kind, path in files.items():
        ours = json.loads(subprocess.run([R1, "perplexity", path, text, "--json"], check=True,
                                         capture_output=True, text=True).stdout)["perplexity"]
        peer = Llama(path, args.threads, n_ctx=512)
        theirs = peer.perplexity(ids, [], 512)
        peer.close()
        change = 100 * (ours / theirs - 1)
        quality.append(f"| {kind} | {ours:.4f} | {theirs:.4f} | {change:+.2f} % |")
        say(quality[-1])
    os.unlink(text)
    s7, read = seven_b(source, folder, args, limits["read_gb_s"], say)
    lines = ["| weights | what | r1 median (best) | llama.cpp median (best) | ratio | limit |",
             "|---|---|---|---|---|---|"]
    for kind, name, s in rows:
        bound = 100 * share_of_limit(kind, name, s["r1"], files[kind], limits)
        lines.append(f"| {kind} | {name} | {s['r1']:.0f} ({s['r1_best']:.0f}) tok/s | "
                     f"{s['peer']:.0f} ({s['peer_best']:.0f}) tok/s | {s['ratio']:.2f} | "
                     f"{bound:.0f} % |")
    lines += extra
    lines.append(f"| Q4_K | decode, 7B shape | {s7['r1']:.2f} ({s7['r1_best']:.2f}) tok/s | "
                 f"{s7['peer']:.2f} ({s7['peer_best']:.2f}) tok/s | {s7['ratio']:.2f} | "
                 f"{100 * read / limits['read_gb_s']:.0f} % |")
    share = 100 * read / limits["read_gb_s"]
    bounds = (f"{limits['read_gb_s']:.0f} GB/s read, {limits['f32_gflops']:.0f} GFLOP/s in F32, "
              f"{limits['bf16_gflops']:.0f} in BF16, {limits['int8_gops']:.0f} GOP/s in INT8")
    lines += ["", f"The 7B shape reads {read:.1f} GB/s, {share:.0f} % of what {args.threads} "
              f"threads can read. Limits of the machine, measured in the same run: {bounds}.", "",
              "| weights | perplexity, r1 | llama.cpp | difference |",
              "|---|---|---|---|"] + quality
    write_between("docs/performance.md", "inference", lines)


# ---- Training -----------------------------------------------------------------------------------

SHAPES = ["4x8x128", "8x16x256:0.001"]  # prompts x samples x tokens, and beta
PARAMETERS = SMOLLM2_WEIGHTS + SMOLLM2_HEAD + 61 * 576
AT_ONCE = 32  # sequences of a forward and backward pass of TRL's


def peak_mb():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def torch_child(model, threads, steps):
    """Optimizer steps on 4 x 512 tokens: transformers, all BF16."""
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(threads)
    m = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    m.train()
    opt = torch.optim.AdamW(m.parameters(), lr=1e-5, fused=True)
    x = torch.randint(100, m.config.vocab_size - 100, (4, 512))
    times = []
    for _ in range(steps):
        t = time.perf_counter()
        m(input_ids=x, labels=x).loss.backward()
        torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        times.append(time.perf_counter() - t)
    return {"seconds": times, "peak_mb": peak_mb()}


def parse_shape(text):
    sizes, _, beta = text.partition(":")
    prompts, group, tokens = map(int, sizes.split("x"))
    return prompts, group, tokens, float(beta or 0)


def questions():
    return [f"What is {i} plus {i + 3}? Explain at length." for i in range(64)]


def trl_child(model, threads, steps, shape):
    """Steps of TRL's GRPOTrainer as it is set by default, in BF16, completions of full length."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer
    torch.set_num_threads(threads)
    prompts, group, tokens, beta = parse_shape(shape)
    times = []

    def reward(completions, **_):
        return [float(len(c) % 7) for c in completions]

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.since = time.perf_counter()

        def on_step_end(self, *_, **__):
            times.append(time.perf_counter() - self.since)
    tok = AutoTokenizer.from_pretrained(model)
    tok.pad_token = tok.pad_token or tok.eos_token
    batch = min(AT_ONCE, prompts * group)
    with tempfile.TemporaryDirectory() as d:
        cfg = GRPOConfig(output_dir=d, per_device_train_batch_size=batch, num_generations=group,
                         gradient_accumulation_steps=prompts * group // batch, bf16=True,
                         max_completion_length=tokens, beta=beta, max_steps=steps, use_cpu=True,
                         report_to=[], save_strategy="no", logging_steps=1,
                         generation_kwargs={"min_new_tokens": tokens},
                         model_init_kwargs={"dtype": "bfloat16"})
        GRPOTrainer(model=model, reward_funcs=reward, args=cfg, processing_class=tok,
                    train_dataset=Dataset.from_list([{"prompt": p} for p in questions()]),
                    callbacks=[Clock()]).train()
    return {"seconds": times, "peak_mb": peak_mb()}


def child(args):
    """One run of a peer; the last line of its output is for the parent."""
    kind, model, steps, *more = args.paths
    run_of = {"torch": torch_child, "trl": trl_child}[kind]
    print(json.dumps(run_of(model, args.threads, int(steps), *more)))


def peer_run(args, kind, steps, *more):
    out = subprocess.run([sys.executable, os.path.abspath(__file__), "child", kind, args.paths[0],
                          str(steps), *more, "-t", str(args.threads)], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return json.loads(out.splitlines()[-1])


def settled(values):
    """The median without the first, if there are more."""
    return statistics.median(values[1:] or values)


def r1_run(args, kind, recipe, lines, *overrides):
    """The metrics of every step of a short run on `lines`."""
    with tempfile.TemporaryDirectory() as d:
        with open(f"{d}/data.jsonl", "w", encoding="utf-8") as f:
            f.writelines(json.dumps(line) + "\n" for line in lines)
        out = subprocess.run([R1, kind, recipe, "--json", "--store", f"{d}/runs.db",
                              f"output={d}/out", f"data={d}/data.jsonl", f"model={args.paths[0]}",
                              f"threads={args.threads}", *overrides], check=True,
                             capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [r for r in rows if "step_time" in r]


def row(name, ours, theirs, unit, ratio):
    return f"| {name} | {ours:.{1 if ours < 100 else 0}f} {unit} | " \
           f"{theirs:.{1 if theirs < 100 else 0}f} {unit} | {ratio:.2f} |"


def torch_cmd(args):
    """Rows of the table: supervised steps, packed to 512 tokens."""
    # Documents much longer than 512 tokens: every row of the batch is full, as the peer's are.
    rng = random.Random(1)
    words = [f"{a}{b}" for a in ("in", "re", "con", "over", "un")
             for b in ("form", "act", "stand", "time", "line")]
    lines = [{"text": " ".join(rng.choice(words) for _ in range(4000))} for _ in range(16)]
    found = []
    for _ in range(args.runs):
        ours = r1_run(args, "sft", args.recipe or "recipes/bench-sft.json", lines,
                      f"steps={args.steps}")
        theirs = peer_run(args, "torch", args.steps)
        found.append((settled([r["tokens_per_s"] for r in ours]),
                      2048 / settled(theirs["seconds"]), ours[-1]["mem/peak_mb"],
                      theirs["peak_mb"]))
        print(f"SFT: r1 {found[-1][0]:.0f} tokens/s, {found[-1][2]:.0f} MB; PyTorch "
              f"{found[-1][1]:.0f} tokens/s, {found[-1][3]:.0f} MB", flush=True)
    ours, theirs, our_mb, their_mb = (statistics.median(f[i] for f in found) for i in range(4))
    ratio = statistics.median(f[0] / f[1] for f in found)
    return [row("SFT, 4 × 512 tokens packed", ours, theirs, "tok/s", ratio),
            row("its peak memory", our_mb, their_mb, "MB", our_mb / their_mb)]


def trl_cmd(args):
    """Rows of the table: steps of GRPO, their memory, and the rate of their updates."""
    lines = [{"prompt": p, "answer": {"bytes": 400}, "verifier": "length"} for p in questions()]
    limits = json.loads(subprocess.run([args.limits, str(args.threads)], check=True,
                                       capture_output=True, text=True).stdout)
    table = []
    for shape in args.shape or SHAPES:
        prompts, group, tokens, beta = parse_shape(shape)
        found = []
        for _ in range(args.runs):
            ours = r1_run(args, "grpo", args.recipe or "recipes/bench-grpo.json", lines,
                          f"prompts={prompts}", f"num_generations={group}", f"beta={beta}",
                          f"max_completion_length={tokens}", f"steps={args.steps}")
            theirs = peer_run(args, "trl", args.steps, shape)
            found.append((settled([r["step_time"] for r in ours]), settled(theirs["seconds"]),
                          ours[-1]["mem/peak_mb"], theirs["peak_mb"],
                          settled([r["tokens_per_s/update"] for r in ours])))
            print(f"GRPO {shape}: r1 {found[-1][0]:.1f} s, {found[-1][2]:.0f} MB, update "
                  f"{found[-1][4]:.0f} tokens/s; TRL {found[-1][1]:.1f} s, {found[-1][3]:.0f} MB",
                  flush=True)
        ours, theirs, our_mb, their_mb, rate = (statistics.median(f[i] for f in found)
                                                for i in range(5))
        name = f"GRPO step, {prompts} × {group} × {tokens} tokens, β = {beta:g}"
        table.append(row(name, ours, theirs, "s", statistics.median(f[1] / f[0] for f in found)))
        table.append(row("its peak memory", our_mb, their_mb, "MB", our_mb / their_mb))
        did = 6 * PARAMETERS * rate * 1e-9  # of completions alone, without attention
        table.append(f"| its update, of the BF16 limit of {limits['bf16_gflops']:.0f} GFLOP/s | "
                     f"{100 * did / limits['bf16_gflops']:.0f} % | | |")
    return table


TRAIN_HEAD = ["| SmolLM2-135M, BF16, {} threads | r1 | peer | ratio |", "|---|---|---|---|"]


def train(args, *parts):
    lines = [line.format(args.threads) for line in TRAIN_HEAD]
    for part in parts or (torch_cmd, trl_cmd):
        lines += part(args)
    print("\n".join(lines))
    if args.write:
        write_between("docs/performance.md", "training", lines)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("peer", choices=["table", "llama", "train", "torch", "trl", "child"])
    p.add_argument("paths", nargs="+")
    p.add_argument("-t", "--threads", type=int, default=2)
    p.add_argument("-r", "--runs", type=int, default=5)
    p.add_argument("--recipe")
    p.add_argument("--steps", type=int, default=3, help="of a run of training")
    p.add_argument("--shape", action="append", help="of a step of GRPO: PROMPTSxGROUPxTOKENS:BETA")
    p.add_argument("--write", action="store_true", help="the table of `train`: into "
                   "docs/performance.md")
    p.add_argument("--folder", default=os.path.expanduser("~/.cache/r1-bench"),
                   help="where the files of `table` are kept")
    p.add_argument("--limits", default="build-test/tests/limits",
                   help="the program that measures the machine")
    args = p.parse_args()
    {"table": table, "llama": llama, "child": child, "train": train,
     "torch": lambda a: train(a, torch_cmd), "trl": lambda a: train(a, trl_cmd)}[args.peer](args)


if __name__ == "__main__":
    sys.exit(main())

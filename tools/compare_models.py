#!/usr/bin/env python3
"""Make random models of every family with transformers and compare what r1 makes of them.

    tools/compare_models.py ./r1 [--models N] [--seed S] [--family llama|qwen2|deepseek_v3]

Each model has a shape, biases, ties, rope scaling, dtype and shards of its own.  Compared are
  - log-probabilities in F32, beyond the original context too, with transformers';
  - greedy decoding with a cache: every token is the likeliest there;
  - the model as a GGUF by `r1 convert` with llama.cpp, where llama-cpp-python is there and knows
    the shape, and as a directory made from that GGUF with transformers;
  - every quantised form in F32 with transformers on the weights that gguf-py dequantises.
Exits 1 when one differs by more than a limit.  Needs torch, transformers and gguf.
"""
import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file

import gen_golden_model as golden

try:
    import llama_cpp
except ImportError:
    llama_cpp = None

LIMIT = 1e-4           # F32 against F32, of a log-probability
LIMIT_LLAMA = 2e-2     # the peer rounds keys and values, and products of matrices, to F16
LIMIT_BLOCKS = 0.25    # its inputs have 8 bits, and attention in these models is sharp
TYPES = ["Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL"]


def rope(rng, kind, theta):
    r = {"rope_type": kind, "rope_theta": theta}
    if kind == "default":
        return r
    r["factor"] = rng.choice([2.0, 4.0, 8.0, 40.0])
    if kind == "llama3":
        r |= {"low_freq_factor": 1.0, "high_freq_factor": rng.choice([2.0, 4.0]),
              "original_max_position_embeddings": rng.choice([24, 64, 128])}
    if kind == "yarn":
        r |= {"original_max_position_embeddings": rng.choice([24, 64, 128]),
              "beta_fast": rng.choice([32.0, 16.0]), "beta_slow": 1.0}
    return r


def shape(rng, family):
    """Keywords of the configuration, and its class's name."""
    wide = rng.random() < 0.3  # rows of whole blocks of 256
    width = 256 if wide else rng.choice([32, 64, 96, 160])
    c = dict(num_hidden_layers=rng.randrange(1, 5), hidden_size=width, bos_token_id=0,
             eos_token_id=0, intermediate_size=256 if wide else rng.choice([32, 64, 96, 224]),
             vocab_size=rng.choice([61, 64, 90]), max_position_embeddings=512,
             rms_norm_eps=rng.choice([1e-5, 1e-6]), tie_word_embeddings=rng.random() < 0.4)
    theta = rng.choice([1e4, 5e5, 1e6])
    if family == "deepseek_v3":
        groups = rng.choice([1, 2, 4])
        experts = groups * rng.choice([2, 3, 4])
        used_groups = rng.randrange(1, groups + 1)
        heads = rng.choice([2, 3, 4])
        c |= dict(
            tie_word_embeddings=False, num_attention_heads=heads, num_key_value_heads=heads,
            q_lora_rank=rng.choice([None, 24, 48]), kv_lora_rank=rng.choice([16, 32, 96]),
            qk_nope_head_dim=rng.choice([8, 16, 32]), qk_rope_head_dim=rng.choice([8, 16, 32]),
            v_head_dim=rng.choice([8, 16, 24]), n_routed_experts=experts, n_group=groups,
            topk_group=used_groups, moe_intermediate_size=rng.choice([16, 32, 64]),
            num_experts_per_tok=rng.randrange(1, experts // groups * used_groups + 1),
            n_shared_experts=rng.choice([1, 2]), first_k_dense_replace=rng.randrange(0, 3),
            routed_scaling_factor=rng.choice([1.0, 2.5]), norm_topk_prob=rng.random() < 0.7,
            rms_norm_eps=1e-6,  # transformers' norms of latents have no other
            rope_parameters=rope(rng, rng.choice(["default", "yarn"]), 1e4))
        if c["rope_parameters"]["rope_type"] == "yarn":
            m = rng.choice([0.7, 1.0])
            c["rope_parameters"] |= {"mscale": m, "mscale_all_dim": m}
        return "DeepseekV3", c
    kv = rng.choice([1, 2, 3])
    heads = kv * rng.choice([1, 2, 4])
    c |= dict(num_key_value_heads=kv, num_attention_heads=heads,
              hidden_size=-(-width // heads) * heads)
    if family == "llama":
        c |= dict(attention_bias=rng.random() < 0.3, head_dim=rng.choice([8, 16, 32, 64]),
                  rope_parameters=rope(rng, rng.choice(["default", "linear", "llama3", "yarn"]),
                                       theta))
        return "Llama", c
    c["hidden_size"] = c["num_attention_heads"] * rng.choice([16, 32])
    c["rope_parameters"] = rope(rng, rng.choice(["default", "yarn"]), theta)
    return "Qwen2", c


def make(rng, family, out):
    prefix, options = shape(rng, family)
    cfg = getattr(transformers, prefix + "Config")(architectures=[prefix + "ForCausalLM"],
                                                   **options)
    model = golden.make_weights(cfg, rng.randrange(1 << 30))
    dtype = rng.choice([torch.float32, torch.float32, torch.bfloat16, torch.float16])
    shard = rng.choice(["5GB", "60KB", "20KB"])
    with torch.no_grad():
        for name, b in model.named_buffers():  # as DeepSeek has it, in F32
            if name.endswith("e_score_correction_bias"):
                b.copy_(b.float())
    model.to(dtype).save_pretrained(out, max_shard_size=shard)
    tokenizer = golden.make_tokenizer(cfg.vocab_size - rng.choice([0, 3]) if cfg.vocab_size > 61
                                      else cfg.vocab_size)
    golden.write_tokenizer(out, tokenizer)
    shape_text = {k: v for k, v in options.items() if k not in ("bos_token_id", "eos_token_id")}
    return cfg, tokenizer.get_vocab_size(), f"{family} {dtype} shards {shard} {shape_text}"


def run(*command):
    r = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:4]))}: exit {r.returncode}: "
                           f"{r.stderr.strip()[:400]}")
    return r.stdout


def of_transformers(peer, ids):
    with torch.no_grad():
        return peer(torch.tensor([ids])).logits[0].double().log_softmax(-1)


def of_r1(r1, model, ids):
    text = run(r1, "logprob", model, "--ids", ",".join(map(str, ids)), "--json", "-t", 2)
    return torch.tensor(json.loads(text)["logprobs"], dtype=torch.float64)


def chosen(lp, ids):
    return lp[:-1].gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]


def worst_of(peer, r1, model, sequences):
    """The largest difference, and the share of positions with one above the limit: where an expert
    is chosen by less than a rounding error, a few differ."""
    off = torch.cat([(chosen(of_transformers(peer, ids), ids) - of_r1(r1, model, ids)).abs()
                     for ids in sequences])
    return off.max().item(), (off > LIMIT).double().mean().item()


def greedy(peer, r1, model, prompt, tokens):
    """How far below the likeliest of so many tokens one is that r1 chose while decoding."""
    text = golden.TEXT[prompt % len(golden.TEXT)][:20]
    out = json.loads(run(r1, "run", model, "--raw", "-p", text, "--greedy", "-n", 60, "--compute",
                         "f32", "--kv", "f32", "--json", "-t", 2))
    head = json.loads(run(r1, "tokenize", model, text, "--json"))["ids"]
    ids = head + out["ids"]
    if len(ids) < len(head) + 2:
        return 0.0
    lp = of_transformers(peer, ids)[len(head) - 1:-1]
    lp[:, tokens:] = -torch.inf  # rows beyond the tokenizer's are never chosen
    taken = lp.gather(-1, torch.tensor(ids[len(head):])[:, None])[:, 0]
    return (lp.max(-1).values - taken).max().item()


def of_llama(path, sequences):
    peer = llama_cpp.Llama(str(path), n_ctx=512, logits_all=True, verbose=False, n_threads=2)
    for ids in sequences:
        peer.reset()
        peer.eval(ids)
        yield torch.tensor(peer.scores[:len(ids)]).double().log_softmax(-1)


def dequantised(path, like, out):
    """A directory like `like` with the weights of a GGUF as gguf-py reads them."""
    out.mkdir()
    for file in like.iterdir():
        if file.suffix == ".json" and "index" not in file.name:
            shutil.copy(file, out)
    cfg = transformers.AutoConfig.from_pretrained(like)
    tensors = {t.name: torch.from_numpy(np.array(gguf.dequantize(t.data, t.tensor_type)))
               for t in gguf.GGUFReader(path).tensors}
    w, names = {}, {v: k for k, v in golden.GGUF_NAMES.items()}
    for name, t in tensors.items():
        layer, part = "", name
        if name.startswith("blk."):
            _, i, part = name.split(".", 2)
            layer = f"model.layers.{i}."
        part, kind = part.rsplit(".", 1)
        if part == "exp_probs_b":
            w[layer + "mlp.gate.e_score_correction_bias"] = t
        elif part == "attn_k_b":
            v = tensors[name.replace("attn_k_b", "attn_v_b")]
            both = torch.cat([t.transpose(1, 2), v], 1)
            both = both.reshape(-1, cfg.kv_lora_rank).contiguous()
            w[layer + "self_attn.kv_b_proj.weight"] = both
        elif part.endswith("_exps"):
            for e, one in enumerate(t):
                w[f"{layer}mlp.experts.{e}.{part[4:-5]}_proj.weight"] = one.clone()
        elif part not in ("attn_v_b", "rope_freqs"):
            if cfg.model_type == "llama" and part in ("attn_q", "attn_k"):
                heads = t.shape[0] // cfg.head_dim
                t = t.reshape(heads, cfg.head_dim // 2, 2, -1).transpose(1, 2).reshape(t.shape)
            w[f"{layer}{names[part]}.{kind}"] = t.contiguous()
    golden.save_file(w, out / "model.safetensors", {"format": "pt"})
    return golden.load_peer(out, torch.float32)


def llama_knows(cfg):
    if cfg.model_type != "deepseek_v3":
        return True
    # It takes V2-Lite for the model without q_lora_rank, by 27 layers, and needs dense layers.
    return bool(cfg.q_lora_rank) and cfg.first_k_dense_replace < cfg.num_hidden_layers


def check(r1, rng, family, folder, quantised):
    hf = folder / "hf"
    cfg, tokens, label = make(rng, family, hf)
    peer = golden.load_peer(hf, torch.float32)
    lengths = (2, 33, rng.randrange(100, 300))
    sequences = [[rng.randrange(cfg.vocab_size) for _ in range(n)] for n in lengths]
    found = []

    def expect(what, value, limit):
        found.append((what, value, limit))

    def same(what, peer, model):
        worst, share = worst_of(peer, r1, model, sequences)
        if cfg.model_type == "deepseek_v3" and worst > LIMIT:
            expect(what + ", share of positions", share, 0.02)
        else:
            expect(what, worst, LIMIT)

    same("directory", peer, hf)
    expect("greedy", greedy(peer, r1, hf, rng.randrange(4), tokens), LIMIT)
    run(r1, "convert", hf, folder / "m.gguf", "--type", "F32")
    same("gguf", peer, folder / "m.gguf")
    expect("greedy gguf", greedy(peer, r1, folder / "m.gguf", rng.randrange(4), tokens), LIMIT)
    if llama_cpp and llama_knows(cfg):
        off = torch.cat([(chosen(lp, ids) - chosen(of_transformers(peer, ids), ids)).abs()
                         for lp, ids in zip(of_llama(folder / "m.gguf", sequences), sequences)])
        expect("llama.cpp, median", off.median().item(), LIMIT_LLAMA)
        expect("llama.cpp, largest", off.quantile(0.95).item(), 5 * LIMIT_LLAMA)
    run(r1, "convert", folder / "m.gguf", folder / "back", "--shard", 1)
    back = golden.load_peer(folder / "back", torch.float32)
    expect("back", max((of_transformers(back, ids) - of_transformers(peer, ids)).abs().max().item()
                       for ids in sequences), 1e-6)
    for t in rng.sample(TYPES, quantised):
        file = folder / f"{t}.gguf"
        run(r1, "quantize", rng.choice([hf, folder / "m.gguf"]), file, "--type", t)
        same(t, dequantised(file, hf, folder / t), file)
        if llama_cpp and llama_knows(cfg):
            off = torch.cat([(chosen(lp, ids) - of_r1(r1, file, ids)).abs() for lp, ids
                             in zip(of_llama(file, sequences), sequences)])
            expect(f"{t} in llama.cpp, median", off.median().item(), LIMIT_BLOCKS)
    bad = [f"{w} {v:.1e} above {limit:g}" for w, v, limit in found if not v <= limit]
    print(("DIFFERS " if bad else "same ") + label)
    print("   " + ("; ".join(bad) or ", ".join(f"{w} {v:.0e}" for w, v, _ in found)), flush=True)
    return bool(bad)


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("r1")
    ap.add_argument("--models", type=int, default=12)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--family", choices=["llama", "qwen2", "deepseek_v3"])
    ap.add_argument("--types", type=int, default=3, help="quantised forms of each model")
    a = ap.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    bad = 0
    for i in range(a.models):
        rng = random.Random(a.seed * 10007 + i)
        family = a.family or ["llama", "qwen2", "deepseek_v3"][i % 3]
        with tempfile.TemporaryDirectory() as folder:
            try:
                bad += check(a.r1, rng, family, Path(folder), a.types)
            except RuntimeError as e:
                print(f"FAILED {family} number {i} of seed {a.seed}: {e}", flush=True)
                bad += 1
    print(f"{a.models} models, {bad} differ")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()

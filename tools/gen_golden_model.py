#!/usr/bin/env python3
"""Write tests/golden/model-*: tiny random models of every family and what they compute.

Usage: python3 tools/gen_golden_model.py [--only NAME]... [DIRECTORY], tests/golden by default
       python3 tools/gen_golden_model.py --check MODEL GOLDEN

Each directory holds a model in Hugging Face form (F32), golden.json (sequences with their
log-probabilities and entropies; how far transformers in BF16 is from them; training cases with
their losses) and grads.safetensors (the gradient of every parameter, named CASE:PARAMETER).
Loss of a case:
    -sum over documents d and targets t of weight[d][t] * log p(target t of d)
Some models are written again as GGUF, one in FP8 (no cases).  Expectations come from F64 models
written out below; transformers, which loads the same directory in F32, must agree with them, and
so must llama.cpp with the GGUF files where llama-cpp-python is there.

--check: transformers loads MODEL, a directory that r1 saved, and must find what GOLDEN expects.
Made with torch 2.13.0, transformers 5.23.0 (a, b) and 5.1.0, tokenizers, gguf 0.19.0,
safetensors 0.8.0.
"""
import argparse
import json
import math
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer

SPECIAL = ["<|endoftext|>", "<think>", "</think>"]
TEXT = ["the quick brown fox jumps over the lazy dog", "one and two and three is six 0123456789",
        "then there is the other thing, and that is it.", "how now brown cow? (a + b) * c - d = 42"]
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
        "original_max_position_embeddings": 32, "beta_fast": 8.0, "beta_slow": 1.0}
DEEPSEEK = dict(
    hidden_size=16, num_attention_heads=3, num_key_value_heads=3, intermediate_size=40,
    moe_intermediate_size=10, num_hidden_layers=2, n_routed_experts=8, n_group=4, topk_group=2,
    num_experts_per_tok=3, first_k_dense_replace=1, kv_lora_rank=12, qk_nope_head_dim=6,
    qk_rope_head_dim=8, v_head_dim=10, vocab_size=61, max_position_embeddings=128,
    rms_norm_eps=1e-6, scoring_func="sigmoid", topk_method="noaux_tc")
# name: (seed, transformers' prefix, configuration, ids beyond the tokenizer's)
MODELS = {
    "a": (11, "Llama", dict(
        hidden_size=32, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=48, vocab_size=97, tie_word_embeddings=True, rms_norm_eps=1e-5,
        max_position_embeddings=128, attention_bias=False, rope_parameters=PLAIN), 0),
    "b": (12, "Llama", dict(
        hidden_size=48, num_attention_heads=6, num_key_value_heads=2, head_dim=16,
        intermediate_size=64, vocab_size=61, tie_word_embeddings=False, rms_norm_eps=1e-6,
        max_position_embeddings=256, attention_bias=False,
        rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0,
                         "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 32}), 0),
    "bias": (13, "Llama", dict(
        hidden_size=16, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=24, vocab_size=61, tie_word_embeddings=True, rms_norm_eps=1e-5,
        max_position_embeddings=128, attention_bias=True,
        rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}), 0),
    "qwen2": (14, "Qwen2", dict(
        hidden_size=24, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40,
        vocab_size=64, tie_word_embeddings=False, rms_norm_eps=1e-6,
        max_position_embeddings=128,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}), 3),
    "qwen2-yarn": (15, "Qwen2", dict(
        hidden_size=32, num_attention_heads=2, num_key_value_heads=1, intermediate_size=24,
        vocab_size=61, tie_word_embeddings=True, rms_norm_eps=1e-6,
        max_position_embeddings=128, rope_parameters=YARN), 0),
    "deepseek": (16, "DeepseekV3", DEEPSEEK | dict(
        q_lora_rank=14, n_shared_experts=2, routed_scaling_factor=2.5, norm_topk_prob=True,
        rope_parameters=YARN | {"mscale": 1.0, "mscale_all_dim": 1.0}), 0),
    "deepseek-plain": (17, "DeepseekV3", DEEPSEEK | dict(
        q_lora_rank=None, n_shared_experts=1, routed_scaling_factor=1.5, norm_topk_prob=False,
        n_group=1, topk_group=1, intermediate_size=136, rope_parameters=PLAIN), 0),
}
GGUF = ("a", "qwen2", "qwen2-yarn", "deepseek", "deepseek-plain")


# ---- The reference, F64 ----------------------------------------------------------------------


def rope_dim(cfg):
    return getattr(cfg, "head_dim", None) or cfg.hidden_size // cfg.num_attention_heads


def temperature(factor, m):
    return 0.1 * m * math.log(factor) + 1


def rotary(cfg):
    """Frequencies, rounded to F32 at the end as every implementation keeps them; what cosines
    and sines are multiplied with."""
    rope, dim = cfg.rope_parameters, rope_dim(cfg)
    half, kind, factor = dim // 2, rope["rope_type"], rope.get("factor", 1.0)
    f = rope["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
    scale = 1.0
    if kind == "linear":
        f = f / factor
    if kind == "llama3":
        turns = rope["original_max_position_embeddings"] * f / (2 * torch.pi)
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        smooth = ((turns - low) / (high - low)).clamp(0, 1)
        f = (1 - smooth) * f / factor + smooth * f
    if kind == "yarn":
        def dimension(turns):
            wave = rope["original_max_position_embeddings"] / (turns * 2 * math.pi)
            return dim * math.log(wave) / (2 * math.log(rope["rope_theta"]))
        low = max(math.floor(dimension(rope["beta_fast"])), 0)
        high = min(math.ceil(dimension(rope["beta_slow"])), dim - 1)
        ramp = ((torch.arange(half, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
        f = ramp * f / factor + (1 - ramp) * f
        scale = temperature(factor, rope.get("mscale", 1.0))
        if rope.get("mscale_all_dim"):
            scale /= temperature(factor, rope["mscale_all_dim"])
    return f.float().double(), scale


def rms(x, g, eps):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * g


def rotate(x, angle, scale, pairs=False):
    """x (T,heads,Dh): halves, or neighbours."""
    c, s = scale * angle.cos()[:, None], scale * angle.sin()[:, None]
    half = x.shape[-1] // 2
    a, b = (x[..., ::2], x[..., 1::2]) if pairs else (x[..., :half], x[..., half:])
    a, b = a * c - b * s, b * c + a * s
    return torch.stack([a, b], -1).flatten(-2) if pairs else torch.cat([a, b], -1)


def linear(p, name, x):
    y = x @ p[name + ".weight"].T
    return y + p[name + ".bias"] if name + ".bias" in p else y


def attend(q, k, v, scale):
    """q (T,H,*), k and v (T,G,*)."""
    k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
    future = torch.ones(len(q), len(q), dtype=torch.bool).triu(1)
    s = torch.einsum("qhd,khd->hqk", q, k) * scale
    s = s.masked_fill(future, -torch.inf).softmax(-1)
    return torch.einsum("hqk,khd->qhd", s, v).flatten(1)


def attention(p, cfg, x, angle, scale):
    n, dh = len(x), rope_dim(cfg)
    q, k, v = (linear(p, f"self_attn.{c}_proj", x).view(n, -1, dh) for c in "qkv")
    y = attend(rotate(q, angle, scale), rotate(k, angle, scale), v, dh**-0.5)
    return linear(p, "self_attn.o_proj", y)


def latent_attention(p, cfg, x, angle, scale):
    """Written in the expanded form of the DeepSeek-V2 paper (2405.04434, eq. 9-19)."""
    n, heads, nope = len(x), cfg.num_attention_heads, cfg.qk_nope_head_dim
    rank, pe, vd, rope = cfg.kv_lora_rank, cfg.qk_rope_head_dim, cfg.v_head_dim, cfg.rope_parameters
    if cfg.q_lora_rank:
        q = rms(linear(p, "self_attn.q_a_proj", x), p["self_attn.q_a_layernorm.weight"], 1e-6)
        q = linear(p, "self_attn.q_b_proj", q)
    else:
        q = linear(p, "self_attn.q_proj", x)
    q = q.view(n, heads, nope + pe)
    q = torch.cat([q[..., :nope], rotate(q[..., nope:], angle, scale, True)], -1)
    kv = linear(p, "self_attn.kv_a_proj_with_mqa", x)
    shared = rotate(kv[:, None, rank:], angle, scale, True).expand(n, heads, pe)
    c = rms(kv[:, :rank], p["self_attn.kv_a_layernorm.weight"], 1e-6)
    kv = linear(p, "self_attn.kv_b_proj", c).view(n, heads, nope + vd)
    weight = (nope + pe) ** -0.5
    if rope.get("mscale_all_dim"):
        weight *= temperature(rope["factor"], rope["mscale_all_dim"]) ** 2
    y = attend(q, torch.cat([kv[..., :nope], shared], -1), kv[..., nope:], weight)
    return linear(p, "self_attn.o_proj", y)


def feed_forward(p, name, x):
    gate = torch.nn.functional.silu(linear(p, name + ".gate_proj", x))
    return linear(p, name + ".down_proj", gate * linear(p, name + ".up_proj", x))


MARGINS = []  # between the last choice of an expert or group and the first that is left


def best(x, k):
    top = x.topk(min(k + 1, x.shape[-1]), -1)
    if k < x.shape[-1]:
        MARGINS.append((top.values[..., k - 1] - top.values[..., k]).min().item())
    return top.indices[..., :k]


def experts(p, cfg, x):
    """The router of DeepSeek-V3 (2412.19437, eq. 12-16, with groups of section 2.1.2)."""
    s = torch.sigmoid(linear(p, "mlp.gate", x))
    choice = s.detach() + p["mlp.gate.e_score_correction_bias"]
    groups = choice.view(len(x), cfg.n_group, -1)
    kept = best(groups.topk(2, -1).values.sum(-1), cfg.topk_group)
    mask = torch.zeros(groups.shape[:2], dtype=torch.bool).scatter(1, kept, True)
    left = groups.masked_fill(~mask[..., None], -torch.inf).flatten(1)
    chosen = best(left, cfg.num_experts_per_tok)
    w = s.gather(1, chosen)
    if cfg.norm_topk_prob:
        w = w / w.sum(-1, keepdim=True)
    w = torch.zeros_like(s).scatter(1, chosen, w * cfg.routed_scaling_factor)
    y = feed_forward(p, "mlp.shared_experts", x)
    for e in range(cfg.n_routed_experts):
        y = y + w[:, e, None] * feed_forward(p, f"mlp.experts.{e}", x)
    return y


def logits(w, cfg, ids):
    """(T,V) of one document."""
    f, scale = rotary(cfg)
    angle = torch.arange(len(ids), dtype=torch.float64)[:, None] * f
    deepseek = cfg.model_type == "deepseek_v3"
    x = w["model.embed_tokens.weight"][ids]
    for i in range(cfg.num_hidden_layers):
        p = {k.split(".", 3)[3]: v for k, v in w.items() if k.startswith(f"model.layers.{i}.")}
        h = rms(x, p["input_layernorm.weight"], cfg.rms_norm_eps)
        x = x + (latent_attention if deepseek else attention)(p, cfg, h, angle, scale)
        h = rms(x, p["post_attention_layernorm.weight"], cfg.rms_norm_eps)
        x = x + (experts(p, cfg, h) if "mlp.gate.weight" in p else feed_forward(p, "mlp", h))
    head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
    return rms(x, w["model.norm.weight"], cfg.rms_norm_eps) @ head.T


def score(z, ids, temperature):
    """Log-probabilities of ids[1:] and the entropies they were drawn from."""
    lp = (z[:-1] / temperature).log_softmax(-1)
    return lp.gather(-1, ids[1:, None])[:, 0], -(lp.exp() * lp).sum(-1)


def loss_of(forward, case):
    total = 0
    for ids, weight in zip(case["documents"], case["weights"]):
        ids = torch.tensor(ids)
        z = forward(ids)
        lp, _ = score(z, ids, case["temperature"])
        total = total - (torch.tensor(weight, dtype=z.dtype) * lp).sum()
    return total


# ---- Models ----------------------------------------------------------------------------------


def make_weights(cfg, seed):
    """Larger than a trained model's, so that attention is far from uniform."""
    g = torch.Generator().manual_seed(seed)
    model = AutoModelForCausalLM.from_config(cfg)
    with torch.no_grad():
        for name, p in model.named_parameters():
            r = torch.randn(p.shape, generator=g)
            if name.endswith(".bias"):
                p.copy_(0.4 * r)
            elif p.dim() == 1:
                p.copy_(1 + 0.2 * r)
            elif "embed" in name:
                p.copy_(0.3 * r)
            else:
                p.copy_(1.2 * r / p.shape[-1] ** 0.5)
        for name, b in model.named_buffers():
            if name.endswith("e_score_correction_bias"):  # scores are 0..1: no choice is below 0
                b.copy_(0.3 * torch.rand(b.shape, generator=g))
    return model


def make_tokenizer(vocab):
    """Only the bytes of TEXT have tokens: the vocabulary is smaller than 256."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=vocab, special_tokens=SPECIAL,
                                                    show_progress=False, min_frequency=1))
    assert t.get_vocab_size() == vocab, t.get_vocab_size()
    return t


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_tokenizer(out, tokenizer):
    tokenizer.save(str(out / "tokenizer.json"))
    write_json(out / "tokenizer_config.json",
               {"bos_token": SPECIAL[0], "eos_token": SPECIAL[0], "add_bos_token": False,
                "tokenizer_class": "PreTrainedTokenizerFast"})
    AutoTokenizer.from_pretrained(out)


def load_peer(path, dtype):
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager",
                                                experts_implementation="eager")


def peer_gradients(peer):
    """By the names of the file: transformers 5 keeps the experts of a layer in one tensor."""
    for name, p in peer.named_parameters():
        if name.endswith("experts.gate_up_proj"):
            for e, (gate, up) in enumerate(g.chunk(2) for g in p.grad):
                yield name.replace("gate_up_proj", f"{e}.gate_proj.weight"), gate
                yield name.replace("gate_up_proj", f"{e}.up_proj.weight"), up
        elif name.endswith("experts.down_proj"):
            for e, down in enumerate(p.grad):
                yield name.replace("down_proj", f"{e}.down_proj.weight"), down
        else:
            yield name, p.grad


def make_sequences(w, cfg, rng, peer, narrow):
    golden, worst, narrow_errors = [], 0.0, []
    for n, temperature in ((2, 1.0), (17, 1.0), (40, 0.7), (70, 1.0)):
        ids = torch.tensor(rng.integers(0, cfg.vocab_size, n))
        with torch.no_grad():
            lp, entropy = score(logits(w, cfg, ids), ids, temperature)
            lp_peer, _ = score(peer(ids[None]).logits[0], ids, temperature)
            lp_narrow, _ = score(narrow(ids[None]).logits[0].float(), ids, temperature)
        worst = max(worst, (lp - lp_peer).abs().max().item())
        narrow_errors.append((lp - lp_narrow).abs())
        golden.append({"ids": ids.tolist(), "temperature": temperature,
                       "logprobs": lp.tolist(), "entropies": entropy.tolist()})
    assert worst < 2e-5, worst
    narrow_errors = torch.cat(narrow_errors)
    error = {"max": narrow_errors.max().item(), "mean": narrow_errors.mean().item()}
    return golden, error, worst


def make_cases(w, cfg, rng, peer):
    # The documents of a case start alike, as a group's samples do; the third is unrelated.
    shared = rng.integers(0, cfg.vocab_size, 9).tolist()
    documents = [shared + rng.integers(0, cfg.vocab_size, 14).tolist(),
                 shared + rng.integers(0, cfg.vocab_size, 5).tolist(),
                 rng.integers(0, cfg.vocab_size, 21).tolist()]
    targets = sum(len(d) - 1 for d in documents)
    mean = [[1 / targets] * (len(d) - 1) for d in documents]
    weighted = [np.round(rng.standard_normal(len(d) - 1) * 0.1, 4).tolist() for d in documents]
    grads, cases = {}, []
    trained = {k: v for k, v in w.items() if v.requires_grad}
    for case_name, weights, temperature in (("mean", mean, 1.0), ("weighted", weighted, 0.8)):
        case = {"name": case_name, "temperature": temperature, "documents": documents,
                "weights": weights}
        loss = loss_of(lambda ids: logits(w, cfg, ids), case)
        found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
        for (k, v), g in zip(trained.items(), found):  # unused: an expert that no token chose
            grads[f"{case_name}:{k}"] = (torch.zeros_like(v) if g is None else g).float()
        peer.zero_grad()
        loss_of(lambda ids: peer(ids[None]).logits[0], case).backward()
        for k, p in peer_gradients(peer):
            g = grads[f"{case_name}:{k}"]
            assert (p - g).norm() <= 1e-4 * g.norm() + 1e-7, (case_name, k)
        cases.append(case | {"loss": loss.item()})
    return cases, grads


def make(root, name):
    seed, prefix, options, beyond = MODELS[name]
    cfg = getattr(transformers, prefix + "Config")(
        **(dict(num_hidden_layers=2, bos_token_id=0, eos_token_id=0,
                architectures=[prefix + "ForCausalLM"]) | options))
    out = root / f"model-{name}"
    out.mkdir(parents=True, exist_ok=True)
    make_weights(cfg, seed).save_pretrained(out)
    tokenizer = make_tokenizer(cfg.vocab_size - beyond)
    write_tokenizer(out, tokenizer)

    peer, narrow = load_peer(out, torch.float32), load_peer(out, torch.bfloat16)
    w = {k: v.double() for k, v in load_file(out / "model.safetensors").items()}
    for k, v in w.items():
        v.requires_grad_(not k.endswith("e_score_correction_bias"))
    rng = np.random.default_rng(seed)
    MARGINS.clear()
    golden = {}
    golden["sequences"], golden["bf16_error"], worst = make_sequences(w, cfg, rng, peer, narrow)
    golden["cases"], grads = make_cases(w, cfg, rng, peer)
    assert not MARGINS or min(MARGINS) > 1e-5, min(MARGINS)
    save_file(grads, out / "grads.safetensors")
    for file in out.glob("*.safetensors"):
        file.chmod(0o644)
    text = TEXT[0] + SPECIAL[1] + TEXT[3][:4]
    golden["text"] = {"text": text, "ids": tokenizer.encode(text).ids}
    write_json(out / "golden.json", golden)
    print(f"{out}: log-probabilities of transformers differ by at most {worst:.1e}")
    if name in GGUF:
        path = root / f"model-{name}.gguf"
        write_gguf(path, cfg, {k: v.detach().float().numpy() for k, v in w.items()}, tokenizer)
        if cfg.model_type != "deepseek_v3" or cfg.q_lora_rank:  # llama.cpp goes by layer counts
            check_gguf(path, golden)


# ---- FP8 -------------------------------------------------------------------------------------


def to_fp8(w):
    """Blocks of 128 x 128 with the scale that dequantisation multiplies by; and what that gives."""
    rows, cols = (math.ceil(n / 128) for n in w.shape)
    scale = torch.zeros(rows, cols)
    q = torch.zeros(w.shape, dtype=torch.float8_e4m3fn)
    for i in range(rows):
        for j in range(cols):
            at = np.s_[128 * i:128 * (i + 1), 128 * j:128 * (j + 1)]
            scale[i, j] = w[at].abs().max() / 448
            q[at] = (w[at] / scale[i, j]).to(torch.float8_e4m3fn)
    wide = scale.repeat_interleave(128, 0)[:w.shape[0]].repeat_interleave(128, 1)[:, :w.shape[1]]
    return q, scale, q.double() * wide.double()


def make_fp8(root, name="deepseek-plain", to="deepseek-fp8"):
    """The model again with FP8 linear layers, in two files, and a layer beyond the last one
    (multi-token prediction), which is to be left alone."""
    source, out = root / f"model-{name}", root / f"model-{to}"
    out.mkdir(parents=True, exist_ok=True)
    cfg = transformers.AutoConfig.from_pretrained(source)
    config = json.loads((source / "config.json").read_text())
    rope = config.pop("rope_parameters")  # the keys of transformers 4
    config |= {"rope_theta": rope["rope_theta"], "rope_scaling": None, "torch_dtype": "bfloat16",
               "num_nextn_predict_layers": 1, "quantization_config": {
                   "activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                   "weight_block_size": [128, 128]}}
    config.pop("dtype")
    write_json(out / "config.json", config)
    for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        (out / file).write_text((source / file).read_text())
    files, w = [{}, {}], {}
    for i, (k, v) in enumerate(load_file(source / "model.safetensors").items()):
        plain = v.dim() == 1 or any(s in k for s in ("embed", "lm_head", "mlp.gate.weight"))
        if plain:
            files[i % 2][k], w[k] = v, v.double()
        else:
            q, scale, w[k] = to_fp8(v)
            files[i % 2][k], files[(i + 1) % 2][k + "_scale_inv"] = q, scale
    files[1][f"model.layers.{cfg.num_hidden_layers}.enorm.weight"] = torch.ones(cfg.hidden_size)
    names = [f"model-{i + 1:05}-of-00002.safetensors" for i in range(2)]
    for part, file in zip(files, names):
        save_file(part, out / file)
    write_json(out / "model.safetensors.index.json",
               {"metadata": {}, "weight_map": {k: names[i] for i in range(2) for k in files[i]}})
    for file in names:
        (out / file).chmod(0o644)
    rng = np.random.default_rng(1)
    sequences = []
    MARGINS.clear()
    for n in (17, 60):
        ids = torch.tensor(rng.integers(0, cfg.vocab_size, n))
        lp, entropy = score(logits(w, cfg, ids), ids, 1.0)
        sequences.append({"ids": ids.tolist(), "temperature": 1.0, "logprobs": lp.tolist(),
                          "entropies": entropy.tolist()})
    assert min(MARGINS) > 1e-5
    write_json(out / "golden.json", {"sequences": sequences})


# ---- GGUF ------------------------------------------------------------------------------------

GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.q_b_proj": "attn_q_b", "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm", "self_attn.kv_b_proj": "attn_kv_b",
    "mlp.gate": "ffn_gate_inp", "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp", "mlp.shared_experts.down_proj": "ffn_down_shexp",
}


def gguf_tensors(cfg, w, split):
    """In order.  split: attn_k_b (transposed) and attn_v_b instead of attn_kv_b."""
    stacks = {}
    for name, a in w.items():
        part, kind = name.rsplit(".", 1)
        prefix = ""
        if name.startswith("model.layers."):
            _, _, i, part = part.split(".", 3)
            prefix = f"blk.{i}."
        if kind == "e_score_correction_bias":
            yield f"{prefix}exp_probs_b.bias", a
        elif part.startswith("mlp.experts."):
            _, _, e, which = part.split(".")
            stacks.setdefault(f"{prefix}ffn_{which[:-5]}_exps.weight", {})[int(e)] = a
        elif part == "self_attn.kv_b_proj" and split:
            a = a.reshape(cfg.num_attention_heads, -1, cfg.kv_lora_rank)
            yield f"{prefix}attn_k_b.weight", a[:, :cfg.qk_nope_head_dim].swapaxes(1, 2)
            yield f"{prefix}attn_v_b.weight", a[:, cfg.qk_nope_head_dim:]
        else:
            if cfg.model_type == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj"):
                # llama.cpp rotates neighbours: rows (2,Dh/2) of each head become (Dh/2,2).
                heads = a.shape[0] // cfg.head_dim
                a = a.reshape(heads, 2, cfg.head_dim // 2, -1).swapaxes(1, 2).reshape(a.shape)
            yield f"{prefix}{GGUF_NAMES[part]}.{kind}", a
    for name, parts in stacks.items():
        yield name, np.stack([parts[e] for e in range(len(parts))])


def write_deepseek_keys(g, cfg, split):
    rank, pe = cfg.kv_lora_rank, cfg.qk_rope_head_dim
    width = cfg.qk_nope_head_dim + pe
    if cfg.q_lora_rank:
        g.add_q_lora_rank(cfg.q_lora_rank)
    g.add_kv_lora_rank(rank)
    g.add_key_length(rank + pe if split else width)
    g.add_value_length(rank if split else cfg.v_head_dim)
    if split:
        g.add_key_length_mla(width)
        g.add_value_length_mla(cfg.v_head_dim)
    g.add_leading_dense_block_count(cfg.first_k_dense_replace)
    g.add_expert_feed_forward_length(cfg.moe_intermediate_size)
    g.add_expert_count(cfg.n_routed_experts)
    g.add_expert_used_count(cfg.num_experts_per_tok)
    g.add_expert_shared_count(cfg.n_shared_experts)
    g.add_expert_weights_scale(cfg.routed_scaling_factor)
    g.add_expert_weights_norm(cfg.norm_topk_prob)
    g.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    if cfg.n_group > 1:
        g.add_expert_group_count(cfg.n_group)
        g.add_expert_group_used_count(cfg.topk_group)


def write_rope_keys(g, cfg):
    rope = cfg.rope_parameters
    g.add_rope_freq_base(rope["rope_theta"])
    g.add_rope_dimension_count(rope_dim(cfg))
    if rope["rope_type"] == "yarn":
        g.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        g.add_rope_scaling_factor(rope["factor"])
        g.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        g.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        g.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
        if "mscale_all_dim" in rope:
            g.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])


def write_gguf(path, cfg, w, tokenizer):
    arch = {"deepseek_v3": "deepseek2"}.get(cfg.model_type, cfg.model_type)
    deepseek = arch == "deepseek2"
    split = deepseek and cfg.q_lora_rank is not None  # the other one has the older layout
    g = gguf.GGUFWriter(path, arch)
    g.add_block_count(cfg.num_hidden_layers)
    g.add_context_length(cfg.max_position_embeddings)
    g.add_embedding_length(cfg.hidden_size)
    g.add_feed_forward_length(cfg.intermediate_size)
    g.add_head_count(cfg.num_attention_heads)
    g.add_head_count_kv(1 if split else cfg.num_key_value_heads)
    write_rope_keys(g, cfg)
    g.add_layer_norm_rms_eps(cfg.rms_norm_eps)
    g.add_vocab_size(cfg.vocab_size)
    g.add_file_type(gguf.LlamaFileType.ALL_F32)
    if deepseek:
        write_deepseek_keys(g, cfg, split)
    bpe = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    kind = gguf.TokenType
    types = [kind.CONTROL if t in SPECIAL else kind.NORMAL for t in tokens]
    padding = cfg.vocab_size - len(tokens)
    g.add_tokenizer_model("gpt2")
    g.add_tokenizer_pre("gpt-2")
    g.add_token_list(tokens + [f"[PAD{len(tokens) + i}]" for i in range(padding)])
    g.add_token_types(types + [kind.UNUSED] * padding)
    g.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in bpe["merges"]])
    g.add_bos_token_id(0)
    g.add_eos_token_id(0)
    g.add_add_bos_token(False)
    for name, a in gguf_tensors(cfg, w, split):
        g.add_tensor(name, np.ascontiguousarray(a, dtype=np.float32))
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


def check_gguf(path, golden):
    try:
        import llama_cpp
    except ImportError:
        return print(f"{path}: not compared, llama-cpp-python is missing")
    peer = llama_cpp.Llama(str(path), n_ctx=128, logits_all=True, verbose=False, n_threads=1)
    worst = 0.0
    for s in golden["sequences"]:
        peer.reset()
        peer.eval(s["ids"])
        ids = torch.tensor(s["ids"])
        lp, _ = score(torch.tensor(peer.scores[:len(ids)]), ids, s["temperature"])
        worst = max(worst, (lp - torch.tensor(s["logprobs"])).abs().max().item())
    print(f"{path}: log-probabilities of llama.cpp differ by at most {worst:.1e}")
    assert worst < 5e-2  # its cache is F16


# ---- Commands --------------------------------------------------------------------------------


def check(path, golden):
    peer = load_peer(path, torch.float32)
    AutoTokenizer.from_pretrained(path)
    worst = 0.0
    for s in json.loads((Path(golden) / "golden.json").read_text())["sequences"]:
        ids = torch.tensor(s["ids"])
        with torch.no_grad():
            lp, _ = score(peer(ids[None]).logits[0], ids, s["temperature"])
        worst = max(worst, (lp - torch.tensor(s["logprobs"])).abs().max().item())
    print(f"{path}: log-probabilities differ by at most {worst:.1e}")
    sys.exit(worst > 2e-5)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append", choices=[*MODELS, "deepseek-fp8"])
    parser.add_argument("--check", nargs=2, metavar=("MODEL", "GOLDEN"))
    parser.add_argument("directory", nargs="?", default="tests/golden", type=Path)
    v = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    if v.check:
        check(*v.check)
    for name in v.only or MODELS:
        if name in MODELS:
            make(v.directory, name)
    if not v.only or "deepseek-fp8" in v.only:
        make_fp8(v.directory)


if __name__ == "__main__":
    main()

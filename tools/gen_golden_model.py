#!/usr/bin/env python3
"""Write tests/golden/model-{a,b}/ and model-a.gguf: tiny random Llama models and what they compute.

Usage: python3 tools/gen_golden_model.py [DIRECTORY], tests/golden by default

Each directory holds a model in Hugging Face form (F32), golden.json (sequences with their
log-probabilities and entropies; how far transformers in BF16 is from them; training cases with
their losses) and grads.safetensors (the gradient of every parameter, named CASE:PARAMETER).
Loss of a case:
    -sum over documents d and targets t of weight[d][t] * log p(target t of d)
Expectations come from an F64 Llama written out below; transformers, which loads the same
directory in F32, must agree with it.  Made with torch 2.13.0, transformers 5.23.0,
tokenizers 0.23.3, gguf 0.19.0, safetensors 0.8.0.
"""
import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

SPECIAL = ["<|endoftext|>", "<think>", "</think>"]
TEXT = ["the quick brown fox jumps over the lazy dog", "one and two and three is six 0123456789",
        "then there is the other thing, and that is it.", "how now brown cow? (a + b) * c - d = 42"]
MODELS = {
    "a": dict(hidden_size=32, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
              intermediate_size=48, vocab_size=97, tie_word_embeddings=True, rms_norm_eps=1e-5,
              max_position_embeddings=128,
              rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
    "b": dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=2, head_dim=16,
              intermediate_size=64, vocab_size=61, tie_word_embeddings=False, rms_norm_eps=1e-6,
              max_position_embeddings=256,
              rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0,
                               "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                               "original_max_position_embeddings": 32}),
}


# ---- The reference, F64 ----------------------------------------------------------------------


def inv_freq(cfg):
    """Rounded to F32 at the end, as every implementation keeps it."""
    rope = cfg.rope_parameters
    half = cfg.head_dim // 2
    f = rope["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
    if rope["rope_type"] == "llama3":
        turns = rope["original_max_position_embeddings"] * f / (2 * torch.pi)
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        smooth = ((turns - low) / (high - low)).clamp(0, 1)
        f = (1 - smooth) * f / rope["factor"] + smooth * f
    return f.float().double()


def rms(x, g, eps):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * g


def rotate(x, angle):
    """x (T,heads,Dh), halves."""
    half = x.shape[-1] // 2
    c, s = angle.cos()[:, None], angle.sin()[:, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * c - b * s, b * c + a * s], -1)


def logits(w, cfg, ids):
    """(T,V) of one document."""
    n, dh, heads, groups = len(ids), cfg.head_dim, cfg.num_attention_heads, cfg.num_key_value_heads
    angle = torch.arange(n, dtype=torch.float64)[:, None] * inv_freq(cfg)
    hidden_keys = torch.ones(n, n, dtype=torch.bool).triu(1)
    x = w["model.embed_tokens.weight"][ids]
    for i in range(cfg.num_hidden_layers):
        p = {k.split(".", 3)[3]: v for k, v in w.items() if k.startswith(f"model.layers.{i}.")}
        h = rms(x, p["input_layernorm.weight"], cfg.rms_norm_eps)
        q = rotate((h @ p["self_attn.q_proj.weight"].T).view(n, heads, dh), angle)
        k = rotate((h @ p["self_attn.k_proj.weight"].T).view(n, groups, dh), angle)
        v = (h @ p["self_attn.v_proj.weight"].T).view(n, groups, dh)
        k, v = (t.repeat_interleave(heads // groups, 1) for t in (k, v))
        s = torch.einsum("qhd,khd->hqk", q, k) / dh**0.5
        s = s.masked_fill(hidden_keys, -torch.inf).softmax(-1)
        y = torch.einsum("hqk,khd->qhd", s, v).reshape(n, heads * dh)
        x = x + y @ p["self_attn.o_proj.weight"].T
        h = rms(x, p["post_attention_layernorm.weight"], cfg.rms_norm_eps)
        gate = torch.nn.functional.silu(h @ p["mlp.gate_proj.weight"].T)
        x = x + (gate * (h @ p["mlp.up_proj.weight"].T)) @ p["mlp.down_proj.weight"].T
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
    model = LlamaForCausalLM(cfg)
    with torch.no_grad():
        for name, p in model.named_parameters():
            r = torch.randn(p.shape, generator=g)
            if p.dim() == 1:
                p.copy_(1 + 0.2 * r)
            elif "embed" in name:
                p.copy_(0.3 * r)
            else:
                p.copy_(1.2 * r / p.shape[1] ** 0.5)
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


def make(root, name, seed):
    cfg = LlamaConfig(num_hidden_layers=2, bos_token_id=0, eos_token_id=0, attention_bias=False,
                      architectures=["LlamaForCausalLM"], **MODELS[name])
    out = root / f"model-{name}"
    out.mkdir(parents=True, exist_ok=True)
    model = make_weights(cfg, seed)
    model.save_pretrained(out)
    tokenizer = make_tokenizer(cfg.vocab_size)
    tokenizer.save(str(out / "tokenizer.json"))
    write_json(out / "tokenizer_config.json",
               {"bos_token": SPECIAL[0], "eos_token": SPECIAL[0], "add_bos_token": False,
                "tokenizer_class": "PreTrainedTokenizerFast"})
    AutoTokenizer.from_pretrained(out)

    peer = LlamaForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager")
    w = {k: v.detach().double().requires_grad_() for k, v in model.named_parameters()}
    narrow = LlamaForCausalLM.from_pretrained(out, dtype=torch.bfloat16)
    golden = {"sequences": [], "cases": []}

    rng = np.random.default_rng(seed)
    worst, narrow_errors = 0.0, []
    for n, temperature in ((2, 1.0), (17, 1.0), (40, 0.7), (70, 1.0)):
        ids = torch.tensor(rng.integers(0, cfg.vocab_size, n))
        with torch.no_grad():
            lp, entropy = score(logits(w, cfg, ids), ids, temperature)
            lp_peer, _ = score(peer(ids[None]).logits[0], ids, temperature)
            lp_narrow, _ = score(narrow(ids[None]).logits[0].float(), ids, temperature)
        worst = max(worst, (lp - lp_peer).abs().max().item())
        narrow_errors.append((lp - lp_narrow).abs())
        golden["sequences"].append({"ids": ids.tolist(), "temperature": temperature,
                                    "logprobs": lp.tolist(), "entropies": entropy.tolist()})
    assert worst < 2e-5, worst
    narrow_errors = torch.cat(narrow_errors)
    golden["bf16_error"] = {"max": narrow_errors.max().item(), "mean": narrow_errors.mean().item()}

    # The documents of a case start alike, as a group's samples do; the third is unrelated.
    shared = rng.integers(0, cfg.vocab_size, 9).tolist()
    documents = [shared + rng.integers(0, cfg.vocab_size, 14).tolist(),
                 shared + rng.integers(0, cfg.vocab_size, 5).tolist(),
                 rng.integers(0, cfg.vocab_size, 21).tolist()]
    targets = sum(len(d) - 1 for d in documents)
    mean = [[1 / targets] * (len(d) - 1) for d in documents]
    weighted = [np.round(rng.standard_normal(len(d) - 1) * 0.1, 4).tolist() for d in documents]
    grads = {}
    for case_name, weights, temperature in (("mean", mean, 1.0), ("weighted", weighted, 0.8)):
        case = {"name": case_name, "temperature": temperature, "documents": documents,
                "weights": weights}
        loss = loss_of(lambda ids: logits(w, cfg, ids), case)
        for k, g in zip(w, torch.autograd.grad(loss, list(w.values()))):
            grads[f"{case_name}:{k}"] = g.float()
        peer.zero_grad()
        loss_of(lambda ids: peer(ids[None]).logits[0], case).backward()
        for k, p in peer.named_parameters():
            g = grads[f"{case_name}:{k}"]
            assert (p.grad - g).norm() <= 1e-4 * g.norm(), (case_name, k)
        golden["cases"].append(case | {"loss": loss.item()})
    save_file(grads, out / "grads.safetensors")

    text = TEXT[0] + SPECIAL[1] + TEXT[3][:4]
    golden["text"] = {"text": text, "ids": tokenizer.encode(text).ids}
    write_json(out / "golden.json", golden)
    print(f"{out}: log-probabilities of transformers differ by at most {worst:.1e}")
    return cfg, model, tokenizer


# ---- GGUF ------------------------------------------------------------------------------------

GGUF_NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_tensors(cfg, model):
    """llama.cpp rotates neighbours: rows (2,Dh/2) of each query and key head become (Dh/2,2)."""
    for name, p in model.named_parameters():
        a = p.detach().numpy()
        if name.startswith("model.layers."):
            _, _, i, rest = name.split(".", 3)
            part = rest.removesuffix(".weight")
            if part in ("self_attn.q_proj", "self_attn.k_proj"):
                heads = a.shape[0] // cfg.head_dim
                a = a.reshape(heads, 2, cfg.head_dim // 2, -1).swapaxes(1, 2).reshape(a.shape)
            yield f"blk.{i}.{GGUF_NAMES[part]}.weight", a
        else:
            yield {"model.embed_tokens.weight": "token_embd.weight",
                   "model.norm.weight": "output_norm.weight",
                   "lm_head.weight": "output.weight"}[name], a


def write_gguf(path, cfg, model, tokenizer):
    g = gguf.GGUFWriter(path, "llama")
    g.add_block_count(cfg.num_hidden_layers)
    g.add_context_length(cfg.max_position_embeddings)
    g.add_embedding_length(cfg.hidden_size)
    g.add_feed_forward_length(cfg.intermediate_size)
    g.add_head_count(cfg.num_attention_heads)
    g.add_head_count_kv(cfg.num_key_value_heads)
    g.add_rope_freq_base(cfg.rope_parameters["rope_theta"])
    g.add_rope_dimension_count(cfg.head_dim)
    g.add_layer_norm_rms_eps(cfg.rms_norm_eps)
    g.add_vocab_size(cfg.vocab_size)
    g.add_file_type(gguf.LlamaFileType.ALL_F32)
    bpe = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    g.add_tokenizer_model("gpt2")
    g.add_tokenizer_pre("gpt-2")
    g.add_token_list(tokens)
    g.add_token_types([control if t in SPECIAL else normal for t in tokens])
    g.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in bpe["merges"]])
    g.add_bos_token_id(0)
    g.add_eos_token_id(0)
    g.add_add_bos_token(False)
    for name, a in gguf_tensors(cfg, model):
        g.add_tensor(name, np.ascontiguousarray(a))
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    write_gguf(root / "model-a.gguf", *make(root, "a", 11))
    make(root, "b", 12)


if __name__ == "__main__":
    main()

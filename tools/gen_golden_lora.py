#!/usr/bin/env python3
"""Write tests/golden/lora-*: adapters of PEFT beside the models of tests/golden/model-*.

Usage: python3 tools/gen_golden_lora.py [DIRECTORY], tests/golden by default
       python3 tools/gen_golden_lora.py --check BASE ADAPTER GOLDEN
       python3 tools/gen_golden_lora.py --logprobs BASE ADAPTER IDS

Each directory holds an adapter as PEFT's save_pretrained writes it, with random A and B (B is not
zero, as it is before training), golden.json (sequences with the log-probabilities of base and
adapter in F64; training cases as in gen_golden_model.py with their losses) and grads.safetensors
(PyTorch's gradient of every A and B, named CASE:PARAMETER).

--check: PEFT loads ADAPTER, a directory that r1 saved, beside BASE; it must find what GOLDEN, one
of the directories above, expects.  --logprobs prints the log-probabilities of IDS (1,2,3) as JSON.
Made with torch 2.13.0, transformers 5.24.0, peft 0.21.2, safetensors 0.8.0.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

# name: (base, seed, configuration)
ADAPTERS = {
    "a": ("model-a", 31, dict(r=4, lora_alpha=8, target_modules="all-linear")),
    "qwen2": ("model-qwen2", 32, dict(r=3, lora_alpha=5, use_rslora=True,
                                      target_modules=["q_proj", "v_proj", "down_proj"])),
    # In models with experts PEFT takes the names of the feed-forward for the experts.
    "deepseek": ("model-deepseek", 33, dict(
        r=2, lora_alpha=3,
        target_modules=["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "o_proj"])),
}
VOCABULARY = {"a": 97, "qwen2": 64, "deepseek": 61}


def load_base(path, dtype):
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager",
                                                experts_implementation="eager")


def score(model, ids, temperature=1.0):
    z = model(ids[None]).logits[0]
    return (z[:-1] / temperature).log_softmax(-1).gather(-1, ids[1:, None])[:, 0]


def make(root, name):
    base, seed, config = ADAPTERS[name]
    rng, g = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    model = get_peft_model(load_base(root / base, torch.float32),
                           LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **config))
    with torch.no_grad():
        for _, p in model.named_parameters():
            if p.requires_grad:
                p.copy_(0.6 * torch.randn(p.shape, generator=g) / p.shape[-1] ** 0.5)
    out = root / f"lora-{name}"
    model.save_pretrained(out)
    for path in out.glob("README.md"):
        path.unlink()
    file = out / "adapter_config.json"
    config = json.loads(file.read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = sorted(config["target_modules"])
    file.write_text(json.dumps(config, indent=1) + "\n")
    model = model.double()
    golden = {"base": base, "sequences": [], "cases": []}
    for n in (2, 17, 40):
        ids = torch.tensor(rng.integers(0, VOCABULARY[name], n))
        with torch.no_grad():
            lp = score(model, ids).tolist()
        golden["sequences"].append({"ids": ids.tolist(), "logprobs": lp})
    grads = {}
    for case, temperature in (("plain", 1.0), ("warm", 0.7)):
        documents = [torch.tensor(rng.integers(0, VOCABULARY[name], n)) for n in (21, 34)]
        weights = [rng.normal(size=len(d) - 1) for d in documents]
        model.zero_grad()
        loss = sum(-(torch.tensor(w) * score(model, d, temperature)).sum()
                   for d, w in zip(documents, weights))
        loss.backward()
        for key, p in model.named_parameters():
            if p.requires_grad:
                grads[f"{case}:{key.replace('.default', '')}"] = p.grad.float().contiguous()
        golden["cases"].append({"name": case, "temperature": temperature, "loss": loss.item(),
                                "documents": [d.tolist() for d in documents],
                                "weights": [w.tolist() for w in weights]})
    (out / "golden.json").write_text(json.dumps(golden) + "\n")
    save_file(grads, out / "grads.safetensors")
    print(f"{out}: {len(grads) // 2} parameters")


def check(base, adapter, golden):
    model = PeftModel.from_pretrained(load_base(base, torch.float32), adapter)
    worst = 0.0
    for s in json.loads((Path(golden) / "golden.json").read_text())["sequences"]:
        with torch.no_grad():
            lp = score(model, torch.tensor(s["ids"]))
        worst = max(worst, (lp - torch.tensor(s["logprobs"])).abs().max().item())
    print(f"{adapter}: log-probabilities differ by at most {worst:.1e}")
    sys.exit(worst > 1e-4)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", nargs=3, metavar=("BASE", "ADAPTER", "GOLDEN"))
    parser.add_argument("--logprobs", nargs=3, metavar=("BASE", "ADAPTER", "IDS"))
    parser.add_argument("directory", nargs="?", default="tests/golden", type=Path)
    v = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    if v.check:
        check(*v.check)
    if v.logprobs:
        base, adapter, ids = v.logprobs
        model = PeftModel.from_pretrained(load_base(base, torch.float32), adapter)
        with torch.no_grad():
            lp = score(model, torch.tensor([int(i) for i in ids.split(",")]))
        return print(json.dumps(lp.tolist()))
    for name in ADAPTERS:
        make(v.directory, name)


if __name__ == "__main__":
    main()

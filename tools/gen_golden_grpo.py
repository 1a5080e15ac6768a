#!/usr/bin/env python3
"""Write tests/golden/grpo/: one GRPO step on fixed completions, with TRL's own loss.

Usage: python3 tools/gen_golden_grpo.py [DIRECTORY], tests/golden by default
                                        (needs torch, transformers and trl 1.16; after
                                        gen_golden_model.py, whose model-a it uses)

The policy is model-a with each parameter times 1 + (length of its name % 5 - 2) / 50, rounded to
F32; the reference is model-a as it is.  golden.json holds prompts, completions with the
sampler's log-probabilities, rewards, and the cases; grads.safetensors the gradient of every
parameter, named CASE:PARAMETER.  A case with "like" has another's gradient times "factor".
The model is the F64 Llama of gen_golden_model.py; the loss is GRPOTrainer._compute_loss.
"""
import json
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import trl
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig
from trl import GRPOTrainer

from gen_golden_loss import Accelerator, f32
from gen_golden_model import logits
from trl.trainer.utils import nanstd

TEMPERATURE = 0.8
MAX_COMPLETION = 45
EOS = 0
PROMPTS = [13, 20]  # tokens
COMPLETIONS = [[30, 1, MAX_COMPLETION], [12, 40, 25]]  # the third is cut: no end token
REWARDS = [1.0, 0.0, 0.1, 1.0, 1.0, 1.0]  # the second group is dead
EPSILON, EPSILON_HIGH, BETA = 0.2, 0.28, 0.04


def score(w, cfg, prompt, completion):
    z = logits(w, cfg, torch.tensor(prompt + completion))[len(prompt) - 1:-1]
    lp = (z / TEMPERATURE).log_softmax(-1)
    return lp.gather(-1, torch.tensor(completion)[:, None])[:, 0]


def pad(rows):
    longest = max(len(r) for r in rows)
    return torch.stack([torch.nn.functional.pad(r, (0, longest - len(r))) for r in rows])


def loss_of(kind, beta, lp, old, ref, advantages):
    mask = pad([torch.ones(len(r), dtype=torch.float64) for r in lp])
    trainer = SimpleNamespace(
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        loss_type=kind, beta=float(np.float32(beta)), epsilon_low=float(np.float32(EPSILON)),
        epsilon_high=float(np.float32(EPSILON_HIGH)), max_completion_length=MAX_COMPLETION,
        importance_sampling_level="token", top_entropy_quantile=1.0,
        off_policy_mask_threshold=None, use_vllm=False,
        vllm_importance_sampling_correction=False, aux_loss_enabled=False,
        _entropy_bonus_enabled=False, current_gradient_accumulation_steps=1,
        accelerator=Accelerator(), model=SimpleNamespace(training=True),
        _metrics={"train": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *a, **k: (pad(lp), torch.zeros_like(mask), None))
    ids = torch.zeros(mask.shape, dtype=torch.long)
    inputs = {"prompt_ids": ids[:, :1], "prompt_mask": mask[:, :1].long(), "completion_ids": ids,
              "completion_mask": mask.long(), "advantages": advantages,
              "old_per_token_logps": pad(old), "ref_per_token_logps": pad(ref),
              "num_items_in_batch": mask.sum()}
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    metrics = trainer._metrics["train"]
    return loss, metrics["kl"][0] if beta else 0.0, metrics["clip_ratio/region_mean"][0]


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden")
    torch.set_num_threads(1)
    cfg = LlamaConfig.from_pretrained(root / "model-a")
    base = load_file(root / "model-a" / "model.safetensors")
    w = {k: (v * np.float32(1 + (len(k) % 5 - 2) / 50)).double().requires_grad_()
         for k, v in base.items()}
    reference = {k: v.double() for k, v in base.items()}

    rng = np.random.default_rng(21)
    groups, samples = [], []
    for n_prompt, lengths in zip(PROMPTS, COMPLETIONS):
        prompt = rng.integers(3, cfg.vocab_size, n_prompt).tolist()
        completions = []
        for n in lengths:
            ids = rng.integers(3, cfg.vocab_size, n).tolist()
            if n < MAX_COMPLETION:
                ids[-1] = EOS
            with torch.no_grad():
                noise = torch.tensor(rng.normal(0, 0.2, n))
                old = (score(w, cfg, prompt, ids) + noise).float()
            completions.append({"ids": ids, "old": [float(str(x)) for x in old.numpy()]})
            samples.append((prompt, ids, f32(old.numpy())))
        groups.append({"prompt": prompt, "completions": completions})
    with torch.no_grad():
        ref = [score(reference, cfg, p, c) for p, c, _ in samples]
    old = [o for *_, o in samples]
    rewards = f32(REWARDS)
    grouped = rewards.view(-1, 3)
    advantages = ((grouped - grouped.mean(1, keepdim=True)).view(-1) /
                  (nanstd(grouped, dim=1).repeat_interleave(3) + 1e-4))

    cases, grads = [], {}
    for kind in ("grpo", "dapo", "dr_grpo", "bnpo"):
        for beta in (0.0, BETA):
            lp = [score(w, cfg, p, c) for p, c, _ in samples]
            loss, kl, clipped = loss_of(kind, beta, lp, old, ref, advantages)
            grad = dict(zip(w, torch.autograd.grad(loss, list(w.values()))))
            name = f"{kind}-{'kl' if beta else 'no-kl'}"
            case = {"name": name, "loss_type": kind, "beta": beta, "loss": loss.item(), "kl": kl,
                    "clipped": clipped}
            like = name.replace(kind, "dapo")
            if kind in ("grpo", "dapo"):
                grads |= {f"{name}:{k}": g for k, g in grad.items()}
            else:
                key = "model.norm.weight"
                case["like"] = like
                case["factor"] = (grad[key].norm() / grads[f"{like}:{key}"].norm()).item()
                for k, g in grad.items():
                    assert torch.allclose(g, case["factor"] * grads[f"{like}:{k}"], 1e-9, 1e-15)
            assert 0.02 < clipped < 0.5
            cases.append(case)
            print(name, case)
    out = root / "grpo"
    out.mkdir(exist_ok=True)
    save_file({k: g.float() for k, g in grads.items()}, out / "grads.safetensors")
    golden = {"trl": trl.__version__, "temperature": TEMPERATURE, "epsilon": EPSILON,
              "epsilon_high": EPSILON_HIGH, "max_completion_length": MAX_COMPLETION,
              "groups": groups, "rewards": REWARDS, "advantages": advantages.tolist(),
              "cases": cases}
    (out / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()

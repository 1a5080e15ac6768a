#!/usr/bin/env python3
"""Write tests/golden/loss.h: losses, gradients and metrics by TRL's own GRPOTrainer._compute_loss.

Usage: python3 tools/gen_golden_loss.py > tests/golden/loss.h      (needs torch and trl 1.16)

The trainer is a stand-in that has only the attributes which the method reads; the "model" is the
array of log-probabilities, so that its gradient is the one the loss passes to the model.  The
arithmetic is F64 on inputs rounded to F32, as the C program gets them.
"""
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import torch
import trl
from trl import GRPOTrainer
from trl.trainer.utils import nanstd

LENGTHS = [5, 3, 6, 1]
SIZE = 2
MAX_COMPLETION = 8
REWARDS = [1.0, 0.0, 1.1, 0.1]
OLD = [-1, -.5, -2, -.1, -3, -.7, -1.2, -.3, -2.5, -.05, -1.1, -.9, -.4, -1.6, -.2]
STEP = [.1, -.3, .25, 0, .4, .3, -.1, .05, -.35, .02, .15, -.05, .22, -.28, .05]
REF = [-1.1, -.6, -1.5, -.2, -3.5, -.6, -1, -.4, -2, -.1, -1.3, -1, -.5, -1.2, -.3]
SAMPLER_STEP = [.02, -.01, 0, .05, -.9, .03, 0, -.04, .01, 0, -.8, .06, -.02, 0, .01]
CAP = 2
# (loss_type, epsilon_high, beta, scale, delta, corrected); gspo: grpo with a sequence's ratio
CASES = [(kind, .2, beta, "group", 0, False)
         for kind in ("grpo", "bnpo", "dr_grpo", "dapo", "gspo") for beta in (0, .05)]
CASES += [("dapo", .28, 0, "group", 0, False), ("grpo", .2, 0, "batch", 0, False),
          ("grpo", .2, 0, "none", 0, False), ("gspo", .03, 0, "group", 0, False),
          ("dapo", .2, .05, "group", 1.3, False), ("gspo", .02, 0, "group", 1.05, False),
          ("grpo", .2, .05, "group", 0, True), ("dapo", .2, 0, "group", 1.3, True)]
METRICS = ["low_mean", "high_mean", "region_mean", "low_min", "high_max"]


def f32(x):
    return torch.tensor(np.asarray(x, dtype=np.float32).astype(np.float64))


def pad(flat):
    out = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.float64)
    at = 0
    for row, n in enumerate(LENGTHS):
        out[row, :n] = flat[at:at + n]
        at += n
    return out


def advantages(scale):
    """The lines of _generate_and_score_completions on advantages, which cannot be called alone."""
    r = f32(REWARDS)
    grouped = r.view(-1, SIZE)
    centred = r - torch.nanmean(grouped, dim=1).repeat_interleave(SIZE)
    if scale == "none":
        return centred
    if scale == "batch":
        return centred / (nanstd(r) + 1e-4)
    return centred / (nanstd(grouped, dim=1).repeat_interleave(SIZE) + 1e-4)


class Accelerator:
    num_processes = 1
    sync_gradients = True

    def gather(self, x):
        return x

    def reduce(self, x, reduction="sum"):
        return x


def compute(kind, epsilon_high, beta, scale, delta, corrected):
    mask = pad(torch.ones(sum(LENGTHS), dtype=torch.float64))
    lp = pad(f32(np.float32(OLD) + np.float32(STEP))).requires_grad_()
    args = SimpleNamespace(delta=float(np.float32(delta)) if delta else None,
                           use_bias_correction_kl=False, steps_per_generation=1)
    trainer = SimpleNamespace(
        args=args, loss_type="grpo" if kind == "gspo" else kind,
        beta=float(np.float32(beta)),
        epsilon_low=float(np.float32(.2)), epsilon_high=float(np.float32(epsilon_high)),
        max_completion_length=MAX_COMPLETION,
        importance_sampling_level="sequence" if kind == "gspo" else "token",
        top_entropy_quantile=1.0, off_policy_mask_threshold=None, use_vllm=corrected,
        vllm_importance_sampling_correction=corrected, aux_loss_enabled=False,
        _entropy_bonus_enabled=False, current_gradient_accumulation_steps=1,
        accelerator=Accelerator(), model=SimpleNamespace(training=True),
        _metrics={"train": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *a, **k: (lp, torch.zeros_like(lp), None))
    ids = torch.zeros(mask.shape, dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1], "prompt_mask": mask[:, :1].long(), "completion_ids": ids,
        "completion_mask": mask.long(), "advantages": f32(advantages(scale)),
        "old_per_token_logps": pad(f32(OLD)), "ref_per_token_logps": pad(f32(REF)),
        "num_items_in_batch": mask.sum(),
    }
    if corrected:
        sampler = pad(f32(np.float32(OLD) + np.float32(SAMPLER_STEP)))
        inputs["importance_sampling_ratio"] = torch.exp(pad(f32(OLD)) - sampler).clamp(max=CAP)
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    loss.backward()
    m = trainer._metrics["train"]
    grad = torch.cat([lp.grad[row, :n] for row, n in enumerate(LENGTHS)])
    return (loss.item(), m["kl"][0] if beta else 0.0, grad.tolist(), advantages(scale).tolist(),
            [m[f"clip_ratio/{name}"][0] for name in METRICS])


def numbers(values, form="{!r}"):
    return ", ".join(form.format(v) for v in values)


def array(name, values):
    text = [f"{np.float32(v)!s}f" for v in np.float32(values)]
    print(f"static const float {name}[] = {{{', '.join(text)}}};")


def main():
    print(f"/* Made by tools/gen_golden_loss.py with TRL {trl.__version__}. */")
    print("/* clang-format off */")
    print(f"enum {{ GOLDEN_SEQUENCES = {len(LENGTHS)}, GOLDEN_SIZE = {SIZE}, "
          f"GOLDEN_TOKENS = {sum(LENGTHS)}, GOLDEN_MAX_COMPLETION = {MAX_COMPLETION} }};")
    print(f"static const int golden_lengths[] = {{{numbers(LENGTHS)}}};")
    array("golden_rewards", REWARDS)
    array("golden_lp", np.float32(OLD) + np.float32(STEP))
    array("golden_old", OLD)
    array("golden_ref", REF)
    array("golden_sampler", np.float32(OLD) + np.float32(SAMPLER_STEP))
    print(f"#define GOLDEN_CAP {CAP}")
    print("""\
static const struct {
    r1_loss_type type;
    float epsilon_high, beta;
    r1_loss_scale scale;
    float delta;
    bool corrected;
    double loss, kl, clip[5]; /* low_mean, high_mean, region_mean, low_min, high_max */
    double advantage[GOLDEN_SEQUENCES], dlp[GOLDEN_TOKENS];
} golden_loss[] = {""")
    for kind, high, beta, scale, delta, corrected in CASES:
        loss, kl, grad, adv, clip = compute(kind, high, beta, scale, delta, corrected)
        print(f"    {{R1_LOSS_{kind.upper()}, {high}f, {float(beta)}f, R1_SCALE_{scale.upper()},")
        print(f"     {float(delta)}f, {str(corrected).lower()},")
        print(f"     {loss!r}, {kl!r},")
        print(f"     {{{numbers(clip, '{:.9g}')}}},")
        print(f"     {{{numbers(adv)}}},")
        print("     {" + ",\n      ".join(numbers(grad[i:i + 4]) for i in range(0, 15, 4)) + "}},")
    print("};")


if __name__ == "__main__":
    main()

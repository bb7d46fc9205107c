#!/usr/bin/env python3
"""Writes optimiser.json: parameters after steps of torch.optim.AdamW, clipped
gradients of torch, learning-rate factors of transformers' schedules.

  make_optimiser_golden.py [OUTPUT]     needs torch and transformers
"""

import json
import pathlib
import sys

import torch
import transformers


def adamw(options, num_steps):
    torch.manual_seed(3)
    parameters = torch.nn.Parameter(torch.randn(3, 4))
    start = parameters.detach().flatten().tolist()
    optimiser = torch.optim.AdamW(
        [parameters], lr=options["learning_rate"],
        betas=(options["beta1"], options["beta2"]), eps=options["epsilon"],
        weight_decay=options["weight_decay"])
    gradients, after = [], []
    for step in range(num_steps):
        gradient = torch.randn(3, 4) * (10.0 ** (step % 3 - 1))
        parameters.grad = gradient.clone()
        optimiser.step()
        gradients.append(gradient.flatten().tolist())
        after.append(parameters.detach().flatten().tolist())
    return {"options": options, "start": start, "gradients": gradients,
            "after": after}


def clip(scale, max_norm):
    torch.manual_seed(4)
    parameters = torch.nn.Parameter(torch.zeros(3, 4))
    parameters.grad = torch.randn(3, 4) * scale
    gradient = parameters.grad.flatten().tolist()
    norm = torch.nn.utils.clip_grad_norm_([parameters], max_norm)
    return {"gradient": gradient, "max_norm": max_norm, "norm": norm.item(),
            "clipped": parameters.grad.flatten().tolist()}


def schedule(name, warmup, max_steps):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = transformers.get_scheduler(
        name, optimiser, num_warmup_steps=warmup,
        num_training_steps=max_steps)
    factors = []
    for _ in range(max_steps):
        factors.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return {"name": name, "warmup": warmup, "max_steps": max_steps,
            "factors": factors}


def main():
    usual = {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999,
             "epsilon": 1e-8, "weight_decay": 0.0}
    golden = {
        "adamw": [
            adamw(usual, 6),
            adamw({**usual, "weight_decay": 0.1}, 6),
            adamw({"learning_rate": 0.3, "beta1": 0.5, "beta2": 0.9,
                   "epsilon": 1e-4, "weight_decay": 0.01}, 6),
        ],
        "clip": [clip(5.0, 1.0), clip(0.01, 1.0)],
        "schedules": [
            schedule("constant_with_warmup", 4, 12),
            schedule("linear", 3, 20),
            schedule("linear", 0, 7),
            schedule("cosine", 5, 25),
        ],
    }
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).with_name("optimiser.json"))
    output.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

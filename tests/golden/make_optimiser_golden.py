#!/usr/bin/env python3
"""Writes optimiser.json: parameters after steps of torch.optim.AdamW and SGD
and of transformers' Adafactor, clipped gradients of torch, learning-rate factors
of transformers' schedules and of torch's ReduceLROnPlateau.

  make_optimiser_golden.py [OUTPUT]     needs torch and transformers
"""

import json
import pathlib
import sys

import torch
import transformers


def steps(make, options, num_steps, shape):
    """What make(parameters) turns parameters into with random gradients."""
    torch.manual_seed(3)
    parameters = torch.nn.Parameter(torch.randn(*shape))
    start = parameters.detach().flatten().tolist()
    optimiser = make(parameters)
    gradients, after = [], []
    for step in range(num_steps):
        gradient = torch.randn(*shape) * (10.0 ** (step % 3 - 1))
        parameters.grad = gradient.clone()
        optimiser.step()
        gradients.append(gradient.flatten().tolist())
        after.append(parameters.detach().flatten().tolist())
    return {"options": options, "shape": shape, "start": start,
            "gradients": gradients, "after": after}


def adamw(options, num_steps):
    return steps(lambda parameters: torch.optim.AdamW(
        [parameters], lr=options["learning_rate"],
        betas=(options["beta1"], options["beta2"]), eps=options["epsilon"],
        weight_decay=options["weight_decay"]), options, num_steps, [3, 4])


def sgd(options, num_steps):
    return steps(lambda parameters: torch.optim.SGD(
        [parameters], lr=options["learning_rate"],
        momentum=options["momentum"],
        weight_decay=options["weight_decay"]), options, num_steps, [3, 4])


def adafactor(options, num_steps, shape):
    return steps(lambda parameters: transformers.optimization.Adafactor(
        [parameters], lr=options["learning_rate"],
        clip_threshold=options["clip_threshold"],
        decay_rate=options["decay_rate"],
        weight_decay=options["weight_decay"],
        scale_parameter=options["scale_parameter"],
        relative_step=False), options, num_steps, shape)


def clip(scale, max_norm):
    torch.manual_seed(4)
    parameters = torch.nn.Parameter(torch.zeros(3, 4))
    parameters.grad = torch.randn(3, 4) * scale
    gradient = parameters.grad.flatten().tolist()
    norm = torch.nn.utils.clip_grad_norm_([parameters], max_norm)
    return {"gradient": gradient, "max_norm": max_norm, "norm": norm.item(),
            "clipped": parameters.grad.flatten().tolist()}


def schedule(name, warmup, max_steps, options=None):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = transformers.get_scheduler(
        name, optimiser, num_warmup_steps=warmup,
        num_training_steps=max_steps, scheduler_specific_kwargs=options)
    factors = []
    for _ in range(max_steps):
        factors.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return {"name": name, "warmup": warmup, "max_steps": max_steps,
            "options": options or {}, "factors": factors}


def plateau(mode, factor, patience, threshold, min_factor, metrics):
    """The factor after each metric. `patience` counts torch's way: validations
    that are let pass; the next one lowers the learning rate."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, mode=mode, factor=factor, patience=patience,
        threshold=threshold, threshold_mode="abs", min_lr=min_factor)
    factors = []
    for metric in metrics:
        scheduler.step(metric)
        factors.append(optimiser.param_groups[0]["lr"])
    return {"mode": mode, "factor": factor, "patience": patience,
            "threshold": threshold, "min_factor": min_factor,
            "metrics": metrics, "factors": factors}


def main():
    usual = {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999,
             "epsilon": 1e-8, "weight_decay": 0.0}
    descent = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0}
    factored = {"learning_rate": 0.3, "clip_threshold": 1.0,
                "decay_rate": -0.8, "weight_decay": 0.0,
                "scale_parameter": False}
    losses = [1.0, 0.9, 0.95, 0.9, 0.9, 0.85, 0.84, 0.83, 0.9, 0.9, 0.9, 0.9,
              0.9, 0.9, 0.7, 0.71, 0.72]
    golden = {
        "adamw": [
            adamw(usual, 6),
            adamw({**usual, "weight_decay": 0.1}, 6),
            adamw({"learning_rate": 0.3, "beta1": 0.5, "beta2": 0.9,
                   "epsilon": 1e-4, "weight_decay": 0.01}, 6),
        ],
        "sgd": [
            sgd(descent, 6),
            sgd({**descent, "weight_decay": 0.1}, 6),
            sgd({"learning_rate": 0.02, "momentum": 0.0,
                 "weight_decay": 0.01}, 6),
        ],
        "adafactor": [
            adafactor(factored, 6, [5]),
            adafactor(factored, 6, [3, 4]),
            adafactor(factored, 6, [2, 3, 4]),
            adafactor({**factored, "weight_decay": 0.1,
                       "scale_parameter": True}, 6, [3, 4]),
            adafactor({"learning_rate": 0.01, "clip_threshold": 0.5,
                       "decay_rate": -0.5, "weight_decay": 1e-5,
                       "scale_parameter": True}, 6, [5]),
        ],
        "clip": [clip(5.0, 1.0), clip(0.01, 1.0)],
        "schedules": [
            schedule("constant_with_warmup", 4, 12),
            schedule("linear", 3, 20),
            schedule("linear", 0, 7),
            schedule("cosine", 5, 25),
            schedule("polynomial", 4, 20, {"power": 2.0, "lr_end": 0.1}),
            schedule("polynomial", 0, 10, {"power": 0.5, "lr_end": 0.0}),
            schedule("inverse_sqrt", 6, 40),
            schedule("inverse_sqrt", 0, 20),
        ],
        "plateau": [
            plateau("min", 0.5, 1, 0.0, 0.01, losses),
            plateau("min", 0.1, 0, 0.02, 0.05, losses),
            plateau("max", 0.5, 2, 0.0, 0.3, losses),
        ],
    }
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).with_name("optimiser.json"))
    output.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Training steps of PEFT, one for each line of standard input.

  peft_train_step.py --model DIR --batch FILE.json --values FILE.safetensors
                     --dtype bf16|fp32 --threads N

tests/bench/train_step starts this. FILE.json is {"rows": [{"text": [ids],
"answer": [ids]}]}, one padded batch. FILE.safetensors holds what training
begins with: "prompt" [rows, dim], or "prefix.keys" and "prefix.values", each
[layers, kv_heads, rows, head_dim]. Answers on standard output, a JSON object a
line: first the versions once the model is ready, then for each step its seconds,
its loss before the update, and the most memory so far above what was resident
once the model was ready. Needs torch, transformers, peft and safetensors.
"""

import argparse
import json
import os
import pathlib
import sys
import time
import warnings

IGNORED = -100  # no target


def memory_bytes(name):
    """A line of /proc/self/status, such as VmRSS, in bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", required=True)
    parser.add_argument("--values", required=True)
    parser.add_argument("--dtype", choices=["bf16", "fp32"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def make_batch(torch, path):
    """Input ids, attention mask and labels, padded on the right."""
    rows = json.loads(pathlib.Path(path).read_text())["rows"]
    longest = max(len(row["text"]) + len(row["answer"]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for i, row in enumerate(rows):
        begin = len(row["text"])
        end = begin + len(row["answer"])
        ids[i, :end] = torch.tensor(row["text"] + row["answer"])
        mask[i, :end] = 1
        labels[i, begin:end] = torch.tensor(row["answer"])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def attach(torch, peft, base, values):
    """The base model with a prompt or prefix that starts as `values`."""
    if "prompt" in values:
        start = values["prompt"]
        config = peft.PromptTuningConfig(
            task_type=peft.TaskType.CAUSAL_LM,
            num_virtual_tokens=start.shape[0])
        base.config.use_cache = False
    else:
        # PEFT's rows: layer after layer, keys before values, heads inside.
        both = torch.stack([values["prefix.keys"], values["prefix.values"]], 1)
        rows = both.shape[3]
        start = both.permute(3, 0, 1, 2, 4).reshape(rows, -1)
        config = peft.PrefixTuningConfig(
            task_type=peft.TaskType.CAUSAL_LM, num_virtual_tokens=rows)
    model = peft.get_peft_model(base, config).train()
    weight = model.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        weight.copy_(start)
    return model


def main():
    arguments = parse_arguments()
    # Both are read when the libraries load.
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    os.environ["HF_HUB_OFFLINE"] = "1"
    import peft
    import safetensors.torch
    import torch
    import transformers

    warnings.filterwarnings("ignore", category=FutureWarning)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[arguments.dtype]
    base = transformers.AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=dtype)
    model = attach(torch, peft, base,
                   safetensors.torch.load_file(arguments.values))
    batch = make_batch(torch, arguments.batch)
    optimiser = torch.optim.AdamW(
        [one for one in model.parameters() if one.requires_grad], lr=1e-3,
        weight_decay=0.0)
    # The peak starts again from what is resident now.
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    resident = memory_bytes("RssAnon")
    print(json.dumps({"peft": peft.__version__, "torch": torch.__version__,
                      "transformers": transformers.__version__}), flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        optimiser.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        optimiser.step()
        seconds = time.perf_counter() - begin
        print(json.dumps({"seconds": seconds, "loss": loss.item(),
                          # Pages of libraries and mapped files only become
                          # more.
                          "peak_bytes": memory_bytes("VmHWM")
                          - memory_bytes("RssFile") - resident}),
              flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Loads an exported version with PEFT and compares it with Attune.

  check_peft_export.py [--worker ATTUNE_WORKER] MODEL_DIR VERSION_DIR [TEXT]

MODEL_DIR is the causal base model's directory, VERSION_DIR what `attune prompts
export` wrote: PROMPT_TUNING, PREFIX_TUNING or LORA. Checks that PEFT accepts the
directory, that what it trained is the file's bit by bit, that the logits equal
those of the base model with the file's tensors put in place by hand, that they
are not those of the bare base model, and that PEFT, when it saves the adapter
again, writes the same adapter_config.json but for settings at their defaults.
With --worker also that `attune-worker forward` behind the prompt or prefix
computes PEFT's logits; it takes no LORA. Needs torch, transformers, peft and
safetensors.
"""

import argparse
import json
import math
import pathlib
import subprocess
import tempfile

import peft
import safetensors.torch
import torch
import transformers

MAX_DIFFERENCE = 1e-3  # of logits, in fp32
MAX_WORKER_DISTANCE = 2e-4  # as a share of the largest logit


def load_base(model_dir):
    return transformers.AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=torch.float32).eval()


def logits_behind_prompt(base, tensors, config, ids):
    rows = tensors["prompt_embeddings"]
    embedded = torch.cat([rows, base.get_input_embeddings()(ids[0])])
    return base(inputs_embeds=embedded[None]).logits[0]


def logits_behind_prefix(base, tensors, config, ids):
    """The rows are layer after layer, keys before values, heads inside."""
    rows = tensors["prompt_embeddings"]
    heads = config["num_attention_heads"]
    both = rows.view(len(rows), config["num_layers"], 2, heads,
                     config["token_dim"] // heads).permute(1, 2, 3, 0, 4)
    cache = transformers.DynamicCache()
    for layer, (keys, values) in enumerate(both):
        cache.update(keys[None].contiguous(), values[None].contiguous(), layer)
    mask = torch.ones(1, len(rows) + ids.shape[1], dtype=torch.long)
    return base(input_ids=ids, attention_mask=mask,
                past_key_values=cache).logits[0]


def logits_with_lora(base, tensors, config, ids):
    """Adds scale * B A to the weights themselves."""
    rank = math.sqrt(config["r"]) if config.get("use_rslora") else config["r"]
    begin, end = "base_model.model.", ".lora_A.weight"
    names = [name for name in tensors if name.endswith(end)]
    assert 2 * len(names) == len(tensors), "there is more than lora_A, lora_B"
    for name in names:
        up = tensors[name.replace("lora_A", "lora_B")]
        addition = config["lora_alpha"] / rank * (up @ tensors[name])
        weight = base.get_submodule(name[len(begin):-len(end)]).weight
        if config.get("fan_in_fan_out"):
            addition = addition.T
        weight.data += addition
    return base(input_ids=ids).logits[0]


BY_HAND = {"PROMPT_TUNING": logits_behind_prompt,
           "PREFIX_TUNING": logits_behind_prefix,
           "LORA": logits_with_lora}


def check_tensors(model, tensors):
    """That PEFT has the file's tensors, all of them and unchanged."""
    held = peft.get_peft_model_state_dict(model)
    assert held.keys() == tensors.keys(), (
        f"PEFT has {sorted(held)}, the file {sorted(tensors)}")
    for name, tensor in tensors.items():
        assert torch.equal(held[name], tensor), f"PEFT reads another {name}"


def canonical(config):
    """Lists of names are sets to PEFT. The trainer's own path and the release
    that wrote the file may differ."""
    return {key: sorted(value) if isinstance(value, list) else value
            for key, value in config.items()
            if key not in ("base_model_name_or_path", "peft_version")}


def check_saved_again(model, ours):
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        again = json.loads(
            (pathlib.Path(directory) / "adapter_config.json").read_text())
    ours, again = canonical(ours), canonical(again)
    # What the file leaves out is as PEFT has it; earlier releases refuse
    # settings that they do not know.
    default = canonical(type(model.peft_config["default"])().to_dict())
    again = {key: value for key, value in again.items()
             if key in ours or value != default.get(key)}
    assert ours == again, f"PEFT would write {again}, not {ours}"


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", help="path of attune-worker")
    parser.add_argument("model_dir")
    parser.add_argument("version_dir", type=pathlib.Path)
    parser.add_argument("text", nargs="?", default="Where is my new card?")
    return parser.parse_args()


def worker_logits(worker, model_dir, version_dir, ids):
    with tempfile.TemporaryDirectory() as directory:
        rows = pathlib.Path(directory) / "rows.jsonl"
        output = pathlib.Path(directory) / "out.safetensors"
        rows.write_text(json.dumps({"input_ids": ids[0].tolist()}) + "\n")
        subprocess.run(
            [worker, "forward", "--model", model_dir, "--input", rows,
             "--output", output, "--prompt", version_dir], check=True)
        return safetensors.torch.load_file(output)["logits.0"]


def main():
    arguments = parse_arguments()
    model_dir, version_dir = arguments.model_dir, arguments.version_dir
    text = arguments.text
    config = json.loads((version_dir / "adapter_config.json").read_text())
    tensors = safetensors.torch.load_file(
        version_dir / "adapter_model.safetensors")
    kind = config["peft_type"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    ids = tokenizer(text, return_tensors="pt").input_ids
    count = ids.shape[1]
    model = peft.PeftModel.from_pretrained(load_base(model_dir),
                                           version_dir).eval()
    check_tensors(model, tensors)

    base = load_base(model_dir)
    with torch.no_grad():
        given = model(input_ids=ids,
                      attention_mask=torch.ones_like(ids)).logits[0]
        bare = base(input_ids=ids).logits[0]
        by_hand = BY_HAND[kind](base, tensors, config, ids)
    rows = config["num_virtual_tokens"] if kind == "PROMPT_TUNING" else 0
    assert len(given) == rows + count, f"PEFT gives {len(given)} rows"
    difference = (given - by_hand).abs().max().item()
    effect = (given[-count:] - bare).abs().max().item()
    assert difference < MAX_DIFFERENCE, f"logits differ by {difference}"
    assert effect > 10 * MAX_DIFFERENCE, "the adapter changes nothing"
    if arguments.worker:
        ours = worker_logits(arguments.worker, model_dir, version_dir, ids)
        distance = (given[-count:] - ours).abs().max() / given.abs().max()
        assert distance < MAX_WORKER_DISTANCE, f"the worker is {distance} off"
    check_saved_again(model, config)
    size = sum(tensor.numel() for tensor in tensors.values())
    print(f"PEFT {peft.__version__} loads {kind} of {size} numbers; largest "
          f"difference of logits {difference:.2e}, from the bare model "
          f"{effect:.2e}; likeliest next token "
          f"{tokenizer.decode(given[-1].argmax())!r}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes trainer_curve.json: what PEFT's training does to prompts and prefixes.

  make_trainer_curve_golden.py [OUTPUT]     needs torch, transformers and peft

Trains on tiny models of architectures/ as is usual with PEFT: padded batches,
labels on the answer only, torch's AdamW and clipping, the learning rate warmed
up over WARMUP steps and then falling in a straight line to 0 (reaching the top
in the last step of the warm-up, so that no step is made with 0). The frozen
model has no dropout. For each case the file holds the values that training
begins with, as Attune names and shapes them, and those it ends with, and the
loss of every step before its update. "order" tells which example is taken when,
batch after batch.
"""

import json
import pathlib
import sys

import peft
import torch
import transformers

VOCAB = 96
FIRST_ORDINARY_ID = 6
IGNORED = -100
STEPS = 50
BATCH = 8
WARMUP = 5
NUM_EXAMPLES = 40  # different ones
NUM_VIRTUAL_TOKENS = 4
TRAINING = {"learning_rate": 0.05, "weight_decay": 0.01, "beta1": 0.9,
            "beta2": 0.999, "epsilon": 1e-8, "warmup": WARMUP, "steps": STEPS,
            "batch": BATCH}
# (directory in architectures/, method, max_grad_norm that clips some steps)
CASES = [("llama", "prompt_tuning", 1.0), ("llama", "prefix_tuning", 0.4),
         ("gpt2", "prompt_tuning", 1.0), ("gpt2", "prefix_tuning", 0.6),
         ("t5_v11", "prompt_tuning", 1.5)]


def make_rows(random):
    """Examples, texts of 3 to 16 tokens whose first decides the answer, and
    the order in which they are taken."""
    answers = [[20, 31], [22], [50, 23, 60], [77, 20]]
    examples = []
    for i in range(NUM_EXAMPLES):
        length = 3 + int(torch.randint(14, (), generator=random))
        text = torch.randint(FIRST_ORDINARY_ID, VOCAB, (length,),
                             generator=random).tolist()
        text[0] = 10 + i % len(answers)
        examples.append({"text": text, "answer": answers[i % len(answers)]})
    taken = []
    while len(taken) < STEPS * BATCH:
        taken += torch.randperm(NUM_EXAMPLES, generator=random).tolist()
    return examples, taken[:STEPS * BATCH]


def padded(sequences, filler):
    longest = max(len(one) for one in sequences)
    return torch.tensor(
        [one + [filler] * (longest - len(one)) for one in sequences])


def make_batch(rows, encoder_decoder):
    if encoder_decoder:
        inputs = [row["text"] for row in rows]
        labels = [row["answer"] for row in rows]
    else:
        inputs = [row["text"] + row["answer"] for row in rows]
        labels = [[IGNORED] * len(row["text"]) + row["answer"] for row in rows]
    return {"input_ids": padded(inputs, 0),
            "attention_mask": padded([[1] * len(one) for one in inputs], 0),
            "labels": padded(labels, IGNORED)}


def load(name):
    directory = pathlib.Path(__file__).parent / "architectures" / name
    encoder_decoder = name.startswith("t5")
    kind = (transformers.AutoModelForSeq2SeqLM if encoder_decoder
            else transformers.AutoModelForCausalLM)
    return encoder_decoder, kind.from_pretrained(directory, dtype=torch.float32)


def initial_rows(base, random):
    ids = torch.randint(FIRST_ORDINARY_ID, VOCAB, (NUM_VIRTUAL_TOKENS,),
                        generator=random)
    return base.get_input_embeddings()(ids).detach()


def initial_prefix(base, rows):
    """Keys and values that the base makes of rows, as PEFT's weight."""
    with torch.no_grad():
        cache = base(inputs_embeds=rows[None], use_cache=True).cache
    pairs = torch.stack([
        torch.stack([layer.keys[0], layer.values[0]])
        for layer in cache.layers])  # [layers, 2, kv_heads, length, head_dim]
    return pairs.permute(3, 0, 1, 2, 4).reshape(len(rows), -1)


def attach(base, method, encoder_decoder, random):
    task = (peft.TaskType.SEQ_2_SEQ_LM if encoder_decoder
            else peft.TaskType.CAUSAL_LM)
    start = initial_rows(base, random)
    if method == "prompt_tuning":
        config = peft.PromptTuningConfig(
            task_type=task, num_virtual_tokens=NUM_VIRTUAL_TOKENS,
            num_transformer_submodules=1)
    else:
        start = initial_prefix(base, start)
        config = peft.PrefixTuningConfig(
            task_type=task, num_virtual_tokens=NUM_VIRTUAL_TOKENS)
    model = peft.get_peft_model(base, config).eval()  # eval: no dropout
    weight = model.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        weight.copy_(start)
    return model, weight


def as_attune(method, weight, config):
    """The values by Attune's names: {name: {"shape", "values"}}."""
    weight = weight.detach()
    if method == "prompt_tuning":
        tensors = {"prompt": weight}
    else:
        pairs = weight.view(
            weight.shape[0], config.num_layers, 2, config.num_attention_heads,
            config.token_dim // config.num_attention_heads
        ).permute(2, 1, 3, 0, 4)
        tensors = {"prefix.keys": pairs[0], "prefix.values": pairs[1]}
    return {name: {"shape": list(tensor.shape),
                   "values": tensor.flatten().tolist()}
            for name, tensor in tensors.items()}


def train(name, method, max_grad_norm, examples, order):
    random = torch.Generator().manual_seed(7)
    encoder_decoder, base = load(name)
    model, weight = attach(base, method, encoder_decoder, random)
    config = model.peft_config["default"]
    begin = as_attune(method, weight, config)
    optimiser = torch.optim.AdamW(
        [weight], lr=TRAINING["learning_rate"],
        betas=(TRAINING["beta1"], TRAINING["beta2"]), eps=TRAINING["epsilon"],
        weight_decay=TRAINING["weight_decay"])
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: (step + 1) / WARMUP if step < WARMUP
        else 1 - (step - WARMUP) / (STEPS - WARMUP))
    losses, norms = [], []
    for step in range(STEPS):
        taken = order[step * BATCH:(step + 1) * BATCH]
        batch = make_batch([examples[i] for i in taken], encoder_decoder)
        optimiser.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(
            [weight], max_grad_norm).item())
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    clipped = sum(norm > max_grad_norm for norm in norms)
    print(f"{name} {method}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, "
          f"{clipped} of {STEPS} gradients clipped, norms "
          f"{min(norms):.2f} to {max(norms):.2f}", flush=True)
    assert losses[-1] < 0.8 * losses[0], "it learns nothing"
    assert 0 < clipped < STEPS, "clipping always or never"
    return {"model": name, "method": method, "max_grad_norm": max_grad_norm,
            "losses": losses, "grad_norms": norms, "begin": begin,
            "end": as_attune(method, weight, config)}


def main():
    torch.set_num_threads(1)
    examples, order = make_rows(torch.Generator().manual_seed(5))
    golden = {"peft": peft.__version__, "torch": torch.__version__,
              "transformers": transformers.__version__, "training": TRAINING,
              "examples": examples, "order": order,
              "cases": [train(*case, examples, order) for case in CASES]}
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).with_name("trainer_curve.json"))
    output.write_text(json.dumps(golden) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

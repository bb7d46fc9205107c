#!/usr/bin/env python3
"""Writes peft_curve.safetensors: 50 training steps of PEFT on the tiny Llama of
architectures/llama.

  make_peft_curve_golden.py [OUTPUT]    needs torch, transformers, peft and
                                        safetensors

Prompt tuning and prefix tuning of the same rows in the same order, in fp32, as
PEFT is used: ragged rows padded on the right, the mean cross-entropy of the
answers' tokens, torch.optim.AdamW, clipped gradients, a linear schedule with
warm-up. The warm-up is one step ahead of transformers', which would waste the
first step on a learning rate of 0. The file holds
    text.i, answer.i              token ids of row i
    order [steps, batch]          the rows of each step
    prompt.initial, prompt.final  [rows, dim]
    prefix.keys.initial, prefix.values.initial, prefix.keys.final,
    prefix.values.final           [layers, kv_heads, rows, head_dim]
    prompt.losses, prefix.losses  [steps]  before each update
and in its metadata the settings. The script fails if nothing is learnt, if no
gradient is clipped or if the same run in fp64 gives another curve, which would
make fp32 curves a matter of luck.
"""

import pathlib
import sys

import peft
import safetensors.torch
import torch
import transformers

HERE = pathlib.Path(__file__).parent
MODEL = HERE / "architectures" / "llama"
IGNORED = -100
NUM_ROWS = 24
NUM_STEPS = 50
BATCH = 6
WARMUP = 5
WEIGHT_DECAY = 0.01
VIRTUAL_TOKENS = 4
FIRST_TOKEN = 3  # those before it are special
LEARNING_RATES = {"prompt": 0.05, "prefix": 0.3}
# A prefix of this model has gradients below 1.
MAX_NORMS = {"prompt": 1.0, "prefix": 0.3}
# fp32 against fp64 over the whole curve.
MAX_ROUNDING = 5e-5


def make_rows(vocab_size):
    """Ragged texts of random tokens, each with an answer that its first token
    decides: something that a prompt can learn."""
    rows = []
    for i in range(NUM_ROWS):
        text = torch.randint(FIRST_TOKEN, vocab_size, (3 + i % 9,))
        kind = int(text[0]) % 2
        answer = torch.tensor([10 + kind, 20 + kind, 30][:1 + i % 3])
        rows.append((text, answer))
    return rows


def make_order():
    """Pass after pass over all rows, each in an order of its own."""
    passes = -(-NUM_STEPS * BATCH // NUM_ROWS)
    order = torch.cat([torch.randperm(NUM_ROWS) for _ in range(passes)])
    return order[:NUM_STEPS * BATCH].view(NUM_STEPS, BATCH)


def collate(rows):
    longest = max(len(text) + len(answer) for text, answer in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for i, (text, answer) in enumerate(rows):
        end = len(text) + len(answer)
        ids[i, :end] = torch.cat([text, answer])
        mask[i, :end] = 1
        labels[i, len(text):end] = answer
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def rate_factor(step):
    if step < WARMUP:
        return (step + 1) / WARMUP
    return (NUM_STEPS - step) / (NUM_STEPS - WARMUP)


def peft_rows(keys, values):
    """PEFT's prefix: layer after layer, keys before values, heads inside."""
    both = torch.stack([keys, values], 1)
    return both.permute(3, 0, 1, 2, 4).reshape(VIRTUAL_TOKENS, -1)


def keys_and_values(weight, config):
    both = weight.view(VIRTUAL_TOKENS, config.num_hidden_layers, 2,
                       config.num_key_value_heads, config.head_dim)
    both = both.permute(1, 2, 3, 0, 4)
    return both[:, 0].contiguous(), both[:, 1].contiguous()


def train(name, start, rows, order, dtype):
    """-> the losses, the final weight, how many gradients were clipped."""
    base = transformers.AutoModelForCausalLM.from_pretrained(
        MODEL, dtype=dtype)
    kind = {"prompt": peft.PromptTuningConfig,
            "prefix": peft.PrefixTuningConfig}[name]
    model = peft.get_peft_model(base, kind(
        task_type=peft.TaskType.CAUSAL_LM,
        num_virtual_tokens=VIRTUAL_TOKENS)).to(dtype).train()
    weight = model.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        weight.copy_(start)
    optimiser = torch.optim.AdamW([weight], lr=LEARNING_RATES[name],
                                  weight_decay=WEIGHT_DECAY)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, rate_factor)
    losses, clipped = [], 0
    for step in order.tolist():
        optimiser.zero_grad()
        loss = model(**collate([rows[i] for i in step])).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([weight], MAX_NORMS[name])
        clipped += norm.item() > MAX_NORMS[name]
        optimiser.step()
        scheduler.step()
        losses.append(loss.item())
    return torch.tensor(losses), weight.detach().float(), clipped


def checked_train(name, start, rows, order):
    losses, final, clipped = train(name, start, rows, order, torch.float32)
    exact, _, _ = train(name, start, rows, order, torch.float64)
    rounding = (losses - exact).abs().max().item()
    print(f"{name}: loss {losses[:5].mean():.3f} to {losses[-5:].mean():.3f}, "
          f"{clipped} gradients clipped, fp64 differs by {rounding:.1e}")
    assert losses[-5:].mean() < 0.8 * losses[:5].mean(), "nothing learnt"
    assert 0 < clipped < NUM_STEPS, "clipping is not tested"
    assert rounding < MAX_ROUNDING, "fp32 does not decide the curve"
    return losses, final


def main():
    torch.manual_seed(11)
    config = transformers.AutoConfig.from_pretrained(MODEL)
    rows = make_rows(config.vocab_size)
    order = make_order()
    table = transformers.AutoModelForCausalLM.from_pretrained(
        MODEL, dtype=torch.float32).get_input_embeddings().weight.detach()
    prompt = table[torch.randint(FIRST_TOKEN, len(table), (VIRTUAL_TOKENS,))]
    shape = (config.num_hidden_layers, config.num_key_value_heads,
             VIRTUAL_TOKENS, config.head_dim)
    keys, values = 0.5 * torch.randn(shape), 0.5 * torch.randn(shape)
    golden = {"order": order, "prompt.initial": prompt,
              "prefix.keys.initial": keys, "prefix.values.initial": values}
    for i, (text, answer) in enumerate(rows):
        golden[f"text.{i}"], golden[f"answer.{i}"] = text, answer
    golden["prompt.losses"], golden["prompt.final"] = checked_train(
        "prompt", prompt, rows, order)
    golden["prefix.losses"], final = checked_train(
        "prefix", peft_rows(keys, values), rows, order)
    golden["prefix.keys.final"], golden["prefix.values.final"] = (
        keys_and_values(final, config))
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          HERE / "peft_curve.safetensors")
    safetensors.torch.save_file(
        {name: tensor.contiguous() for name, tensor in golden.items()}, output,
        metadata={"peft": peft.__version__,
                  "transformers": transformers.__version__,
                  "prompt.learning_rate": str(LEARNING_RATES["prompt"]),
                  "prefix.learning_rate": str(LEARNING_RATES["prefix"]),
                  "weight_decay": str(WEIGHT_DECAY),
                  "prompt.max_norm": str(MAX_NORMS["prompt"]),
                  "prefix.max_norm": str(MAX_NORMS["prefix"]),
                  "warmup": str(WARMUP)})


if __name__ == "__main__":
    main()

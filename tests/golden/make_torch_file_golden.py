#!/usr/bin/env python3
"""Writes torch_file.bin and torch_file_protocol5.bin: one state dict as
torch.save writes it, with its own pickle protocol (2) and with the newest.

  make_torch_file_golden.py [DIRECTORY]     needs torch
"""

import pathlib
import sys

import torch


def state_dict():
    base = torch.arange(12, dtype=torch.float32).view(3, 4)
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(base.clone())
    module.tied = module.weight
    module.register_buffer("position_ids", torch.arange(5).expand(1, -1))
    state = module.state_dict()  # with _metadata
    state["f32"] = base / 4
    state["f64"] = base[0].double() / 3
    state["f16"] = (base / 4).half()
    state["bf16"] = (base / 4).bfloat16()
    state["i32"] = torch.arange(-3, 3, dtype=torch.int32)
    state["i16"] = torch.arange(-3, 3, dtype=torch.int16)
    state["i8"] = torch.arange(-3, 3, dtype=torch.int8)
    state["u8"] = torch.arange(6, dtype=torch.uint8)
    state["bool"] = torch.tensor([True, False, True])
    state["turned"] = base.t()
    state["window"] = base[1:, ::2]
    state["scalar"] = torch.tensor(7.5)
    state["empty"] = torch.empty(0, 3)
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    return state


def main():
    directory = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                             pathlib.Path(__file__).parent)
    torch.save(state_dict(), directory / "torch_file.bin")
    torch.save(state_dict(), directory / "torch_file_protocol5.bin",
               pickle_protocol=5)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes prompt_encoders.safetensors: what PEFT's encoders of a prompt make of
their embeddings, with their weights, and a gradient through each.

  make_prompt_encoders_golden.py [OUTPUT]     needs torch, peft and safetensors
"""

import pathlib
import sys

import torch
from peft import (PrefixEncoder, PrefixTuningConfig, PromptEncoder,
                  PromptEncoderConfig)
from safetensors.torch import save_file

ROWS, DIM, HIDDEN, LAYERS = 5, 6, 4, 3


def prompt_encoder(kind):
    return PromptEncoder(PromptEncoderConfig(
        num_virtual_tokens=ROWS, token_dim=DIM, num_transformer_submodules=1,
        num_attention_heads=2, num_layers=LAYERS, encoder_hidden_size=HIDDEN,
        encoder_num_layers=2, encoder_reparameterization_type=kind))


def prefix_encoder():
    return PrefixEncoder(PrefixTuningConfig(
        num_virtual_tokens=ROWS, token_dim=DIM, num_transformer_submodules=1,
        num_attention_heads=2, num_layers=LAYERS, encoder_hidden_size=HIDDEN,
        prefix_projection=True))


def main():
    tensors = {}
    for name, make in (("mlp", lambda: prompt_encoder("MLP")),
                       ("lstm", lambda: prompt_encoder("LSTM")),
                       ("projection", prefix_encoder)):
        torch.manual_seed(5)
        encoder = make()
        output = encoder(torch.arange(ROWS).unsqueeze(0))[0]
        output.square().sum().backward()
        tensors[f"{name}.output"] = output.detach().contiguous()
        for parameter, value in encoder.named_parameters():
            tensors[f"{name}.value.{parameter}"] = value.detach().clone()
            tensors[f"{name}.gradient.{parameter}"] = value.grad.clone()
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).with_name(
                              "prompt_encoders.safetensors"))
    save_file(tensors, output)


if __name__ == "__main__":
    main()

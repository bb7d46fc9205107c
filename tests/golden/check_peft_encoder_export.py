#!/usr/bin/env python3
"""Loads an exported prompt of an encoder with PEFT and answers with it.

  check_peft_encoder_export.py MODEL_DIR PROMPT_DIR TEXT...

MODEL_DIR is the base model's directory, PROMPT_DIR what `attune prompts export`
wrote. Prints, for each text, the likeliest label and its probability: the head
over the mean of the text's rows behind PEFT's prompt. `attune predict` must give
the same. Texts must be all of the template. Needs torch, transformers, peft and
safetensors.
"""

import json
import pathlib
import sys

import peft
import safetensors.torch
import torch
import transformers


def main():
    model_dir, prompt_dir = sys.argv[1], pathlib.Path(sys.argv[2])
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    base = transformers.AutoModel.from_pretrained(
        model_dir, dtype=torch.float32).eval()
    model = peft.PeftModel.from_pretrained(base, prompt_dir).eval()
    head = safetensors.torch.load_file(prompt_dir / "attune_head.safetensors")
    manifest = json.loads((prompt_dir / "attune_manifest.json").read_text())
    labels = [label["label"] for label in manifest["task"]["labels"]]
    num_rows = model.get_prompt(batch_size=1).shape[1]
    for text in sys.argv[3:]:
        encoded = tokenizer(text, return_tensors="pt", truncation=False)
        with torch.no_grad():
            hidden = model(
                input_ids=encoded.input_ids,
                attention_mask=encoded.attention_mask).last_hidden_state[0]
            pooled = hidden[num_rows:].mean(0)
            scores = torch.softmax(head["weight"] @ pooled + head["bias"], 0)
        best = scores.argmax().item()
        print(f"{text!r}: {labels[best]} {100 * scores[best].item():.1f} %")


if __name__ == "__main__":
    main()

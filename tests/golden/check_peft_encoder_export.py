#!/usr/bin/env python3
"""Loads an exported version of an encoder with PEFT and answers with it.

  check_peft_encoder_export.py MODEL_DIR VERSION_DIR TEXT...

MODEL_DIR is the base model's directory, VERSION_DIR what `attune prompts export`
wrote: PROMPT_TUNING, PREFIX_TUNING or LORA with a head. Checks that PEFT holds
the file's tensors and that they change the hidden states. Prints, for each text,
the likeliest label and its probability: the head over the mean of the text's
rows. `attune predict` must give the same. Texts must be all of the template.
Needs torch, transformers, peft and safetensors.
"""

import json
import pathlib
import sys

import peft
import safetensors.torch
import torch
import transformers

import check_peft_export as shared


def load_base(model_dir):
    return transformers.AutoModel.from_pretrained(
        model_dir, dtype=torch.float32).eval()


def main():
    model_dir, version_dir = sys.argv[1], pathlib.Path(sys.argv[2])
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    config = json.loads((version_dir / "adapter_config.json").read_text())
    tensors = safetensors.torch.load_file(
        version_dir / "adapter_model.safetensors")
    base = load_base(model_dir)
    model = peft.PeftModel.from_pretrained(load_base(model_dir),
                                           version_dir).eval()
    shared.check_tensors(model, tensors)
    head = safetensors.torch.load_file(version_dir / "attune_head.safetensors")
    manifest = json.loads((version_dir / "attune_manifest.json").read_text())
    labels = [label["label"] for label in manifest["task"]["labels"]]
    for text in sys.argv[3:]:
        encoded = tokenizer(text, return_tensors="pt", truncation=False)
        inputs = {"input_ids": encoded.input_ids,
                  "attention_mask": encoded.attention_mask}
        count = encoded.input_ids.shape[1]
        with torch.no_grad():
            # Rows of a prompt stand before the text's; a prefix has none.
            hidden = model(**inputs).last_hidden_state[0][-count:]
            bare = base(**inputs).last_hidden_state[0]
            pooled = hidden.mean(0)
            scores = torch.softmax(head["weight"] @ pooled + head["bias"], 0)
        effect = (hidden - bare).abs().max().item()
        assert effect > shared.MAX_DIFFERENCE, (
            f"{config['peft_type']} changes nothing: this release of "
            "transformers gives the encoder no such adapter")
        best = scores.argmax().item()
        print(f"{text!r}: {labels[best]} {100 * scores[best].item():.1f} %")


if __name__ == "__main__":
    main()

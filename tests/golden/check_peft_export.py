#!/usr/bin/env python3
"""Loads an exported prompt with PEFT and compares it with Attune.

  check_peft_export.py MODEL_DIR PROMPT_DIR [TEXT]

MODEL_DIR is the base model's directory, PROMPT_DIR what `attune prompts export`
wrote. Checks that PEFT accepts the directory, that the rows it puts in front of
the text are the exported ones bit by bit, that the logits equal those of the
base model run on [rows; embeddings] by hand, and that PEFT writes the same
adapter_config.json when it saves the prompt again. Needs torch, transformers,
peft and safetensors.
"""

import json
import pathlib
import sys
import tempfile

import peft
import safetensors.torch
import torch
import transformers


def main():
    model_dir, prompt_dir = sys.argv[1], pathlib.Path(sys.argv[2])
    text = sys.argv[3] if len(sys.argv) > 3 else "Where is my new card?"
    base = transformers.AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    model = peft.PeftModel.from_pretrained(base, prompt_dir).eval()
    rows = safetensors.torch.load_file(
        prompt_dir / "adapter_model.safetensors")["prompt_embeddings"]
    ids = tokenizer(text, return_tensors="pt").input_ids

    with torch.no_grad():
        loaded = model.get_prompt(batch_size=1)[0]
        assert torch.equal(loaded, rows), "PEFT reads other rows"
        given = model(input_ids=ids,
                      attention_mask=torch.ones_like(ids)).logits[0]
        embedded = torch.cat([rows, base.get_input_embeddings()(ids[0])])
        by_hand = base(inputs_embeds=embedded[None]).logits[0]
    difference = (given - by_hand).abs().max().item()
    assert given.shape[0] == rows.shape[0] + ids.shape[1]
    assert difference < 1e-3, f"logits differ by {difference}"

    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        again = json.loads(
            (pathlib.Path(directory) / "adapter_config.json").read_text())
    ours = json.loads((prompt_dir / "adapter_config.json").read_text())
    # The trainer's own path and the release that wrote the file.
    for own in ("base_model_name_or_path", "peft_version"):
        again.pop(own, None)
        ours.pop(own, None)
    assert ours == again, f"PEFT would write {again}, not {ours}"
    print(f"PEFT {peft.__version__} loads {tuple(rows.shape)} rows; "
          f"largest difference of logits {difference:.2e}; "
          f"likeliest next token {tokenizer.decode(given[-1].argmax())!r}")


if __name__ == "__main__":
    main()

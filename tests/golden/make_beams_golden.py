#!/usr/bin/env python3
"""Writes beams.json: what beam search of transformers finds with tiny models.

    make_beams_golden.py [OUTPUT]       needs torch and transformers

The models are those in architectures/. For each: inputs of 3 lengths, 2 and 4
beams, length penalties, at most 12 new tokens, and the end tokens: the model's
own, which never comes, and one or two that come in the midst of the text that
was found without (`ids` of that case), so that hypotheses of several lengths
compete. `ids` are without the end token, `score` is sequences_scores. A case
where fp64 finds another text is left out: there rounding decides.
"""

import json
import pathlib
import sys

import torch
import transformers

MODELS = {"llama": "AutoModelForCausalLM", "gpt2": "AutoModelForCausalLM",
          "gemma3_text": "AutoModelForCausalLM",
          "t5": "AutoModelForSeq2SeqLM"}
INPUT_LENGTHS = (1, 5, 17)
MAX_NEW_TOKENS = 12


def search(model, ids, beams, penalty, ends):
    found = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)).long(),
        num_beams=beams, do_sample=False, length_penalty=penalty,
        early_stopping=False, max_new_tokens=MAX_NEW_TOKENS,
        eos_token_id=list(ends), pad_token_id=0, return_dict_in_generate=True,
        output_scores=True)
    first = 1 if model.config.is_encoder_decoder else len(ids)
    answer = found.sequences[0, first:].tolist()
    ended = any(end in answer for end in ends)
    if ended:
        answer = answer[:min(answer.index(e) for e in ends if e in answer)]
    return {"ids": answer, "ended": ended,
            "score": found.sequences_scores[0].item()}


def cases_of(name, models, ids):
    model, exact = models
    for beams in (2, 4):
        for penalty in (1.0, 0.0, 2.0, -1.0):
            own = model.generation_config.eos_token_id
            ends = [own] if isinstance(own, int) else list(own)
            for count in (0, 1, 2):
                if count:
                    # What is found with the first of them may do without it.
                    ends = [free[3]] if count == 1 else [free[3], free[7]]
                ends = sorted(set(ends))
                found = search(model, ids, beams, penalty, ends)
                if count == 0:
                    free = found["ids"]
                    if len(free) < MAX_NEW_TOKENS:
                        break
                if search(exact, ids, beams, penalty, ends)["ids"] != found["ids"]:
                    continue
                yield {"model": name, "input": ids, "num_beams": beams,
                       "length_penalty": penalty, "end_tokens": ends,
                       "max_new_tokens": MAX_NEW_TOKENS, **found}


def main():
    here = pathlib.Path(__file__).parent
    cases = []
    for name, kind in MODELS.items():
        models = [
            getattr(transformers, kind).from_pretrained(
                here / "architectures" / name, dtype=dtype,
                attn_implementation="eager").eval()
            for dtype in (torch.float32, torch.float64)]
        random = torch.Generator().manual_seed(11)
        for length in INPUT_LENGTHS:
            ids = torch.randint(6, 96, (length,), generator=random).tolist()
            with torch.no_grad():
                cases.extend(cases_of(name, models, ids))
        own = [case for case in cases if case["model"] == name]
        print(name, len(own), "cases,", sum(c["ended"] for c in own), "ended")
    output = pathlib.Path(
        sys.argv[1] if len(sys.argv) > 1 else here / "beams.json")
    lines = ",\n".join(json.dumps(case) for case in cases)
    output.write_text("[\n" + lines + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

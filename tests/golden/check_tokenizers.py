#!/usr/bin/env python3
"""Compares `attune-worker tokenize` with transformers' fast tokenizer.

  check_tokenizers.py [--worker FILE] MODEL_DIR TEXTS.jsonl...

Needs transformers from PyPI. Each row of TEXTS has a "text". Compared are the
ids and the offsets (in characters) of every text, with and without special
tokens, and of every text together with the one behind it as a pair. Prints the
counts and the first differences; ends with 1 if there are any.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHOWN = 5


def read_texts(paths):
    texts = []
    for path in paths:
        # Not splitlines(): a text may hold other line separators.
        for line in pathlib.Path(path).read_text("utf-8").split("\n"):
            if line:
                texts.append(json.loads(line)["text"])
    return texts


def run_worker(worker, model, rows, special):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl",
                                     encoding="utf-8") as file:
        for first, second in rows:
            row = {"text": first}
            if second is not None:
                row["text_pair"] = second
            file.write(json.dumps(row) + "\n")
        file.flush()
        command = [worker, "tokenize", "--model", model, "--input", file.name]
        if not special:
            command.append("--no-special-tokens")
        output = subprocess.run(command, check=True, capture_output=True)
    lines = output.stdout.decode("utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def expect(tokenizer, first, second, special):
    # As a batch of one: a call with a single pair drops an empty second text.
    result = tokenizer([first], None if second is None else [second],
                       add_special_tokens=special,
                       return_offsets_mapping=True,
                       return_token_type_ids=True)
    return {"ids": result["input_ids"][0],
            "offsets": [list(pair) for pair in result["offset_mapping"][0]],
            "type_ids": result["token_type_ids"][0]}


def compare(name, tokenizer, worker, model, rows, special):
    """Prints the counts; returns how many rows differ."""
    answers = run_worker(worker, model, rows, special)
    if len(answers) != len(rows):
        sys.exit(f"{len(rows)} rows in, {len(answers)} out")
    equal = dict.fromkeys(("ids", "offsets", "type_ids"), 0)
    different = []
    num_tokens = 0
    for row, answer in zip(rows, answers):
        expected = expect(tokenizer, *row, special)
        num_tokens += len(expected["ids"])
        for key in equal:
            equal[key] += answer[key] == expected[key]
        if any(answer[key] != expected[key] for key in equal):
            different.append((row, answer, expected))
    print(f"{name}: {len(rows)} rows, {num_tokens} tokens; equal ids "
          f"{equal['ids']}, offsets {equal['offsets']}, type ids "
          f"{equal['type_ids']}")
    for row, answer, expected in different[:SHOWN]:
        print(f"  {row!r}"[:300])
        for key in equal:
            if answer[key] != expected[key]:
                print(f"    {key}: {answer[key]}"[:300])
                print(f"    expected: {expected[key]}"[:300])
    return len(different)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--worker",
                        default=str(ROOT / "build/dev/bin/attune-worker"))
    parser.add_argument("model")
    parser.add_argument("texts", nargs="+")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    texts = read_texts(arguments.texts)
    single = [(text, None) for text in texts]
    pairs = list(zip(texts, texts[1:]))
    different = 0
    for name, rows, special in (("texts", single, True),
                                ("texts, no special tokens", single, False),
                                ("pairs", pairs, True)):
        different += compare(name, tokenizer, arguments.worker,
                             arguments.model, rows, special)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

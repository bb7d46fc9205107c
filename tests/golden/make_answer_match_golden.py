#!/usr/bin/env python3
"""Writes answer_match.json: exact match and F1 of answers to questions, as
torchmetrics' SQuAD computes them.

  make_answer_match_golden.py [OUTPUT]     needs torchmetrics

Made with torchmetrics 1.9.0. Random answers of up to six words with case,
punctuation, articles and white space in odd places, against one to three right
ones. Per case: [right answers, given answer, exact match, F1], 0 to 1.
"""

import json
import pathlib
import random
import sys

from torchmetrics.functional.text import squad

NUM_CASES = 1000
WORDS = ["a", "The", "an", "Carolina", "panthers", "308", "points", "points",
         "U.S.", "well-known", "don't", "(2015)", "\u00e9t\u00e9", "--", "the,",
         "\u4e2d\u56fd", "$5", "Anne", "theme"]
SPACES = [" ", " ", " ", "  ", "\t", "\n"]


def answer(rng, words):
    text = ""
    for word in words:
        text += word + rng.choice(SPACES)
    return text if rng.random() < 0.2 else text.strip()


def main():
    rng = random.Random(5)
    cases = []
    for number in range(NUM_CASES):
        given = [rng.choice(WORDS) for _ in range(rng.randint(1, 6))]
        right = []
        for _ in range(rng.randint(1, 3)):
            words = [word if rng.random() < 0.7 else rng.choice(WORDS)
                     for word in given]
            if rng.random() < 0.3:
                words = words[1:] + [rng.choice(WORDS)]
            if rng.random() < 0.3:
                words = [rng.choice([word.lower(), word]) for word in words]
            right.append(answer(rng, words))
        text = answer(rng, given)
        scores = squad(
            [{"prediction_text": text, "id": "0"}],
            [{"answers": {"text": right, "answer_start": [0] * len(right)},
              "id": "0"}])
        cases.append([right, text, scores["exact_match"].item() / 100,
                      float(f"{scores['f1'].item() / 100:.7g}")])
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).with_name("answer_match.json"))
    rows = ",\n".join(json.dumps(one, separators=(",", ":")) for one in cases)
    output.write_text(f"[\n{rows}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

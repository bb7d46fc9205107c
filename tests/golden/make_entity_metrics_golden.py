#!/usr/bin/env python3
"""Writes entity_metrics.json: entities and their metrics as seqeval computes
them.

  make_entity_metrics_golden.py [OUTPUT]     needs seqeval and scikit-learn

Made with seqeval 1.2.2, scikit-learn 1.9.1 and numpy 2.4.6. "tag_sets" are BIO
and BIOES tags, also incomplete ones; "cases" are random rows of tags, as
indices into the set "set": sequences that keep to the scheme, answers that are
partly right, any tags whatever, types that only one side has, no entities.

Per case: accuracy; mean precision, recall and F1; [type, precision, recall, F1,
support] in "types". seqeval's macro mean over no types is not a number; here it
is 0. Every 4th case has "spans": for the right and the given tags, per row,
what get_entities finds, as [type, first, last]. Every 20th has "words": per tag
scikit-learn's [precision, recall, F1, support], and the confusion matrix.
"""

import json
import math
import pathlib
import random
import sys
import warnings

from seqeval.metrics import accuracy_score, classification_report
from seqeval.metrics.sequence_labeling import get_entities
from sklearn import metrics

NUM_CASES = 1200
TAG_SETS = [
    ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"],
    ["B-product", "B-ORG", "I-ORG", "O", "I-product", "B-Ära", "I-Ära"],
    ["O", "B-X", "I-X", "E-X", "S-X"],
    ["S-b-c", "E-b-c", "B-b-c", "I-b-c", "O", "B-a", "I-a", "E-a", "S-a"],
    ["O", "I-A", "B-B", "I-B", "S-C", "E-C", "B-D", "E-D", "I-E", "E-E"],
]


def entity(tags, name, length):
    """The tags of an entity of the type `name`, as far as the set has them."""
    bioes = any(tag[0] in "ES" for tag in tags)
    prefixes = ["B"] + ["I"] * (length - 1)
    if bioes:
        prefixes = ["S"] if length == 1 else prefixes[:-1] + ["E"]
    return [tags.index(f"{p}-{name}") for p in prefixes
            if f"{p}-{name}" in tags]


def orderly(rng, tags, names, length):
    row = []
    while len(row) < length:
        if not names or rng.random() < 0.4:
            row.append(tags.index("O"))
        else:
            row += entity(tags, rng.choice(names), rng.randint(1, 3))
    return row


def answer(rng, tags, right):
    kind = rng.choice(["noise", "noise", "noise", "random", "one type", "same",
                       "nothing"])
    names = sorted({tag[2:] for tag in tags if tag != "O"})
    rate = {"noise": 0.3, "random": 1}.get(kind, 0)
    given = []
    for row in right:
        if kind == "one type":
            row = orderly(rng, tags, names[:1], len(row))[:len(row)]
        elif kind == "nothing":
            row = [tags.index("O")] * len(row)
        given.append([rng.randrange(len(tags)) if rng.random() < rate else tag
                      for tag in row])
    return given


def rows_of(rng, tags):
    """Right and given tags of a case."""
    names = sorted({tag[2:] for tag in tags if tag != "O"})
    kind = rng.choice(["orderly", "orderly", "random", "few types"])
    if kind == "few types":
        names = rng.sample(names, rng.randint(0, len(names) - 1))
    right = []
    for _ in range(rng.choice([1, 1, 2, 3, 4])):
        length = rng.randint(0 if right else 1, 7)
        if kind == "random":
            right.append([rng.randrange(len(tags)) for _ in range(length)])
        else:
            right.append(orderly(rng, tags, names, length))
    return right, answer(rng, tags, right)


def number(value):
    value = float(value)
    if math.isnan(value):
        return 0
    value = round(value, 12)
    return int(value) if value == int(value) else value


def numbers(report):
    return [number(report[x]) for x in ("precision", "recall", "f1-score")]


def words(num_tags, right, given):
    right, given = sum(right, []), sum(given, [])
    labels = list(range(num_tags))
    columns = metrics.precision_recall_fscore_support(
        right, given, labels=labels, zero_division=0)
    return {
        "tags": [[number(x) for x in row] for row in zip(*columns)],
        "confusion": metrics.confusion_matrix(
            right, given, labels=labels).flatten().tolist(),
    }


def case(index, rng):
    tag_set = index % len(TAG_SETS)
    tags = TAG_SETS[tag_set]
    right, given = rows_of(rng, tags)
    names = [[[tags[t] for t in row] for row in side]
             for side in (right, given)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = classification_report(*names, output_dict=True,
                                       zero_division=0)
    result = {"set": tag_set, "right": right, "given": given,
              "accuracy": number(accuracy_score(*names))}
    for average in ("micro", "macro", "weighted"):
        result[average] = numbers(report.pop(f"{average} avg"))
    result["types"] = [[name, *numbers(row), int(row["support"])]
                       for name, row in report.items()]
    if index % 4 == 0:
        result["spans"] = [[get_entities(row) for row in side]
                           for side in names]
    if index % 20 == 0:
        result["words"] = words(len(tags), right, given)
    return result


def main():
    rng = random.Random(7)
    cases = [case(index, rng) for index in range(NUM_CASES)]
    lines = ",\n".join(json.dumps(one, separators=(",", ":"),
                                  ensure_ascii=False) for one in cases)
    sets = json.dumps(TAG_SETS, ensure_ascii=False)
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).with_name(
                              "entity_metrics.json"))
    output.write_text(f'{{"tag_sets": {sets},\n"cases": [\n{lines}\n]}}\n',
                      encoding="utf-8")


if __name__ == "__main__":
    main()

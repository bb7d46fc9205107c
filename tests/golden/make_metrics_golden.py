#!/usr/bin/env python3
"""Writes metrics.json: classification metrics as scikit-learn computes them.

  make_metrics_golden.py [OUTPUT]     needs scikit-learn and numpy

Cases: ordinary labels, a label that never occurs, a label that is never
answered, and everything right.
"""

import json
import pathlib
import sys

import numpy
from sklearn import metrics


def case(name, num_labels, right, given):
    right = [int(x) for x in right]
    given = [int(x) for x in given]
    labels = list(range(num_labels))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        right, given, labels=labels, zero_division=0)
    values = {"accuracy": metrics.accuracy_score(right, given)}
    for average in ("macro", "weighted"):
        p, r, f, _ = metrics.precision_recall_fscore_support(
            right, given, average=average, zero_division=0)
        values[f"{average}_precision"] = p
        values[f"{average}_recall"] = r
        values[f"{average}_f1"] = f
    return {
        "name": name,
        "num_labels": num_labels,
        "right": right,
        "given": given,
        "metrics": {k: float(v) for k, v in values.items()},
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.tolist(),
        "confusion": metrics.confusion_matrix(
            right, given, labels=labels).flatten().tolist(),
    }


def main():
    random = numpy.random.default_rng(7)
    right = random.integers(0, 5, 200)
    given = numpy.where(random.random(200) < 0.6, right,
                        random.integers(0, 5, 200))
    cases = [
        case("ordinary", 5, right, given),
        case("label_never_occurs", 4, [0, 1, 1, 2, 0], [0, 1, 2, 2, 1]),
        case("label_never_answered", 3, [0, 1, 2, 2, 1], [0, 0, 1, 0, 1]),
        case("all_right", 2, [0, 1, 1], [0, 1, 1]),
        case("answered_but_never_right", 3, [0, 0, 1], [2, 0, 1]),
    ]
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).with_name("metrics.json"))
    output.write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes head_metrics.json: metrics of rows with any number of labels and of
numbers, as scikit-learn and scipy compute them.

  make_head_metrics_golden.py [OUTPUT]     needs scikit-learn, scipy and numpy

"label_sets": random rows of up to five labels, labels that never occur or are
never answered, rows without labels. Means run over all labels. "numbers": random
pairs, with ties, and sides that do not vary, where a correlation is 0 here and
not a number in scipy.
"""

import json
import math
import pathlib
import sys
import warnings

import numpy
import scipy.stats
from sklearn import metrics

NUM_CASES = 1000


def rounded(value):
    return 0.0 if math.isnan(value) else float(f"{value:.14g}")


def label_set_case(random):
    num_labels = int(random.integers(2, 6))
    rows = int(random.integers(1, 9))
    share = random.random(num_labels) * random.integers(0, 2, num_labels)
    right = (random.random((rows, num_labels)) < share).astype(int)
    flips = random.random((rows, num_labels)) < random.choice([0.0, 0.1, 0.4])
    given = numpy.where(flips, 1 - right, right)
    values = {"exact_match": rounded(metrics.accuracy_score(right, given))}
    for average in ("micro", "macro", "weighted"):
        p, r, f, _ = metrics.precision_recall_fscore_support(
            right, given, average=average, zero_division=0)
        values[f"{average}_precision"] = rounded(p)
        values[f"{average}_recall"] = rounded(r)
        values[f"{average}_f1"] = rounded(f)
    p, r, f, support = metrics.precision_recall_fscore_support(
        right, given, average=None, zero_division=0)
    return {"num_labels": num_labels,
            "right": [numpy.flatnonzero(row).tolist() for row in right],
            "given": [numpy.flatnonzero(row).tolist() for row in given],
            "metrics": values,
            "classes": [[rounded(p[i]), rounded(r[i]), rounded(f[i]),
                         int(support[i])] for i in range(num_labels)]}


def number_case(random):
    count = int(random.integers(2, 12))
    right = numpy.round(random.normal(3, 2, count), int(random.integers(0, 3)))
    given = right + random.choice([0.1, 1, 3]) * random.normal(0, 1, count)
    given = numpy.round(given, int(random.integers(0, 3)))
    kind = random.integers(0, 12)
    if kind == 0:
        right[:] = right[0]
    if kind == 1:
        given[:] = given[0]
    right, given = right + 0.0, given + 0.0  # no negative zeros
    return {"right": right.tolist(), "given": given.tolist(),
            "metrics": {
                "mse": rounded(metrics.mean_squared_error(right, given)),
                "mae": rounded(metrics.mean_absolute_error(right, given)),
                "pearson": rounded(scipy.stats.pearsonr(right, given)[0]),
                "spearman": rounded(scipy.stats.spearmanr(right, given)[0])}}


def main():
    warnings.simplefilter("ignore")
    random = numpy.random.default_rng(11)
    golden = {"label_sets": [label_set_case(random) for _ in range(NUM_CASES)],
              "numbers": [number_case(random) for _ in range(NUM_CASES)]}
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).with_name("head_metrics.json"))
    lines = []
    for name, cases in golden.items():
        rows = ",\n".join(json.dumps(one, separators=(",", ":"))
                          for one in cases)
        lines.append(f'"{name}": [\n{rows}\n]')
    output.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes class_scores.json: scores of label probabilities as scikit-learn
computes them, calibration by the formula of its paper, and McNemar's test as
statsmodels computes it.

  make_class_scores_golden.py [OUTPUT]     needs scikit-learn and statsmodels

Made with scikit-learn 1.9.1, statsmodels 0.15.0, scipy 1.17.1 and numpy 2.4.6.
"scores": 1,000 random cases of two to six labels; probabilities are whole
hundredths, so many are equal and many lie between two bins. Per case: [right
labels, hundredths by row, [MCC, AUC or null, ECE, Brier score]]. The answer is
the most probable label, the first of several. AUC is null where a label is
right for no row or for all. ECE is the formula of Guo et al. 2017 with ten bins
(lower, upper]. "mcnemar": 1,000 cases of [gained, lost, p-value].
"""

import json
import pathlib
import sys
import warnings

import numpy
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar

NUM_CASES = 1000
NUM_BINS = 10


def random_hundredths(rng, num_rows, num_labels, right, sharpness):
    logits = rng.normal(0, 1, (num_rows, num_labels))
    logits[numpy.arange(num_rows), right] += 1
    weights = numpy.exp(sharpness * logits)
    shares = weights / weights.sum(axis=1, keepdims=True)
    hundredths = numpy.floor(shares * 100).astype(int)
    # Rows of exactly 100, not always by their most probable label.
    for row, missing in enumerate(100 - hundredths.sum(axis=1)):
        hundredths[row, rng.integers(num_labels)] += missing
    return hundredths


def auc_of(right, shares):
    num_labels = shares.shape[1]
    counts = numpy.bincount(right, minlength=num_labels)
    if counts.min() == 0 or counts.max() == len(right):
        return None
    if num_labels == 2:
        return metrics.roc_auc_score(right, shares[:, 1])
    return metrics.roc_auc_score(right, shares, multi_class="ovr",
                                 average="macro")


def ece_of(confidence, is_right):
    bounds = numpy.arange(1, NUM_BINS) / NUM_BINS
    bins = numpy.searchsorted(bounds, confidence, side="left")
    return sum(numpy.mean(bins == one) *
               abs(confidence[bins == one].mean() - is_right[bins == one].mean())
               for one in numpy.unique(bins))


def score_case(rng):
    num_labels = int(rng.integers(2, 7))
    num_rows = int(rng.choice([1, 2, 6, 12, 20, 24]))
    # In some cases labels do not occur, or only one does.
    num_right = (num_labels if rng.random() < 0.8
                 else rng.integers(1, num_labels + 1))
    right = rng.integers(0, num_right, num_rows)
    hundredths = random_hundredths(rng, num_rows, num_labels, right,
                                   rng.choice([0.3, 1, 4]))
    shares = hundredths / 100
    given = shares.argmax(axis=1)
    is_right = (given == right).astype(float)
    target = numpy.eye(num_labels)[right]
    values = [
        metrics.matthews_corrcoef(right, given),
        auc_of(right, shares),
        ece_of(shares.max(axis=1), is_right),
        ((shares - target) ** 2).sum(axis=1).mean(),
    ]
    return [right.tolist(), hundredths.tolist(),
            [None if value is None else float(f"{value:.12g}")
             for value in values]]


def mcnemar_case(rng):
    most = int(rng.choice([3, 30, 1000, 1000000]))
    lost = int(rng.integers(0, most + 1))
    # Near each other, so that p is not always 0.
    gained = max(0, lost + int(rng.normal(0, 1.5) * (2 * lost + 1) ** 0.5))
    p_value = mcnemar([[0, gained], [lost, 0]], exact=True).pvalue
    return [gained, lost, float(f"{p_value:.12g}")]


def main():
    warnings.simplefilter("ignore")  # of cases with a single label
    rng = numpy.random.default_rng(11)
    parts = {"scores": [score_case(rng) for _ in range(NUM_CASES)],
             "mcnemar": [mcnemar_case(rng) for _ in range(NUM_CASES)]}
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).with_name("class_scores.json"))
    texts = []
    for name, cases in parts.items():
        lines = ",\n".join(json.dumps(one, separators=(",", ":"))
                           for one in cases)
        texts.append(f'"{name}":[\n{lines}\n]')
    output.write_text("{\n" + ",\n".join(texts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

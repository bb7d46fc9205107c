#!/usr/bin/env python3
"""Writes text_metrics.json: BLEU, chrF and ROUGE of generated answers as
sacrebleu and rouge-score compute them, and distinct-1 and -2.

  make_text_metrics_golden.py [OUTPUT]     needs sacrebleu and rouge-score

Made with sacrebleu 2.6.0 and rouge-score 0.1.2; distinct-n is the formula of
Li et al. 2016: different n-grams over the number of words. Random corpora of
one to three rows with one to three right answers each, of which the given one
is a changed copy: words of several scripts, numbers, what the tokenizers treat
in their own ways, odd white space, and empty texts. Per case: [rows, values];
a row is [right answers, given answer], values are BLEU with the tokenizers 13a
and zh, chrF, ROUGE-1, -2, -L, distinct-1 and -2, all 0 to 1.
"""

import json
import logging
import pathlib
import random
import sys

from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF

NUM_CASES = 1000
WORDS = ["the", "The", "cat", "sat", "on", "a", "mat", "of", "in", "it",
         "3.5", "1,000", "10-12", "2-", "-7", ".5", "5.", "x,y", "U.S.",
         "don't", "'s", "e-mail", "(a)", "[b]", "$5", "50%", "a/b", "#1",
         "...", ",", "--", "!?", "{z}", "c:\\d", "a_b", "~", "&", "&amp;",
         "&lt;", "&amp;lt;", "&quot;", "<skipped>", "w-\nx", "-\n",
         "\u00e9t\u00e9", "na\u00efve,", "Stra\u00dfe", "\u0130x", "4\u212a",
         "\u041c\u043e\u0441\u043a\u0432\u0430", "\u043c\u0438\u0440.",
         "\u4e2d\u56fd", "\u4e2d\u6587\u3002", "\u6211\u7231you",
         "\u300a\u4e66\u300b", "3\uff0c5", "\u65e5\u672c\u3067\u3059",
         "\ud55c\uad6d", "\u2014", "\u201cq\u201d", "\u2192",
         "\U00020000\u4e00", "\U0001f600", "e\u0301", "\u0627\u0644",
         "\u0939\u093f", "a\u200bb", "K\u00dcHL"]
SPACES = [" "] * 12 + ["  ", "\t", "\n", "\u00a0", "\u3000", "\u2009", "\x1f",
                       "\x85"]


def text(rng, words):
    joined = ""
    for word in words:
        joined += word + rng.choice(SPACES)
    return joined if rng.random() < 0.2 else joined[:-1]


def changed(rng, words, keep):
    copy = [word if rng.random() < keep else rng.choice(WORDS)
            for word in words]
    if rng.random() < 0.4:
        cut = rng.randrange(len(copy) + 1)
        copy = copy[cut:] + copy[:cut]
    if rng.random() < 0.5:
        copy = copy[rng.randint(0, 2):]
    return copy


def random_row(rng):
    # Few words or many: repeated n-grams, or none.
    words = rng.choices(rng.choice([WORDS[:10], WORDS, WORDS[10:]]),
                        k=rng.choice([0, 1, 2, 3, 4, 5, 6, 8]))
    keep = rng.choice([0.3, 0.9, 0.9, 1])
    right = [text(rng, changed(rng, words, keep))
             for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    return right, text(rng, words)


def distinct(answers, order):
    ngrams = set()
    num_words = 0
    for answer in answers:
        words = answer.split()
        num_words += len(words)
        ngrams.update(tuple(words[i:i + order])
                      for i in range(len(words) - order + 1))
    return len(ngrams) / num_words if num_words else 0


def values_of(rows, scorer):
    given = [row[1] for row in rows]
    most = max(len(row[0]) for row in rows)
    right = [[row[0][i] if i < len(row[0]) else None for row in rows]
             for i in range(most)]
    values = [BLEU(tokenize=name).corpus_score(given, right).score / 100
              for name in ("13a", "zh")]
    values.append(CHRF().corpus_score(given, right).score / 100)
    scores = [scorer.score_multi(row[0], row[1]) for row in rows]
    values += [sum(score[name].fmeasure for score in scores) / len(scores)
               for name in ("rouge1", "rouge2", "rougeL")]
    return values + [distinct(given, 1), distinct(given, 2)]


def main():
    logging.disable(logging.WARNING)
    rng = random.Random(13)
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"],
                                      use_stemmer=False)
    cases = []
    for _ in range(NUM_CASES):
        rows = [random_row(rng) for _ in range(rng.choice([1, 1, 2, 3]))]
        cases.append([rows, [float(f"{value:.12g}")
                             for value in values_of(rows, scorer)]])
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).with_name("text_metrics.json"))
    lines = ",\n".join(json.dumps(one, separators=(",", ":"),
                                  ensure_ascii=False) for one in cases)
    output.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

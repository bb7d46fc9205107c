#!/usr/bin/env python3
"""What every kind of task reaches: a table of data sets and methods.

  tasks.py --data DIR [--sets NAME ...] [--methods NAME ...] [--steps N]
           [--max-test-rows N] [--seed N] [--server HOST:PORT] [--attune PATH]
  tasks.py --data DIR --sets wnut17 --methods head all_parameters ...  (one task)

DIR/<set>/{train,dev,test}.jsonl hold the rows; a set that is not there is left
out with a word. Needs a running server with a worker that has the models
(deploy/local.sh start) and the `attune` program. Every job has the service's own
defaults but for what stands here. `base` is the bare base model, `few_shot` the
same behind demonstrations that are chosen from the training rows, `nearest` behind
as many that are nearest to each input; where a head weighs the labels there is
none of the three. Each cell is the metric of the whole test split (or of
--max-test-rows rows drawn from it) with its 95 % interval.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import tempfile
import time
import uuid

import methods
import quality

CAUSAL = "smollm2-135m-instruct"
ENCODER = "all-minilm-l6-v2"
SPLITS = (("train", "train"), ("dev", "validation"), ("test", "test"))
HARD_METHODS = ("base", "few_shot", "nearest")
WORDS_METHODS = HARD_METHODS + ("prompt_tuning", "prefix_tuning")
HEAD_METHODS = ("head", "prompt_tuning", "prefix_tuning")


def as_is(row):
    return row


def yes_or_no(row):
    return {"context": row["context"], "question": row["question"],
            "label": row["answers"][0]}


def any_reference(row):
    """All right texts where a row has more than its target."""
    return {"source": row["source"],
            "target": row.get("references", row["target"])}


def next_turn(row):
    return {"turns": row["turns"][:-1], "target": row["turns"][-1]}


def cause_or_effect(row):
    link = "because" if row["question"] == "cause" else "so"
    return {"premise": row["premise"].rstrip("."), "link": link,
            "choices": [one[0].lower() + one[1:] for one in row["choices"]],
            "label": row["label"]}


@dataclasses.dataclass
class Task:
    metric: str
    task: dict
    model: str = CAUSAL
    methods: tuple = WORDS_METHODS
    demonstrations: int = 4
    convert: callable = as_is


def by_label(template, **rest):
    return {"type": "TASK_TYPE_TEXT_CLASSIFICATION", "template": template,
            **rest}


def by_text(template, max_new_tokens, **rest):
    return {"type": "TASK_TYPE_TEXT_GENERATION", "template": template,
            "decoding": {"max_new_tokens": max_new_tokens, "stop": ["\n"]},
            **rest}


TAGS = {"type": "TASK_TYPE_TOKEN_CLASSIFICATION", "template": "{{ tokens }}"}
TAG_METHODS = HEAD_METHODS + ("all_parameters",)

TASKS = {
    "sst2": Task("accuracy", by_label("Review: {{ text }}\nSentiment:")),
    "snips": Task("accuracy", by_label("Request: {{ text }}\nIntent:"),
                  demonstrations=7),
    "ag_news": Task("accuracy", by_label("News: {{ text }}\nTopic:")),
    "banking77": Task("accuracy", by_label("{{ text }}"), ENCODER,
                      HEAD_METHODS),
    "semeval2010_task8": Task("macro_f1", by_label("{{ text }}"), ENCODER,
                              HEAD_METHODS),
    "tnews": Task("accuracy", by_label("{{ text }}"), ENCODER, HEAD_METHODS),
    "boolq": Task("accuracy", by_label(
        "{{ context }}\nQuestion: {{ question }}?\nAnswer:"),
        demonstrations=2, convert=yes_or_no),
    "copa": Task("accuracy", {
        "type": "TASK_TYPE_MULTIPLE_CHOICE",
        "template": "{{ premise }} {{ link }}"}, convert=cause_or_effect),
    "wnut17": Task("micro_f1", TAGS, ENCODER, TAG_METHODS),
    "resume_ner_zh": Task("micro_f1", TAGS, ENCODER, TAG_METHODS),
    "xquad_en": Task("f1", {
        "type": "TASK_TYPE_EXTRACTIVE_QA",
        "template": "{{ question }} [SEP] {{ context }}"}, ENCODER,
        HEAD_METHODS + ("lora",)),
    "multi30k_en_de": Task("bleu", by_text(
        "English: {{ source }}\nGerman:", 48)),
    "xsum_sample": Task("rouge_l", by_text(
        "Article: {{ source }}\nSummary:", 48), demonstrations=1),
    "e2e_nlg": Task("bleu", by_text("Facts: {{ source }}\nText:", 64),
        convert=any_reference),
    "dailydialog": Task("rouge_l", by_text(
        "{% for turn in turns %}{{ 'B' if loop.index0 is odd else 'A' }}: "
        "{{ turn }}\n{% endfor %}"
        "{{ 'B' if turns | length is odd else 'A' }}:", 40),
        convert=next_turn),
}


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="A result of every kind of task, method by method.")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--sets", nargs="+", default=list(TASKS),
                        choices=TASKS)
    parser.add_argument("--methods", nargs="+",
                        help="of those that a set has; default all")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--epochs", type=float, default=5,
                        help="of all_parameters, at a learning rate of 2e-5")
    parser.add_argument("--virtual-tokens", type=int, default=20)
    parser.add_argument("--max-test-rows", type=int, default=0,
                        help="0: all of them")
    parser.add_argument("--max-validation-rows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attune", default="build/dev/bin/attune")
    parser.add_argument("--server", default="127.0.0.1:50051")
    return parser.parse_args()


def method_of(name, task, arguments):
    """-> what a job's spec has as its method and training."""
    training = {"seed": arguments.seed}
    if name in HARD_METHODS:
        hard = {} if name == "base" else {
            "num_demonstrations": task.demonstrations}
        if name == "nearest":
            hard["selection"] = "SELECTION_NEAREST"
        return {"hard_prompt": hard}, training
    if name == "all_parameters":
        return {name: {}}, {**training, "max_epochs": arguments.epochs,
                            "learning_rate": 2e-5, "batch_size": 16,
                            "validation_interval_epochs": 1}
    training["max_steps"] = arguments.steps
    if name in ("prompt_tuning", "prefix_tuning"):
        return {name: {
            "num_virtual_tokens": arguments.virtual_tokens}}, training
    return {name: {}}, training


def upload(service, name, task, folder):
    """-> the dataset, and how many rows each split has."""
    dataset = f"tasks-{name.replace('_', '-')}-{uuid.uuid4().hex[:8]}"
    service.must("datasets", "create", dataset)
    counts = {}
    for split, api_split in SPLITS:
        rows = [task.convert(row) for row
                in quality.read_rows(folder / f"{split}.jsonl")]
        counts[split] = len(rows)
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl",
                                         encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            service.must("datasets", "upload", dataset, file.name, "--split",
                         api_split)
    return dataset, counts


def measure(service, name, task, dataset, method, arguments):
    """-> the cell of the table, and a line for standard error."""
    tuning_method, training = method_of(method, task, arguments)
    begin = time.perf_counter()
    job, reason = service.train({
        "prompt": f"prompts/{dataset}-{method.replace('_', '-')}",
        "base_model": f"models/{task.model}",
        "data": {"dataset": f"datasets/{dataset}"},
        "task": task.task,
        "method": tuning_method,
        "training": training,
        "evaluation": {
            "skip_baseline": True,
            "max_test_rows": arguments.max_test_rows,
            "max_validation_rows": arguments.max_validation_rows}})
    seconds = time.perf_counter() - begin
    if job is None or "report" not in job:
        reason = reason or job.get("error", {}).get("message", "it failed")
        return "-", f"{name} {method}: {reason}"
    after = job["report"]["after"]
    value = after["metrics"][task.metric]
    bounds = after.get("intervals", {}).get(task.metric)
    cell = f"{100 * value:.1f}"
    if bounds:
        low, high = (100 * bounds.get(end, 0.0) for end in ("low", "high"))
        cell += f" ({low:.1f}-{high:.1f})"
    return cell, (f"{name} {method}: {task.metric} {cell} of "
                  f"{after['numRows']} rows, {seconds:.0f} s")


def main():
    arguments = parse_arguments()
    service = methods.Service(arguments)
    wanted = arguments.methods or sorted(
        {one for task in TASKS.values() for one in task.methods},
        key=("base few_shot nearest prompt_tuning prefix_tuning lora head "
             "all_parameters").split().index)
    print(f"seed {arguments.seed}, {arguments.steps} steps, "
          f"{arguments.virtual_tokens} virtual tokens; {CAUSAL}, or {ENCODER} "
          "where there is no base\n\n" +
          f"{'set':18} {'metric':9} {'test rows':>9}  " +
          "  ".join(f"{one:17}" for one in wanted), flush=True)
    measured = 0
    for name in arguments.sets:
        task, folder = TASKS[name], arguments.data / name
        missing = [split for split, _ in SPLITS
                   if not (folder / f"{split}.jsonl").is_file()]
        if missing:
            print(f"{name:18} left out: {folder} has no {missing[0]}.jsonl")
            continue
        dataset, counts = upload(service, name, task, folder)
        cells = []
        for method in wanted:
            cell = ""
            if method in task.methods:
                cell, line = measure(service, name, task, dataset, method,
                                     arguments)
                print(line, file=sys.stderr, flush=True)
            cells.append(cell)
        rows = min(counts["test"], arguments.max_test_rows or counts["test"])
        print(f"{name:18} {task.metric:9} {rows:9}  " +
              "  ".join(f"{cell:17}" for cell in cells), flush=True)
        measured += 1
    if not measured:
        sys.exit("tasks: nothing was measured")


if __name__ == "__main__":
    main()

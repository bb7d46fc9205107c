#!/usr/bin/env python3
"""What every kind of task reaches: a table of data sets and methods.

  tasks.py --data DIR [--log FILE] [--sets NAME ...] [--methods NAME ...]
           [--steps N] [--max-test-rows N] [--seed N] [--validations]
           [--server HOST:PORT] [--attune PATH]
  tasks.py --data DIR --sets wnut17 --methods all_parameters prompt_tuning
           --validations  (one task in detail)

DIR/<set>/{train,dev,test}.jsonl hold the rows; a set that is not there is left
out with a word. Needs a running server with a worker that has the models
(deploy/local.sh start) and the `attune` program. Every job has the service's own
defaults but for what stands here. `base` is the bare base model, `few_shot` the
same behind demonstrations that are chosen from the training rows, `nearest` behind
as many that are nearest to each input; where a head weighs the labels there is
none of the three. Each cell is the metric of the whole test split (or of
--max-test-rows rows drawn from it) with its 95 % interval.

A line on standard error tells of each cell as it is measured: the metric, its
interval, the test rows, the seconds of training. The table comes at the end. With
--log each cell is added to FILE at once, and those that are there with the same
settings are not measured again: what a run did not reach the next one measures. A
cell whose job fails is logged with the reason, shown as "failed" and tried again
by the next run.

--validations has every method that trains measure the dev rows after each pass
over the training rows, and prints these reports and, of a token classification,
the test report per type of entity and per tag.
"""

import argparse
import dataclasses
import json
import math
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
METHODS = HARD_METHODS + ("prompt_tuning", "prefix_tuning", "lora", "head",
                          "all_parameters")
# What a cell of the log is known by: all that decides the number, null where the
# method has no such setting.
KEY = ("set", "method", "model", "steps", "epochs", "virtual_tokens",
       "validation_epochs", "max_test_rows", "max_validation_rows", "seed")


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
    parser.add_argument("--methods", nargs="+", default=list(METHODS),
                        choices=METHODS,
                        help="of those that a set has; default all")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--epochs", type=float, default=5,
                        help="of all_parameters, at a learning rate of 2e-5")
    parser.add_argument("--virtual-tokens", type=int, default=20)
    parser.add_argument("--max-test-rows", type=int, default=0,
                        help="0: all of them")
    parser.add_argument("--max-validation-rows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=pathlib.Path,
                        help="JSON Lines of what was measured; added to, and "
                        "not measured again")
    parser.add_argument("--validations", action="store_true",
                        help="one after each pass over the training rows, shown "
                        "with the test report per tag")
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
    if arguments.validations:
        training["validation_interval_epochs"] = 1
    if name in ("prompt_tuning", "prefix_tuning"):
        return {name: {
            "num_virtual_tokens": arguments.virtual_tokens}}, training
    return {name: {}}, training


def key_of(name, method, task, arguments):
    """-> the parts of KEY."""
    tuning_method, training = method_of(method, task, arguments)
    (settings,) = tuning_method.values()
    return (name, method, task.model, training.get("max_steps"),
            training.get("max_epochs"), settings.get("num_virtual_tokens"),
            training.get("validation_interval_epochs"),
            arguments.max_test_rows, arguments.max_validation_rows,
            arguments.seed)


def upload(service, name, task, folder):
    """-> the dataset."""
    dataset = f"tasks-{name.replace('_', '-')}-{uuid.uuid4().hex[:8]}"
    service.must("datasets", "create", dataset)
    for split, api_split in SPLITS:
        rows = [task.convert(row) for row
                in quality.read_rows(folder / f"{split}.jsonl")]
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl",
                                         encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            service.must("datasets", "upload", dataset, file.name, "--split",
                         api_split)
    return dataset


def numbers_of(evaluation):
    """-> its metrics; JSON has what is not finite as a text."""
    return {name: float(value)
            for name, value in evaluation.get("metrics", {}).items()}


def measure(service, task, dataset, method, arguments):
    """-> what the log keeps of a cell: its numbers, or why there are none."""
    tuning_method, training = method_of(method, task, arguments)
    begin = time.perf_counter()
    job, refusal = service.train({
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
    if job is None or "after" not in job.get("report", {}):
        return {"error": methods.reason_of(job, refusal)}
    report = job["report"]
    after = report["after"]
    metrics = numbers_of(after)
    if task.metric not in metrics:
        return {"error": f"the report has no {task.metric}"}
    bounds = after.get("intervals", {}).get(task.metric)
    return {
        "metric": task.metric,
        "value": metrics[task.metric],
        "interval": None if bounds is None else [
            bounds.get(end, 0.0) for end in ("low", "high")],
        "test_rows": int(after["numRows"]),
        "training_seconds": report.get("trainingSeconds", 0.0),
        "seconds": seconds,
        "validations": [
            {"epoch": one.get("epoch", 0.0), "step": one.get("step", 0),
             "loss": float(one["report"].get("loss", 0.0)),
             "metrics": numbers_of(one["report"])}
            for one in report.get("validations", [])],
        # Of a token classification; the classes are types of entity then.
        "tags": after.get("tags", []),
        "types": after.get("classes", []) if "tags" in after else []}


def cell_text(cell):
    """As it stands in the table; None is a method that a set does not have."""
    if cell is None:
        return ""
    if "error" in cell:
        return "failed"
    text = f"{100 * cell['value']:.1f}"
    if cell["interval"]:
        low, high = (100 * bound for bound in cell["interval"])
        text += f" ({low:.1f}-{high:.1f})"
    return text


def print_validations(name, method, cell):
    if cell["validations"]:
        print(f"\n{name} {method}, dev rows after each pass")
        columns = sorted(cell["validations"][0]["metrics"])
        print("  epoch     step     loss  " + "  ".join(columns))
        for one in cell["validations"]:
            values = [one["metrics"].get(column, math.nan)
                      for column in columns]
            print(f"{one['epoch']:7.1f} {one['step']:8} {one['loss']:8.4f}  " +
                  "  ".join(f"{100 * value:{len(column)}.1f}"
                            for column, value in zip(columns, values)))
    for title, lines in (("per type of entity", cell["types"]),
                         ("per tag, over words", cell["tags"])):
        if lines:
            print(f"\n{name} {method}, test rows {title}\n"
                  f"{'':20} precision   recall       f1     rows")
        for one in lines:
            numbers = " ".join(f"{100 * one.get(part, 0.0):8.1f}"
                               for part in ("precision", "recall", "f1"))
            print(f"{one['label']:20}  {numbers} {int(one.get('support', 0)):8}")
    sys.stdout.flush()


def tell(name, method, cell, arguments, progress):
    """What became of a cell, on standard error; its details, if they are wanted,
    on standard output."""
    if "error" in cell:
        line = f"failed: {cell['error']}"
    else:
        line = (f"{cell['metric']} {cell_text(cell)} of {cell['test_rows']} test "
                f"rows, {cell['training_seconds']:.0f} s of training, "
                f"{cell['seconds']:.0f} s in all")
    print(f"{progress} {name} {method}: {line}", file=sys.stderr, flush=True)
    if arguments.validations and "error" not in cell:
        print_validations(name, method, cell)


def missing_split(folder):
    return next((split for split, _ in SPLITS
                 if not (folder / f"{split}.jsonl").is_file()), None)


def measure_all(wanted, arguments):
    """-> what came of each of the (set, method) in `wanted`."""
    service = methods.Service(arguments)
    log = quality.Log(arguments.log, KEY)
    datasets = {}
    cells = {}
    for name, method in wanted:
        task = TASKS[name]
        key = key_of(name, method, task, arguments)
        cell = log.done.get(key)
        progress = f"[{len(cells) + 1} of {len(wanted)}]"
        if cell is None or "error" in cell:
            if name not in datasets:
                datasets[name] = upload(service, name, task,
                                        arguments.data / name)
            cell = measure(service, task, datasets[name], method, arguments)
            log.add(key, cell)
        else:
            progress += " logged:"
        tell(name, method, cell, arguments, progress)
        cells[name, method] = cell
    return cells


def print_table(cells, arguments):
    print(f"\nseed {arguments.seed}, {arguments.steps} steps, "
          f"{arguments.virtual_tokens} virtual tokens; {CAUSAL}, or {ENCODER} "
          "where there is no base\n\n" +
          f"{'set':18} {'metric':9} {'test rows':>9}  " +
          "  ".join(f"{one:17}" for one in arguments.methods))
    for name in arguments.sets:
        row = [cells.get((name, method)) for method in arguments.methods]
        if row.count(None) == len(row):
            continue
        rows = max((cell["test_rows"] for cell in row
                    if cell and "error" not in cell), default="-")
        print(f"{name:18} {TASKS[name].metric:9} {rows:>9}  " +
              "  ".join(f"{cell_text(cell):17}" for cell in row))


def main():
    arguments = parse_arguments()
    wanted = []
    for name in arguments.sets:
        missing = missing_split(arguments.data / name)
        if missing:
            print(f"{name} is left out: {arguments.data / name} has no "
                  f"{missing}.jsonl", flush=True)
            continue
        wanted += [(name, method) for method in arguments.methods
                   if method in TASKS[name].methods]
    if not wanted:
        sys.exit("tasks: nothing was measured")
    cells = measure_all(wanted, arguments)
    print_table(cells, arguments)
    failed = sum("error" in cell for cell in cells.values())
    if failed:
        sys.exit(f"tasks: {failed} of {len(cells)} cells failed")


if __name__ == "__main__":
    main()

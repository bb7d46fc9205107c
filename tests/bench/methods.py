#!/usr/bin/env python3
"""What every method reaches on real models: a table of methods and models.

  methods.py [--data DIR] [--models ID ...] [--methods NAME ...] [--steps N]
             [--server HOST:PORT] [--attune PATH]

Needs a running server with a worker that has the models (deploy/local.sh start)
and the `attune` program. DIR holds {train,validation,test}.jsonl with `text` and
`label`, by default the ten intents of client/examples/banking77. Every job has
the service's own defaults but for the steps. A combination that the service
refuses is shown with its reason.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import uuid

import quality

METHODS = ["prompt_tuning", "prefix_tuning", "lora", "top_layers",
           "all_parameters", "bias_only", "head"]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="A trained result of every method on every model.")
    parser.add_argument("--data", type=pathlib.Path,
                        default=pathlib.Path("client/examples/banking77"))
    parser.add_argument("--models", nargs="+", default=[
        "all-minilm-l6-v2", "smollm2-135m-instruct"])
    parser.add_argument("--methods", nargs="+", default=METHODS,
                        choices=METHODS)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attune", default="build/dev/bin/attune")
    parser.add_argument("--server", default="127.0.0.1:50051")
    return parser.parse_args()


class Service:
    """A running service, through its command line."""

    def __init__(self, arguments):
        self.program = [arguments.attune, "--server", arguments.server]

    def call(self, *words):
        return subprocess.run([*self.program, *words], capture_output=True,
                              text=True, check=False)

    def must(self, *words):
        done = self.call(*words)
        if done.returncode != 0:
            sys.exit(f"methods: attune {' '.join(words[:2])} failed: "
                     f"{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def upload(self, folder):
        """-> the name of a new dataset with the folder's rows."""
        name = f"methods-{uuid.uuid4().hex[:8]}"
        self.must("datasets", "create", name)
        for split in ("train", "validation", "test"):
            self.must("datasets", "upload", name,
                      str(folder / f"{split}.jsonl"), "--split", split)
        return name

    def train(self, spec):
        """-> the job once it has ended, or the reason why there is none."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"spec": spec}, file)
            file.flush()
            done = self.call("-o", "json", "jobs", "create", "-f", file.name,
                             "--wait")
        try:
            return json.loads(done.stdout), None
        except ValueError:
            return None, " ".join((done.stderr or done.stdout).split())


def labels_of(folder):
    return sorted({row["label"]
                   for row in quality.read_rows(folder / "train.jsonl")})


def spec_of(arguments, dataset, labels, model, method):
    return {
        "prompt": f"prompts/{dataset}-{model}-{method}".replace("_", "-"),
        "base_model": f"models/{model}",
        "data": {"dataset": f"datasets/{dataset}"},
        "task": quality.classification_task("{{ text }}\nLabel:", labels),
        "method": {method: {}},
        "training": {"max_steps": arguments.steps, "seed": arguments.seed}}


def reason_of(job, refusal):
    """-> why a job has no result, or why there is no job."""
    return refusal or (job or {}).get("error", {}).get("message", "it failed")


def print_result(model, method, job, refusal):
    begin = f"{model:24} {method:15} "
    if job is None or "report" not in job or "after" not in job["report"]:
        print(f"{begin}{reason_of(job, refusal)}", flush=True)
        return
    # A head that is not there yet answers nothing before.
    cells = []
    for part in ("metrics", "loss"):
        for at in ("before", "after"):
            evaluation = job["report"].get(at, {})
            value = (evaluation.get("metrics", {}).get("accuracy")
                     if part == "metrics" else evaluation.get("loss"))
            cells.append("       -" if value is None else f"{value:8.3f}")
    print(f"{begin}{' '.join(cells)} {job['report']['trainingSeconds']:9.1f}",
          flush=True)


def main():
    arguments = parse_arguments()
    service = Service(arguments)
    labels = labels_of(arguments.data)
    dataset = service.upload(arguments.data)
    print(f"{len(labels)} labels of {arguments.data}, {arguments.steps} steps, "
          f"seed {arguments.seed}\n\n"
          f"{'model':24} {'method':15} {'accuracy':>8} {'after':>8} "
          f"{'loss':>8} {'after':>8} {'seconds':>9}", flush=True)
    for model in arguments.models:
        for method in arguments.methods:
            job, refusal = service.train(
                spec_of(arguments, dataset, labels, model, method))
            print_result(model, method, job, refusal)


if __name__ == "__main__":
    main()

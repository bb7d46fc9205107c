#!/usr/bin/env python3
"""Several jobs at once on one copy of a base model, against one job alone.

  several_jobs.py --worker-pid PID [--jobs N] [--steps N] [--model ID] ...

Needs a running server with one worker that trains N jobs at once (attune-worker
--max-jobs N) and nothing else to do, on this machine, and the `attune` program.
Prints rows per second of all jobs together and the worker's largest resident
memory, for one job, then for N, then for one again: the two single ones tell how
steady the machine is. Seconds are those from the submission to the end of the
last job, so they hold preparation and evaluations too, which few rows keep short.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import uuid

import quality

BATCH = 16
EVALUATION_ROWS = 8


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Throughput and memory of several jobs at once.")
    parser.add_argument("--worker-pid", type=int, required=True)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20, help="of each job")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--data", type=pathlib.Path,
                        default=pathlib.Path("client/examples/banking77"))
    parser.add_argument("--attune", default="build/dev/bin/attune")
    parser.add_argument("--server", default="127.0.0.1:50051")
    return parser.parse_args()


def spec_of(arguments, name, seed):
    train = quality.read_rows(arguments.data / "train.jsonl")
    rows = [row | {"split": "train"} for row in train]
    for split in ("validation", "test"):
        rows += [row | {"split": split} for row in quality.read_rows(
            arguments.data / f"{split}.jsonl", EVALUATION_ROWS)]
    labels = sorted({row["label"] for row in train})
    return {
        "prompt": f"prompts/{name}",
        "base_model": f"models/{arguments.model}",
        "data": {"inline": {"rows": rows}},
        "task": quality.classification_task("{{ text }}\nLabel:", labels),
        "method": {"prompt_tuning": {"num_virtual_tokens": 20}},
        "training": {"max_steps": arguments.steps, "batch_size": BATCH,
                     "validation_interval_steps": arguments.steps,
                     "seed": seed}}


def peak_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError("VmHWM")


def measure(arguments, count):
    """-> rows a second of all jobs, and the worker's peak memory."""
    pathlib.Path(f"/proc/{arguments.worker_pid}/clear_refs").write_text("5")
    with tempfile.TemporaryDirectory() as directory:
        begin = time.perf_counter()
        running = []
        for i in range(count):
            name = f"several-{uuid.uuid4().hex[:8]}"
            path = pathlib.Path(directory) / f"{i}.json"
            path.write_text(json.dumps(
                {"spec": spec_of(arguments, name, seed=i)}))
            running.append(subprocess.Popen(
                [arguments.attune, "--server", arguments.server, "-o", "json",
                 "jobs", "create", "-f", str(path), "--wait"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        for job in running:
            output, errors = job.communicate()
            if job.returncode != 0:
                sys.exit(f"several_jobs: a job failed: {errors or output}")
        seconds = time.perf_counter() - begin
    return (count * arguments.steps * BATCH / seconds,
            peak_bytes(arguments.worker_pid))


def main():
    arguments = parse_arguments()
    print(f"{arguments.steps} steps of {BATCH} a job, {arguments.model}\n\n"
          f"{'jobs':>5} {'rows/s':>8} {'ratio':>7} {'peak MB':>8} {'ratio':>7}")
    measure(arguments, 1)  # loads the model and warms up
    alone = None
    for count in (1, arguments.jobs, 1):
        speed, peak = measure(arguments, count)
        alone = alone or (speed, peak)
        print(f"{count:5} {speed:8.1f} {speed / alone[0]:6.2f}x "
              f"{peak / 1e6:8.0f} {peak / alone[1]:6.2f}x", flush=True)


if __name__ == "__main__":
    main()

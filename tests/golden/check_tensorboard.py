#!/usr/bin/env python3
"""Loads a version's event file with TensorBoard and compares it with a report.

  check_tensorboard.py PROMPT_DIR [VERSION.json]

PROMPT_DIR is what `attune prompts export` wrote, VERSION.json what `attune
prompts get NAME -o json` printed for the same version. Checks that TensorBoard
finds the file and reads every record, that steps and times ascend, and, with
VERSION.json, that every point of the report's series is there with its value.
Needs tensorboard; not TensorFlow.
"""

import json
import math
import sys

import tensorboard
from tensorboard.backend.event_processing import event_accumulator


def tag_of(name):
    prefix = "validation_"
    if name.startswith(prefix):
        return "validation/" + name[len(prefix):]
    return "training/" + name


def main():
    # 0: every point, where TensorBoard would sample.
    events = event_accumulator.EventAccumulator(
        sys.argv[1], size_guidance={event_accumulator.SCALARS: 0}).Reload()
    curves = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    assert "training/loss" in curves, f"no loss among {sorted(curves)}"
    for tag, points in curves.items():
        steps = [point.step for point in points]
        times = [point.wall_time for point in points]
        assert steps == sorted(set(steps)), f"steps of {tag}: {steps}"
        assert times == sorted(times), f"times of {tag}: {times}"
        assert all(math.isfinite(point.value) for point in points), tag

    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as file:
            report = json.load(file)["report"]
        series = {tag_of(one["name"]): one for one in report["series"]}
        assert series.keys() == curves.keys(), (
            f"{sorted(series)} in the report, {sorted(curves)} in the file")
        for tag, one in series.items():
            steps = [point.step for point in curves[tag]]
            assert steps == one["steps"], f"steps of {tag}: {steps}"
            for point, value in zip(curves[tag], one["values"]):
                # The file holds 32 bits of a number.
                assert math.isclose(point.value, value, rel_tol=1e-6,
                                    abs_tol=1e-37), (tag, point, value)
    print(f"TensorBoard {tensorboard.__version__} reads {len(curves)} curves: "
          + ", ".join(f"{tag} ({len(points)})"
                      for tag, points in sorted(curves.items())))


if __name__ == "__main__":
    main()

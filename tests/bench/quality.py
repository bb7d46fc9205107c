#!/usr/bin/env python3
"""What prompt tuning reaches and how long it takes: Attune and PEFT.

  quality.py --data DIR --model-dir DIR [--sets sst2 snips ag_news]
             [--sides attune peft] [--seeds 0 1 2] [--server HOST:PORT] ...

DIR/<set>/{train,dev,test}.jsonl hold rows with `text` and `label`; a set that is
not there is left out with a word. Attune's side needs a running server with a
worker for --base-model and the `attune` program; its hyper-parameters are the
defaults of the service. PEFT's side needs torch, transformers and peft
(tests/bench/setup_peft.sh) and the directory of the same model. Its settings are
the best known for each set; they can be given.

Both train the same number of steps of the same batch size on the same training
rows with the same template and label words; the order of the rows is each side's
own. Both answer with the likeliest label: PEFT's score of a label is the
log-probability of all its words' tokens. Seconds are those of the training
steps, without evaluations. PEFT's accuracy is that of its last step; Attune
keeps the best of its validations on the dev rows, which PEFT does not see.

"to loss" are the seconds of training after which Attune's loss is no more than
PEFT's at its end: the mean of -log P(label) on the dev rows, with the labels'
probabilities adding up to 1. Attune measures it at each validation, on the same
rows. The ratio behind it is that of PEFT's seconds.

Where fewer rows are wanted than a file has they are drawn, the same for both
sides: a file may be in the order of its labels.
"""

import argparse
import dataclasses
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import warnings

IGNORED = -100  # no target


@dataclasses.dataclass
class DataSet:
    name: str
    template: str  # with {{ text }}
    peft_learning_rate: float


SETS = {one.name: one for one in (
    DataSet("sst2", "Review: {{ text }}\nSentiment:", 0.01),
    DataSet("snips", "Request: {{ text }}\nIntent:", 0.02),
    DataSet("ag_news", "News: {{ text }}\nTopic:", 0.02))}


@dataclasses.dataclass
class Outcome:
    before: float
    after: float
    seconds: float
    # (seconds of training, loss on the dev rows), ascending.
    losses: list

    def seconds_to(self, loss):
        """When the loss was first at most `loss`; None: never."""
        return next((seconds for seconds, value in self.losses
                     if value <= loss), None)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Accuracy and training time of Attune and PEFT.")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--sides", nargs="+", default=["attune", "peft"],
                        choices=["attune", "peft"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--virtual-tokens", type=int, default=20)
    parser.add_argument("--test-rows", type=int, default=500)
    parser.add_argument("--dev-rows", type=int, default=200)
    parser.add_argument("--log", type=pathlib.Path,
                        help="JSON Lines of what was measured with the same "
                        "settings; added to, and not measured again")
    parser.add_argument("--skip-peft-accuracy", action="store_true",
                        help="its loss alone; test rows take longest")
    parser.add_argument("--attune", default="build/dev/bin/attune")
    parser.add_argument("--server", default="127.0.0.1:50051")
    parser.add_argument("--base-model", default="smollm2-135m-instruct")
    parser.add_argument("--model-dir",
                        default=".attune/models/smollm2-135m-instruct")
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"],
                        help="PEFT's; Attune's is the worker's")
    parser.add_argument("--threads", type=int, default=0,
                        help="PEFT's; 0: as PyTorch has it")
    parser.add_argument("--peft-learning-rate", type=float,
                        help="instead of the set's own")
    parser.add_argument("--peft-warmup", type=int, default=10, help="steps")
    return parser.parse_args()


def read_rows(path, limit=0):
    """-> all rows, or `limit` of them, drawn."""
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    if not 0 < limit < len(rows):
        return rows
    return random.Random(0).sample(rows, limit)


def words_of(label):
    return label.replace("_", " ")


def classification_task(template, labels):
    """The task of a job: every label by its own name's words."""
    return {"type": "TASK_TYPE_TEXT_CLASSIFICATION", "template": template,
            "labels": [{"label": label, "words": [words_of(label)]}
                       for label in labels]}


# --- Attune ------------------------------------------------------------------


class AttuneSide:
    """Jobs of a running service, through its command line."""

    def __init__(self, arguments, one, splits):
        self.arguments = arguments
        self.one = one
        self.labels = sorted({row["label"] for row in splits["train"]})
        self.before = None  # the same for all seeds
        self.dataset = f"quality-{one.name.replace('_', '-')}-" + (
            uuid.uuid4().hex[:8])
        self.call("datasets", "create", self.dataset)
        with tempfile.TemporaryDirectory() as directory:
            for split, api_split in (("train", "train"), ("dev", "validation"),
                                     ("test", "test")):
                path = pathlib.Path(directory) / f"{split}.jsonl"
                path.write_text("".join(json.dumps(row) + "\n"
                                        for row in splits[split]))
                self.call("datasets", "upload", self.dataset, str(path),
                          "--split", api_split)

    def call(self, *words):
        done = subprocess.run(
            [self.arguments.attune, "--server", self.arguments.server, "-o",
             "json", *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"quality: attune {' '.join(words[:2])} failed: "
                     f"{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def spec(self, seed):
        return {
            "prompt": f"prompts/{self.dataset}",
            "base_model": f"models/{self.arguments.base_model}",
            "data": {"dataset": f"datasets/{self.dataset}"},
            "task": classification_task(self.one.template, self.labels),
            "method": {"prompt_tuning": {
                "num_virtual_tokens": self.arguments.virtual_tokens}},
            "training": {"max_steps": self.arguments.steps,
                         "batch_size": self.arguments.batch, "seed": seed},
            "evaluation": {"skip_baseline": self.before is not None,
                           "max_validation_rows": self.arguments.dev_rows}}

    def run(self, seed):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"spec": self.spec(seed)}, file)
            file.flush()
            output = self.call("jobs", "create", "-f", file.name, "--wait")
        report = json.loads(output)["report"]
        series = {one["name"]: dict(zip(one["steps"], one["values"]))
                  for one in report["series"]}
        seconds = series["training_seconds"]
        if self.before is None:
            self.before = report["before"]["metrics"]["accuracy"]
        return Outcome(self.before, report["after"]["metrics"]["accuracy"],
                       report["trainingSeconds"],
                       [(seconds[step], loss) for step, loss
                        in sorted(series["validation_loss"].items())])


# --- PEFT --------------------------------------------------------------------


class PeftSide:
    """PEFT in this process, as its users write it."""

    def __init__(self, arguments, one, splits):
        import peft
        import torch
        import transformers

        warnings.filterwarnings("ignore", category=FutureWarning)
        self.peft, self.torch, self.transformers = peft, torch, transformers
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        if arguments.threads:
            torch.set_num_threads(arguments.threads)
        self.arguments = arguments
        self.one = one
        self.splits = splits
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(
            arguments.model_dir)
        self.labels = sorted({row["label"] for row in splits["train"]})
        self.label_ids = {
            label: self.tokenizer(" " + words_of(label),
                                  add_special_tokens=False).input_ids
            for label in self.labels}
        self.before = None  # the same for all seeds

    def load_base(self):
        dtype = {"fp32": self.torch.float32, "bf16": self.torch.bfloat16}
        base = self.transformers.AutoModelForCausalLM.from_pretrained(
            self.arguments.model_dir, dtype=dtype[self.arguments.dtype])
        base.config.use_cache = False
        return base

    def text_ids(self, row):
        text = self.one.template.replace("{{ text }}", row["text"])
        return self.tokenizer(text).input_ids

    def collate(self, pairs):
        """Pairs of text and answer, padded on the right."""
        torch = self.torch
        longest = max(len(text) + len(answer) for text, answer in pairs)
        ids = torch.zeros(len(pairs), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, IGNORED)
        for i, (text, answer) in enumerate(pairs):
            end = len(text) + len(answer)
            ids[i, :end] = torch.tensor(text + answer)
            mask[i, :end] = 1
            labels[i, len(text):end] = torch.tensor(answer)
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    def label_scores(self, model, base, row):
        """-> [labels], the log-probability of each label's words. The text is
        computed once: its keys and values serve all labels."""
        torch = self.torch
        text = torch.tensor([self.text_ids(row)])
        output = model(input_ids=text, attention_mask=torch.ones_like(text),
                       use_cache=True)
        logits = output.logits[:, -1:].expand(len(self.labels), -1, -1)
        words = self.collate([([], self.label_ids[label])
                              for label in self.labels])["labels"]
        if words.shape[1] > 1:
            output.past_key_values.batch_repeat_interleave(len(self.labels))
            more = base(input_ids=words[:, :-1].clamp(min=0),
                        past_key_values=output.past_key_values,
                        use_cache=True)
            logits = torch.cat((logits, more.logits), 1)
        scores = torch.log_softmax(logits.float(), -1)
        tokens = scores.gather(2, words.clamp(min=0).unsqueeze(2)).squeeze(2)
        return (tokens * (words != IGNORED)).sum(1)

    def measure(self, model, base, rows):
        """-> the share of rows whose label has the likeliest words, and the
        mean of -log P(label)."""
        if not rows:
            return float("nan"), float("nan")
        model.eval()
        right, loss = 0, 0.0
        with self.torch.no_grad():
            for row in rows:
                scores = self.label_scores(model, base, row)
                answer = self.labels.index(row["label"])
                right += int(scores.argmax()) == answer
                loss -= float(self.torch.log_softmax(scores, 0)[answer])
        return right / len(rows), loss / len(rows)

    def run(self, seed):
        torch, arguments = self.torch, self.arguments
        torch.manual_seed(seed)
        base = self.load_base()
        test = [] if arguments.skip_peft_accuracy else self.splits["test"]
        if self.before is None:
            self.before = self.measure(base, base, test)[0]
        choices = ", ".join(words_of(label) for label in self.labels)
        model = self.peft.get_peft_model(base, self.peft.PromptTuningConfig(
            task_type=self.peft.TaskType.CAUSAL_LM,
            num_virtual_tokens=arguments.virtual_tokens,
            prompt_tuning_init=self.peft.PromptTuningInit.TEXT,
            prompt_tuning_init_text=f"Classify the text: {choices}.",
            tokenizer_name_or_path=arguments.model_dir)).train()
        optimiser = torch.optim.AdamW(
            [one for one in model.parameters() if one.requires_grad],
            lr=arguments.peft_learning_rate or self.one.peft_learning_rate,
            weight_decay=0.0)
        scheduler = self.transformers.get_linear_schedule_with_warmup(
            optimiser, arguments.peft_warmup, arguments.steps)
        pairs = [(self.text_ids(row), self.label_ids[row["label"]] +
                  [self.tokenizer.eos_token_id])
                 for row in self.splits["train"]]
        seconds = 0.0
        for rows in batches(len(pairs), arguments.batch, arguments.steps, seed):
            begin = time.perf_counter()
            optimiser.zero_grad()
            model(**self.collate([pairs[i] for i in rows])).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            scheduler.step()
            seconds += time.perf_counter() - begin
        _, loss = self.measure(model, base, self.splits["dev"])
        return Outcome(self.before, self.measure(model, base, test)[0],
                       seconds, [(seconds, loss)])


def batches(num_rows, size, steps, seed):
    """Pass after pass over all rows, each in an order of its own."""
    source = random.Random(seed)
    order = []
    for _ in range(steps):
        while len(order) < size:
            order += source.sample(range(num_rows), num_rows)
        yield order[:size]
        order = order[size:]


# --- The table ---------------------------------------------------------------


def seconds_to_losses(outcomes):
    """-> the mean of the seconds after which Attune had PEFT's losses, seed by
    seed; None where one was not reached or a side is missing."""
    if len(outcomes) < 2:
        return None
    seconds = [one.seconds_to(peft.losses[-1][1]) for one, peft
               in zip(outcomes["attune"], outcomes["peft"])]
    return None if None in seconds else statistics.mean(seconds)


class Log:
    """What was measured before, so that hours of it need not be one run: lines
    of a key, whose parts have the names `parts`, and of what came of it. Of
    several lines of one key the last one counts."""

    def __init__(self, path, parts):
        self.path = path
        self.parts = parts
        self.done = {}  # key -> what came of it
        if not path or not path.exists():
            return
        for number, one in enumerate(read_rows(path), start=1):
            missing = [part for part in parts if part not in one]
            if missing:
                sys.exit(f"{path}:{number} has no {missing[0]}: it is the log "
                         "of something else")
            self.done[tuple(one.pop(part) for part in parts)] = one

    def add(self, key, values):
        self.done[key] = values
        if not self.path:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(zip(self.parts, key)) | values) + "\n")


def run_seed(name, side, runner, seed, log):
    """One of minutes: says on standard error what it came to."""
    key = (name, side, seed)
    if key in log.done:
        outcome = Outcome(**log.done[key])
        runner.before = outcome.before
    else:
        outcome = runner.run(seed)
        log.add(key, dataclasses.asdict(outcome))
    print(f"{name} {side} seed {seed}: {outcome.before:.3f} to "
          f"{outcome.after:.3f}, loss {outcome.losses[-1][1]:.3f}, "
          f"{outcome.seconds:.1f} s", file=sys.stderr, flush=True)
    return outcome


def print_rows(name, outcomes):
    to_loss = seconds_to_losses(outcomes)
    means = {}
    for side, results in outcomes.items():
        after = [one.after for one in results]
        means[side] = statistics.mean(one.seconds for one in results)
        spread = statistics.stdev(after) if len(after) > 1 else 0.0
        both = {"peft", "attune"} <= means.keys()
        ratio = f"{means['peft'] / means['attune']:6.2f}x" if both else "-"
        last = statistics.mean(one.losses[-1][1] for one in results)
        reached = f"{to_loss:8.1f}" if both and to_loss else "-"
        faster = f"{means['peft'] / to_loss:6.2f}x" if both and to_loss else "-"
        before = statistics.mean(one.before for one in results)
        print(f"{name:10} {side:8} {before:8.3f} {statistics.mean(after):8.3f} "
              f"{spread:8.3f} {last:8.3f} {means[side]:10.1f} {ratio:>8} "
              f"{reached:>8} {faster:>8}", flush=True)


def main():
    arguments = parse_arguments()
    print(f"{arguments.steps} steps of {arguments.batch}, "
          f"{arguments.virtual_tokens} virtual tokens, seeds "
          f"{' '.join(map(str, arguments.seeds))}\n\n"
          "set        side       before    after   spread     loss    seconds "
          "   ratio  to loss    ratio",
          flush=True)
    log = Log(arguments.log, ("set", "side", "seed"))
    measured = 0
    for name in arguments.sets:
        folder = arguments.data / name
        missing = [split for split in ("train", "dev", "test")
                   if not (folder / f"{split}.jsonl").is_file()]
        if missing:
            print(f"{name:10} left out: {folder} has no {missing[0]}.jsonl")
            continue
        splits = {
            "train": read_rows(folder / "train.jsonl"),
            "dev": read_rows(folder / "dev.jsonl", arguments.dev_rows),
            "test": read_rows(folder / "test.jsonl", arguments.test_rows)}
        outcomes = {}
        # PEFT first: the ratio stands in Attune's line.
        for side, make in (("peft", PeftSide), ("attune", AttuneSide)):
            if side in arguments.sides:
                runner = make(arguments, SETS[name], splits)
                outcomes[side] = [run_seed(name, side, runner, seed, log)
                                  for seed in arguments.seeds]
        print_rows(name, outcomes)
        measured += 1
    if not measured:
        sys.exit("quality: nothing was measured")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""deploy/quickstart.sh around an `attune` made up here: what it uploads, what a
second run leaves out, and what it ends with."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STEPS = ("setup.sh", "import_model.sh", "local.sh")
REPORT = {"name": "prompts/banking77-intent/versions/2",
          "report": {"before": {"metrics": {"accuracy": 0.1}},
                     "after": {"metrics": {"accuracy": 0.9133},
                               "numRows": "150"}}}
# Logs its arguments and keeps the dataset's splits in a file.
ATTUNE = """#!{python}
import json, pathlib, sys
here = pathlib.Path({root!r})
args = sys.argv[1:]
with open(here / "calls", "a") as log:
    log.write(" ".join(args) + "\\n")
splits = here / "splits"
if args[:2] == ["datasets", "get"]:
    if not splits.exists():
        sys.exit(3)
    print("name:   datasets/banking77-intents")
    print("splits: " + ", ".join(s + " 9" for s in splits.read_text().split()))
elif args[:2] == ["datasets", "create"]:
    splits.touch()
elif args[:2] == ["datasets", "upload"]:
    splits.write_text(splits.read_text() + " " + args[-1])
elif args[:2] == ["prompts", "get"]:
    print({report!r})
elif args[:2] == ["jobs", "create"]:
    sys.exit((here / "job_fails").exists())
"""


class QuickstartTest(unittest.TestCase):

    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.root = pathlib.Path(temp.name)
        (self.root / "deploy").mkdir()
        shutil.copy(ROOT / "deploy/quickstart.sh", self.root / "deploy")
        for name in STEPS:
            self.make(f"deploy/{name}", "#!/bin/sh\n")
        self.make("bin/attune", ATTUNE.format(
            python=sys.executable, root=str(self.root),
            report=json.dumps(REPORT)))

    def make(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)

    def quickstart(self, *args, **env):
        (self.root / "calls").write_text("", encoding="utf-8")
        return subprocess.run(
            [str(self.root / "deploy/quickstart.sh"), *args],
            capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"],
                 "ATTUNE_BIN_DIR": str(self.root / "bin"), **env})

    def calls(self, start):
        text = (self.root / "calls").read_text(encoding="utf-8")
        return [c for c in text.splitlines() if c.startswith(start)]

    def test_ends_with_the_accuracy_before_and_after(self):
        done = self.quickstart("--no-build")

        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            done.stdout.splitlines()[-1],
            "accuracy on 150 test rows: 10.0% before tuning, 91.3% after "
            "(+81.3 points, prompts/banking77-intent/versions/2)")

    def test_uploads_each_split_once(self):
        self.quickstart("--no-build")
        self.assertEqual(
            self.calls("datasets upload"),
            [f"datasets upload banking77-intents "
             f"client/examples/banking77/{split}.jsonl --split {split}"
             for split in ("train", "validation", "test")])

        again = self.quickstart("--no-build")

        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(self.calls("datasets upload"), [])
        self.assertEqual(self.calls("datasets create"), [])
        self.assertEqual(len(self.calls("jobs create")), 1)

    def test_goes_on_after_an_upload_that_broke_off(self):
        (self.root / "splits").write_text("train", encoding="utf-8")

        self.quickstart("--no-build")

        self.assertEqual([c.split()[-1] for c in self.calls("datasets upload")],
                         ["validation", "test"])

    def test_a_failed_job_fails_it(self):
        (self.root / "job_fails").touch()

        done = self.quickstart("--no-build")

        self.assertEqual(done.returncode, 1)
        self.assertIn("quickstart: step 4 failed", done.stderr)
        self.assertNotIn("accuracy", done.stdout)

    def test_another_port_is_in_the_next_commands(self):
        done = self.quickstart("--no-build", ATTUNE_SERVER_PORT="50099")

        self.assertIn("  export ATTUNE_SERVER=127.0.0.1:50099\n", done.stdout)
        self.assertIn("grpcurl -plaintext 127.0.0.1:50099 list", done.stdout)

    def test_an_unknown_option_is_refused(self):
        self.assertEqual(self.quickstart("--fast").returncode, 2)


if __name__ == "__main__":
    unittest.main()

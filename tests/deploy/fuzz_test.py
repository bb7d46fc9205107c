#!/usr/bin/env python3
"""deploy/ci/fuzz.sh with targets made up here, and the committed corpus."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# What libFuzzer prints: with -runs=0 for the corpus alone, else for a run.
TARGET = """#!/bin/bash
for arg in "$@"; do
  case "$arg" in
    -runs=0) echo "#9 DONE cov: 40 ft: 50 corp: 3/9b exec/s: 0 rss: 30Mb" && exit 0 ;;
    -artifact_prefix=*) prefix="${{arg#*=}}" ;;
    -dict=*) echo "dictionary $arg" ;;
  esac
done
echo "#77 DONE cov: 55 ft: 60 corp: 4/12b exec/s: 7 rss: 31Mb"
if [[ -n "{finding}" ]]; then
  echo "==1==ERROR: AddressSanitizer: {finding}"
  echo "artifact_prefix='$prefix'; Test unit written to ${{prefix}}crash-1"
  exit 77
fi
echo "stat::number_of_executed_units: 4321"
echo "stat::average_exec_per_sec:     123"
"""


class FuzzScriptTest(unittest.TestCase):

    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.root = pathlib.Path(temp.name)
        (self.root / "deploy/ci").mkdir(parents=True)
        shutil.copy(ROOT / "deploy/ci/fuzz.sh", self.root / "deploy/ci")
        self.make_target("alpha")
        self.make_target("beta")

    def make_target(self, name, finding=""):
        (self.root / "tests/fuzz/corpus" / name).mkdir(parents=True,
                                                       exist_ok=True)
        (self.root / f"tests/fuzz/{name}_fuzz.cc").touch()
        binary = self.root / f"build/fuzz/bin/{name}_fuzz"
        binary.parent.mkdir(parents=True, exist_ok=True)
        binary.write_text(TARGET.format(finding=finding), encoding="utf-8")
        binary.chmod(0o755)

    def fuzz(self, *args):
        return subprocess.run(
            [str(self.root / "deploy/ci/fuzz.sh"), *args], check=False,
            capture_output=True, text=True)

    def test_prints_a_row_per_target(self):
        done = self.fuzz("--no-build", "--seconds", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line.split() for line in done.stdout.splitlines()[-2:]]
        # Edges in the end, and how many the committed corpus does not reach.
        self.assertEqual(rows, [["alpha", "123", "4321", "55", "15", "clean"],
                                ["beta", "123", "4321", "55", "15", "clean"]])

    def test_a_finding_fails_and_names_its_input(self):
        self.make_target("alpha", finding="heap-buffer-overflow")
        done = self.fuzz("--no-build", "--seconds", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("heap-buffer-overflow", done.stderr)
        self.assertRegex(done.stdout, r"alpha .* FINDING\n")
        self.assertIn("reproducer: build/fuzz/findings/alpha/crash-1",
                      done.stdout)
        self.assertRegex(done.stdout, r"beta .* clean\n")

    def test_only_the_named_targets_run(self):
        done = self.fuzz("--no-build", "--seconds", "1", "beta")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("alpha", done.stdout)

    def test_an_unknown_target_is_refused(self):
        done = self.fuzz("--no-build", "gamma")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no target 'gamma'; there are: alpha beta", done.stderr)

    def test_without_a_number_of_seconds_nothing_runs(self):
        self.assertEqual(self.fuzz("--no-build", "--seconds", "x").returncode,
                         2)


class CorpusTest(unittest.TestCase):

    def test_the_corpus_is_what_its_script_writes(self):
        done = subprocess.run(
            [sys.executable, str(ROOT / "tests/fuzz/make_corpus.py"),
             "--check"], check=False, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_every_target_has_a_corpus(self):
        for source in (ROOT / "tests/fuzz").glob("*_fuzz.cc"):
            name = source.name.removesuffix("_fuzz.cc")
            with self.subTest(name):
                self.assertTrue(any(
                    (ROOT / "tests/fuzz/corpus" / name).iterdir()))


if __name__ == "__main__":
    unittest.main()

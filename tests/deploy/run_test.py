#!/usr/bin/env python3
"""tests/run.sh with phases and a CTest made up here: what its last line counts
and when it fails."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PHASES = ("deploy/setup.sh", "deploy/import_model.sh", "deploy/ci/format.sh",
          "deploy/ci/scripts.sh", "deploy/ci/build.sh", "deploy/ci/tidy.sh",
          "deploy/ci/server_only.sh", "deploy/ci/fuzz.sh")
# Writes the head of the file that --output-junit names.
CTEST = """#!/bin/bash
while [[ "$1" != --output-junit ]]; do shift; done
mkdir -p "$(dirname "$2")"
printf '<testsuite name="x"\\n\\ttests="{tests}"\\n\\tfailures="{failures}"\\n' >"$2"
exit {exit_code}
"""


class RunTest(unittest.TestCase):

    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.root = pathlib.Path(temp.name)
        for path in PHASES:
            self.make(path, "#!/bin/sh\n")
        (self.root / "tests").mkdir()
        shutil.copy(ROOT / "tests/run.sh", self.root / "tests/run.sh")
        self.make_ctest(tests=40, failures=0)

    def make(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)

    def make_ctest(self, tests, failures, exit_code=0):
        self.make("bin/ctest", CTEST.format(tests=tests, failures=failures,
                                            exit_code=exit_code))

    def run_tests(self, *args):
        """The exit code and the last line."""
        done = subprocess.run(
            [str(self.root / "tests/run.sh"), *args], capture_output=True,
            text=True, check=False,
            env={"PATH": f"{self.root}/bin:{os.environ['PATH']}"})
        return done.returncode, done.stdout.splitlines()[-1]

    def test_counts_phases_and_tests(self):
        self.assertEqual(self.run_tests(), (0, "48 passed, 0 failed"))

    def test_counts_each_failed_test(self):
        self.make_ctest(tests=40, failures=3, exit_code=8)
        self.assertEqual(self.run_tests(), (1, "45 passed, 3 failed"))

    def test_a_ctest_without_a_result_failed(self):
        self.make("bin/ctest", "#!/bin/sh\nexit 1\n")
        self.assertEqual(self.run_tests(), (1, "8 passed, 1 failed"))

    def test_a_ctest_that_fails_without_a_failed_test_failed(self):
        self.make_ctest(tests=40, failures=0, exit_code=8)
        self.assertEqual(self.run_tests(), (1, "8 passed, 1 failed"))

    def test_a_failed_phase_fails_the_run(self):
        self.make("deploy/ci/tidy.sh", "#!/bin/sh\nexit 1\n")
        self.assertEqual(self.run_tests(), (1, "47 passed, 1 failed"))

    def test_without_a_build_nothing_more_runs(self):
        self.make("deploy/ci/build.sh", "#!/bin/sh\nexit 1\n")
        self.assertEqual(self.run_tests(), (1, "3 passed, 1 failed"))

    def test_only_leaves_the_other_phases_out(self):
        self.assertEqual(self.run_tests("--no-setup", "--only", "x"),
                         (0, "42 passed, 0 failed"))


if __name__ == "__main__":
    unittest.main()

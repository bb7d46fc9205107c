#!/usr/bin/env python3
"""What the documents and the quickstart say can be done as it is written: every
`attune` command has a known form, every grpcurl call a method, every file that
is named exists, and README's table of reasons is the one of the sources."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ATTUNE = pathlib.Path(os.environ.get("ATTUNE_BIN_DIR", "bin")).resolve(
) / "attune"
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "SECURITY.md",
             "CHANGELOG.md", "BENCHMARKS.md", "client/examples/README.md",
             "client/examples/banking77/README.md", "deploy/images/README.md",
             "deploy/kustomize/README.md")
JOB_FILES = tuple(str(p.relative_to(ROOT)) for p in
                  sorted((ROOT / "client/examples").glob("*.yaml")))
# Nothing listens on port 1: a command that is right as far as the client can
# tell ends with this (client/output/error_text.h).
NOWHERE, UNAVAILABLE = "127.0.0.1:1", 4


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def commands_in(text):
    """The `attune` and grpcurl commands that begin a line, `#` and indents
    aside, with lines joined that end in a backslash."""
    joined = re.sub(r"\\\n\s*", "", text)
    return re.findall(r"^(?:#|\|)?\s*((?:attune|grpcurl) .*)$", joined,
                      re.MULTILINE)


def words(command):
    return shlex.split(command, comments=True)


def attune_commands():
    """{(words): where}, of documents, job files and the quickstart."""
    found = {}
    for path in DOCUMENTS + JOB_FILES + ("deploy/quickstart.sh",):
        for command in commands_in(read(path)):
            if command.startswith("attune "):
                # The shell's part of a line of the script.
                plain = re.split(r" (?:\|\||\||>)", command)[0]
                found.setdefault(tuple(words(plain)), path)
    return found


def grpcurl_calls():
    return [words(c) for c in commands_in(read("README.md"))
            if c.startswith("grpcurl ")]


def attune(*args, **kwargs):
    env = {k: v for k, v in os.environ.items() if k != "ATTUNE_SERVER"}
    return subprocess.run([str(ATTUNE), "--server", NOWHERE, *args], cwd=ROOT,
                          capture_output=True, text=True, check=False, env=env,
                          timeout=60, **kwargs)


@unittest.skipUnless(ATTUNE.exists(), f"{ATTUNE} is not built")
class CommandsTest(unittest.TestCase):

    def test_every_command_is_one_that_the_client_knows(self):
        found = attune_commands()
        self.assertGreater(len(found), 15)
        for command, path in found.items():
            with self.subTest(path, command=shlex.join(command)):
                done = attune(*command[1:])
                self.assertEqual(done.returncode, UNAVAILABLE, done.stderr)

    def test_the_request_for_a_job_has_known_fields(self):
        requests = [call[call.index("-d") + 1] for call in grpcurl_calls()
                    if call[-1].endswith("/CreateTuningJob")]
        self.assertEqual(len(requests), 1)
        done = attune("jobs", "create", "-f", "-", input=requests[0])
        self.assertEqual(done.returncode, UNAVAILABLE, done.stderr)

    def test_a_command_with_a_wrong_flag_would_be_found(self):
        self.assertEqual(attune("predict", "p", "text=hello").returncode, 2)


class DocumentsTest(unittest.TestCase):

    def test_every_grpcurl_call_names_a_method_and_sends_json(self):
        protos = "".join(p.read_text(encoding="utf-8") for p in
                         sorted((ROOT / "proto/attune/v1").glob("*.proto")))
        calls = [c for c in grpcurl_calls() if "-d" in c]
        self.assertGreaterEqual(len(calls), 4)
        for call in calls:
            with self.subTest(call[-1]):
                json.loads(call[call.index("-d") + 1])
                service, method = call[-1].split("/")
                name = service.removeprefix("attune.v1.")
                self.assertRegex(protos, rf"(?s)service {name} \{{.*?"
                                         rf"\n  rpc {method}\(")

    def test_the_quickstart_does_what_the_examples_say(self):
        """The data and the job, word for word; then README's next steps."""
        quickstart = attune_words("deploy/quickstart.sh")
        for path in ("client/examples/README.md",
                     "client/examples/banking77-intent.yaml"):
            for command in attune_words(path):
                if "banking77" in command and re.match(
                        r"attune (datasets|jobs) ", command):
                    self.assertIn(command, quickstart, path)
        readme = attune_words("README.md")
        for command in ("attune status",
                        "attune prompts versions banking77-intent",
                        "attune prompts promote prompts/banking77-intent/"
                        "versions/1 --alias prod",
                        "attune jobs create -f "
                        "client/examples/banking77-intent.yaml --watch"):
            self.assertIn(command, readme)
            self.assertIn(command, quickstart)

    def test_every_file_that_is_named_exists(self):
        for path in DOCUMENTS:
            folder = (ROOT / path).parent
            for target in re.findall(r"\]\(([^)#:]+)\)", read(path)):
                self.assertTrue((folder / target).exists(),
                                f"{path}: {target}")
            for target in re.findall(
                    r"`((?:proto|server|worker|client|deploy|tests)/"
                    r"[\w./-]+\.(?:h|cc|sh|py|txt|toml|yaml|proto|md))`",
                    read(path)):
                self.assertTrue((ROOT / target).exists(), f"{path}: {target}")

    def test_readme_has_the_reasons_of_the_sources(self):
        sources = re.findall(
            r'\{Reason::k\w+, "(\w+)",\s*StatusCode::k(\w+),\s*(true|false),\s*'
            r'"([^"]*)"\}', read("proto/cc/status.cc"))
        self.assertGreater(len(sources), 30)
        rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (yes|no) \| (.*) \|$",
                          read("README.md"), re.MULTILINE)
        self.assertEqual(rows, [
            (name, re.sub(r"(?<!^)(?=[A-Z])", "_", code).upper(),
             "yes" if again == "true" else "no", text)
            for name, code, again, text in sources])

    def test_readme_has_the_exit_codes_of_the_client(self):
        codes = re.findall(r"^  kExit\w+ = (\d+),$",
                           read("client/output/error_text.h"), re.MULTILINE)
        rows = re.findall(r"^\| (\d+) \|", read("README.md"), re.MULTILINE)
        self.assertEqual(rows, codes)


def attune_words(path):
    """The `attune` commands of one file, each as one text with single spaces
    and without what the shell adds."""
    commands = []
    for command in re.findall(r"attune (?:datasets|jobs|prompts|status).*",
                              re.sub(r"\\\n\s*", "", read(path))):
        plain = re.split(r"\s*(?:\|\||\||>|#)", command)[0]
        commands.append(" ".join(plain.split()))
    return commands


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Holds the source tree to its shape.

Fails on: an #include that points to the left of the layers below, a cycle,
LibTorch outside worker/, a file that no CMakeLists.txt lists, a file that is
too long, a source without its mirror test, a name that says nothing.

  include_rules_test.py               the checker's own tests, then this tree
  include_rules_test.py --root DIR    only the tree in DIR
"""

import argparse
import pathlib
import re
import sys
import tempfile
import unittest

# What each folder may include besides itself. A file that stands directly in
# server/, worker/ or client/ is a unit of its own, named without its suffix.
LAYERS = {
    "proto": [],
    "server/store": ["proto"],
    "server/registry": ["server/store", "proto"],
    "server/datasets": ["server/store", "proto"],
    "server/fleet": ["server/store", "proto"],
    "server/jobs": ["server/registry", "server/store", "proto"],
    "server/api": ["server/jobs", "server/registry", "server/datasets",
                   "server/fleet", "server/store", "proto"],
    "server/server": ["server/*", "proto"],
    "server/options": ["server/*", "proto"],
    "server/main": ["server/*", "proto"],
    "worker/text": ["proto"],
    "worker/models": ["worker/text", "proto"],
    "worker/metrics": ["proto"],
    "worker/tasks": ["worker/models", "worker/text", "worker/metrics", "proto"],
    "worker/prompts": ["worker/models", "worker/text", "proto"],
    "worker/tuning": ["worker/tasks", "worker/prompts", "worker/models",
                      "worker/text", "worker/metrics", "proto"],
    "worker/inference": ["worker/tasks", "worker/prompts", "worker/models",
                         "worker/text", "worker/metrics", "proto"],
    "worker/agent": ["worker/tuning", "worker/inference", "worker/tasks",
                     "worker/prompts", "worker/models", "worker/text",
                     "worker/metrics", "proto"],
    "worker/api": ["worker/tuning", "worker/inference", "worker/tasks",
                   "worker/prompts", "worker/models", "worker/text",
                   "worker/metrics", "proto"],
    "worker/worker": ["worker/*", "proto"],
    "worker/options": ["worker/*", "proto"],
    "worker/tokenize_command": ["worker/*", "proto"],
    "worker/forward_command": ["worker/*", "proto"],
    "worker/forward_pass": ["worker/*", "proto"],
    "worker/forward_rows": ["worker/*", "proto"],
    "worker/main": ["worker/*", "proto"],
    "client/connection": ["proto"],
    "client/output": ["proto"],
    "client/commands": ["client/connection", "client/output", "proto"],
    "client/main": ["client/*", "proto"],
}
TOPS = ("proto", "server", "worker", "client")
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")
# Headers that pull in all of LibTorch: half a minute per file.
WHOLE_TORCH = ("torch/torch.h", "ATen/ATen.h", "torch/extension.h")
EMPTY_NAMES = re.compile(r"^(utils?|common|helpers?|misc|base|manager)$")

# Lines that are not blank.
MAX_HEADER = 200
MAX_SOURCE = 500
# Without those that only name a file: a folder may have many of them.
MAX_CMAKE = 60
FILE_NAME_LINE = re.compile(r"^\s*[\w./-]+\.(cc|h)\s*$")
# Two targets: what all three programs agree on (proto_cc, about 850 lines) and
# what a process with a gRPC server needs (proto_serving, about 1,200).
MAX_PROTO_CC = 2200
# Longer on purpose: path -> (limit, reason).
LONG_ON_PURPOSE = {
    "server/jobs/job_manager.h": (
        225, "one owner of jobs, queue and leases, for users, workers, timers"),
    "server/jobs/job_manager.cc": (
        510, "one owner of jobs, queue and leases, for users, workers, timers"),
}
# Sources that need no mirror test: path -> reason.
TESTED_ELSEWHERE = {
    "server/main.cc": "started by the smoke test and the integration tests",
    "worker/main.cc": "started by the smoke test and the integration tests",
    "client/main.cc": "started by the integration tests",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def read(path):
    return path.read_text(encoding="utf-8")


def count_lines(path):
    return sum(1 for line in read(path).splitlines() if line.strip())


def unit_of(path):
    """'server/jobs/queue.h' -> 'server/jobs'; 'server/main.cc' ->
    'server/main'; all of proto/ is one unit."""
    parts = path.split("/")
    if parts[0] == "proto":
        return "proto"
    if len(parts) == 2:
        return parts[0] + "/" + parts[1].split(".")[0]
    return "/".join(parts[:2])


def allowed(unit, target):
    for pattern in LAYERS[unit] + [unit]:
        if target == pattern:
            return True
        if pattern.endswith("/*") and target.startswith(pattern[:-1]):
            return True
    return False


class Tree:
    """The C++ files below a root, with their #include lines."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = []  # paths relative to the root
        for top in TOPS + ("tests",):
            self.files += sorted(
                str(p.relative_to(self.root))
                for p in (self.root / top).rglob("*")
                if p.suffix in (".h", ".cc") and "target" not in p.parts)
        self.sources = [f for f in self.files if not f.startswith("tests/")]
        self.includes = {f: self._includes_of(f) for f in self.files}

    def _includes_of(self, file):
        """[(line number, quote or bracket, included path)]"""
        found = []
        for number, line in enumerate(read(self.root / file).splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                found.append((number, match[1], match[2]))
        return found


def is_ours(include):
    return include.split("/")[0] in TOPS + ("tests",)


def is_generated(include):
    return include.startswith(("attune/", "google/rpc/"))


def check_edges(tree):
    for file in tree.sources:
        unit = unit_of(file)
        if unit not in LAYERS:
            yield f"{file}: '{unit}' has no place in the layers of {__file__}"
            continue
        for number, mark, include in tree.includes[file]:
            where = f"{file}:{number}: "
            if is_ours(include):
                target = unit_of(include)
                if include.startswith("tests/"):
                    yield f"{where}source may not include a test's {include}"
                elif not allowed(unit, target):
                    yield f"{where}{unit} may not include {target} ({include})"
                elif not (tree.root / include).exists():
                    yield f"{where}{include} does not exist"
            elif mark == '"' and (tree.root / file).parent.joinpath(
                    include).exists():
                yield f"{where}include {include} by its path from the root"
            if include.startswith("attune/worker/") and unit.startswith(
                    "client/"):
                yield f"{where}the client may not use the private {include}"
            if TORCH.match(include) and not unit.startswith("worker/"):
                yield f"{where}{include}: LibTorch stays inside worker/"


def check_whole_torch(tree):
    for file in tree.files:
        for number, _, include in tree.includes[file]:
            if include in WHOLE_TORCH:
                yield (f"{file}:{number}: {include} is all of LibTorch: "
                       "include the headers that are used")


def check_cycles(tree):
    state = {}  # file -> "open" while on the path, then "done"

    def visit(file, path):
        state[file] = "open"
        for _, _, include in tree.includes.get(file, []):
            if include not in tree.includes:
                continue
            if state.get(include) == "open":
                cycle = path[path.index(include):] + [include]
                yield "cycle: " + " -> ".join(cycle)
            elif include not in state:
                yield from visit(include, path + [include])
        state[file] = "done"

    for file in tree.files:
        if file not in state:
            yield from visit(file, [file])


def check_targets(tree):
    tokens = {}  # CMakeLists.txt -> its words
    for file in tree.files:
        folder = (tree.root / file).parent
        while folder != tree.root and not (folder / "CMakeLists.txt").exists():
            folder = folder.parent
        cmake = folder / "CMakeLists.txt"
        if cmake not in tokens:
            text = read(cmake) if cmake.exists() else ""
            text = re.sub(r"#.*", "", text)
            tokens[cmake] = set(re.split(r'[\s()"]+', text))
        listed_as = str((tree.root / file).relative_to(folder))
        if listed_as not in tokens[cmake]:
            yield (f"{file}: not listed in "
                   f"{cmake.relative_to(tree.root)}")


def check_sizes(tree):
    total = 0
    for file in tree.sources:
        lines = count_lines(tree.root / file)
        limit = MAX_HEADER if file.endswith(".h") else MAX_SOURCE
        limit = LONG_ON_PURPOSE.get(file, (limit, ""))[0]
        if lines > limit:
            yield f"{file}: {lines} lines; at most {limit}"
        if file.startswith("proto/cc/"):
            total += lines
    if total > MAX_PROTO_CC:
        yield f"proto/cc: {total} lines in all; at most {MAX_PROTO_CC}"
    for top in TOPS + ("tests",):
        for path in sorted((tree.root / top).rglob("CMakeLists.txt")):
            lines = sum(1 for line in path.read_text().splitlines()
                        if line.strip() and not FILE_NAME_LINE.match(line))
            if lines > MAX_CMAKE:
                yield (f"{path.relative_to(tree.root)}: {lines} lines; at "
                       f"most {MAX_CMAKE}")


def check_mirrors(tree):
    for file in tree.sources:
        if not file.endswith(".cc") or file in TESTED_ELSEWHERE:
            continue
        mirror = "tests/" + file[:-len(".cc")] + "_test.cc"
        if mirror not in tree.includes:
            yield f"{file}: has no {mirror}"


def check_names(tree):
    for file in tree.files:
        for part in pathlib.PurePath(file).with_suffix("").parts:
            if EMPTY_NAMES.match(part):
                yield f"{file}: '{part}' says nothing about what is in it"


CHECKS = (check_edges, check_whole_torch, check_cycles, check_targets,
          check_sizes, check_mirrors, check_names)


def check(root):
    tree = Tree(root)
    if not tree.sources:
        return [f"{root}: no C++ files found"]
    return [message for one in CHECKS for message in one(tree)]


def summary(root):
    tree = Tree(root)
    source = sum(count_lines(tree.root / f) for f in tree.sources)
    tests = sum(count_lines(tree.root / f) for f in tree.files
                if f.startswith("tests/"))
    return (f"{len(tree.sources)} source files, {source} lines; test lines "
            f"{tests} ({tests / max(source, 1):.2f} of source)")


class IncludeRulesTest(unittest.TestCase):
    """The checker finds what it is for, in a small tree of its own."""

    def setUp(self):
        self._temp = tempfile.TemporaryDirectory()
        self.addCleanup(self._temp.cleanup)
        self.root = pathlib.Path(self._temp.name)
        self.put("server/store/db.h", '#include "proto/cc/clock.h"\n')
        self.put("server/store/CMakeLists.txt", "attune_library(s HDRS db.h)")
        self.put("server/jobs/queue.h", '#include "server/store/db.h"\n')
        self.put("server/jobs/queue.cc", '#include "server/jobs/queue.h"\n')
        self.put("server/jobs/CMakeLists.txt",
                 "attune_library(j SRCS queue.cc HDRS queue.h)")
        self.put("proto/cc/clock.h", "#include <string>\n")
        self.put("proto/cc/CMakeLists.txt", "attune_library(p HDRS clock.h)")
        self.put("tests/server/jobs/queue_test.cc",
                 '#include "server/jobs/queue.h"\n')
        self.put("tests/server/jobs/CMakeLists.txt",
                 "attune_test(j SRCS queue_test.cc)")

    def put(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def assert_found(self, *parts):
        found = check(self.root)
        self.assertTrue(
            any(all(part in message for part in parts) for message in found),
            f"nothing with {parts} in {found}")

    def test_a_right_tree_passes(self):
        self.assertEqual(check(self.root), [])

    def test_server_may_not_include_worker(self):
        self.put("server/jobs/queue.cc", '#include "worker/text/template.h"\n')
        self.assert_found("server/jobs/queue.cc:1",
                          "server/jobs may not include worker/text")

    def test_a_lower_folder_may_not_include_a_higher_one(self):
        self.put("server/store/db.h", '#include "server/jobs/queue.h"\n')
        self.assert_found("server/store may not include server/jobs")

    def test_neighbours_may_not_include_each_other(self):
        self.put("worker/tasks/a.h", '#include "worker/prompts/b.h"\n')
        self.assert_found("worker/tasks may not include worker/prompts")

    def test_nothing_may_include_tests(self):
        self.put("server/jobs/queue.cc", '#include "tests/testing/fake.h"\n')
        self.assert_found("may not include a test's")

    def test_torch_stays_inside_worker(self):
        self.put("proto/cc/clock.h", "#include <c10/util/Half.h>\n")
        self.assert_found("proto/cc/clock.h:1", "stays inside worker/")

    def test_all_of_torch_is_too_much_even_in_worker(self):
        self.put("worker/models/a.h", "#include <ATen/ATen.h>\n")
        self.assert_found("worker/models/a.h:1", "is all of LibTorch")

    def test_the_client_may_not_use_the_private_api(self):
        self.put("client/main.cc",
                 '#include "attune/worker/v1/engine.grpc.pb.h"\n')
        self.assert_found("client/main.cc:1", "private")

    def test_main_may_include_everything_of_its_own_top_folder(self):
        self.put("server/main.cc", '#include "server/jobs/queue.h"\n')
        self.put("server/CMakeLists.txt", "attune_binary(b SRCS main.cc)")
        self.assertEqual(check(self.root), [])

    def test_a_cycle_is_named(self):
        self.put("server/jobs/queue.h", '#include "server/jobs/job.h"\n')
        self.put("server/jobs/job.h", '#include "server/jobs/queue.h"\n')
        self.assert_found("cycle:", "server/jobs/job.h",
                          "server/jobs/queue.h")

    def test_a_folder_without_a_place_is_refused(self):
        self.put("server/extra/a.h", "")
        self.assert_found("'server/extra' has no place")

    def test_a_relative_include_is_refused(self):
        self.put("server/jobs/queue.cc", '#include "queue.h"\n')
        self.assert_found("by its path from the root")

    def test_a_missing_header_is_named(self):
        self.put("server/jobs/queue.cc", '#include "server/store/gone.h"\n')
        self.assert_found("server/store/gone.h does not exist")

    def test_every_file_is_listed(self):
        self.put("server/jobs/lost.h", "")
        self.assert_found("server/jobs/lost.h: not listed")

    def test_a_file_in_a_comment_is_not_listed(self):
        self.put("server/jobs/CMakeLists.txt",
                 "attune_library(j SRCS queue.cc)  # queue.h")
        self.assert_found("server/jobs/queue.h: not listed")

    def test_long_files_are_refused(self):
        self.put("server/jobs/queue.cc", "int a;\n" * (MAX_SOURCE + 1))
        self.assert_found("server/jobs/queue.cc: 501 lines; at most 500")

    def test_blank_lines_do_not_count(self):
        self.put("server/jobs/queue.cc", "int a;\n\n" * MAX_SOURCE)
        self.assertEqual(check(self.root), [])

    def test_every_source_has_its_mirror(self):
        self.put("server/jobs/job.cc", "")
        self.assert_found("has no tests/server/jobs/job_test.cc")

    def test_empty_names_are_refused(self):
        self.put("server/jobs/utils.h", "")
        self.assert_found("'utils' says nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="check only this tree")
    args = parser.parse_args()
    if args.root is None:
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(
            IncludeRulesTest)
        if not unittest.TextTestRunner().run(suite).wasSuccessful():
            return 1
    root = args.root or pathlib.Path(__file__).resolve().parent.parent
    found = check(root)
    for message in found:
        print(message)
    print(summary(root))
    print(f"include rules: {len(found)} violations" if found
          else "include rules: no violation")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The Dockerfiles install what the binaries link, and nothing runs as root."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
IMAGES = ROOT / "deploy/images"
BINARIES = {"server": "attune-server", "worker": "attune-worker",
            "cli": "attune"}
# Debian's slim image has these already.
IN_BASE = {"libc6", "libgcc-s1", "libstdc++6", "zlib1g"}


def dockerfile(name):
    return (IMAGES / f"{name}.Dockerfile").read_text(encoding="utf-8")


def runtime_packages(text):
    """The packages of the last apt-get install in a Dockerfile."""
    last = text[text.rindex("apt-get install"):].replace("\\\n", " ")
    words = last.splitlines()[0].split("&&")[0].split()
    return {word for word in words[2:] if not word.startswith("-")}


def debian_name(package):
    return package.split(":")[0]


def linked_packages(binary):
    """The Debian packages of the libraries a binary needs directly."""
    needed = re.findall(
        r"NEEDED.*\[(.*)\]",
        subprocess.run(["readelf", "-d", binary], check=True,
                       capture_output=True, text=True).stdout)
    paths = dict(re.findall(
        r"^\s*(\S+) => (/\S+)",
        subprocess.run(["ldd", binary], check=True, capture_output=True,
                       text=True).stdout, re.MULTILINE))
    packages = set()
    for library in needed:
        path = paths.get(library)
        if path is None:  # the loader itself has no arrow in what ldd prints
            continue
        # /lib is a link to /usr/lib, and dpkg may know either of the two.
        for known in (path, path.removeprefix("/usr"), "/usr" + path):
            found = subprocess.run(["dpkg-query", "-S", known], check=False,
                                   capture_output=True, text=True)
            if found.returncode == 0:
                packages.add(debian_name(found.stdout.split(" ")[0]))
                break
    return packages


class ImagesTest(unittest.TestCase):

    def test_each_final_stage_has_another_user_than_root(self):
        for name in BINARIES:
            users = re.findall(r"^USER (\S+)", dockerfile(name), re.MULTILINE)
            self.assertEqual(users, ["10001:10001"], name)

    def test_bases_are_pinned(self):
        for name in BINARIES:
            for image in re.findall(r"^ARG \w+=(\S+)", dockerfile(name),
                                    re.MULTILINE):
                self.assertRegex(image, r":\d+\.\d+", name)

    def test_everything_copied_exists(self):
        for name in BINARIES:
            text = dockerfile(name).replace("\\\n", " ")
            for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", text,
                                      re.MULTILINE):
                for source in sources.split():
                    self.assertTrue((ROOT / source).exists(),
                                    f"{name}: {source}")

    def test_the_server_image_has_no_torch(self):
        for name in ("server", "cli"):
            self.assertNotRegex(dockerfile(name), r"(?m)^COPY.*torch")
            self.assertIn("setup.sh --server-only", dockerfile(name))

    @unittest.skipUnless(shutil.which("dpkg-query") and shutil.which("readelf"),
                         "needs dpkg-query and readelf")
    def test_linked_libraries_are_installed(self):
        folder = pathlib.Path(os.environ.get("ATTUNE_BIN_DIR", "bin"))
        for name, binary in BINARIES.items():
            if not (folder / binary).exists():
                continue
            with self.subTest(name):
                missing = (linked_packages(folder / binary) - IN_BASE
                           - runtime_packages(dockerfile(name)))
                self.assertEqual(missing, set(), "not in the Dockerfile")


if __name__ == "__main__":
    unittest.main()

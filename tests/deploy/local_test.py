#!/usr/bin/env python3
"""deploy/local.sh with binaries made up here, which only answer health checks:
starting, stopping, and what it says when something is in the way. Once with the
real ones, which must take its flags."""

import os
import pathlib
import signal
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARIES = ("attune-server", "attune-worker", "attune")
BUILT = pathlib.Path(os.environ.get("ATTUNE_BIN_DIR", "bin")).resolve()

# Answers every connection as a gRPC health service that is SERVING.
SERVICE = """#!{python}
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit({exit_with}))
print("arguments", *sys.argv[1:], flush=True)
if {fail}:
    sys.exit("refusing to start")
host, port = sys.argv[sys.argv.index("--listen") + 1].split(":")
listener = socket.create_server((host, int(port)))
while True:
    connection, _ = listener.accept()
    connection.recv(4096)
    connection.sendall(bytes.fromhex(
        "000000040000000000" "000001010400000001" "88"
        "000007000100000001" "00000000020801"))
    connection.close()
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class LocalTest(unittest.TestCase):

    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.home = pathlib.Path(temp.name)
        self.bin = self.home / "bin"
        self.bin.mkdir()
        self.make_service("attune-server")
        self.make_service("attune-worker")
        self.make("attune", "#!/bin/sh\necho \"attune $*\"\n")
        self.port = free_port()
        self.env = {
            "PATH": os.environ["PATH"], "ATTUNE_HOME": str(self.home),
            "ATTUNE_BIN_DIR": str(self.bin),
            "ATTUNE_SERVER_PORT": str(self.port),
            "ATTUNE_SERVER_METRICS_PORT": str(free_port()),
            "ATTUNE_WORKER_PORT": str(free_port()),
            "ATTUNE_WORKER_METRICS_PORT": str(free_port())}
        self.addCleanup(self.local, "stop")

    def make(self, name, text):
        file = self.bin / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)

    def make_service(self, name, fail=False, exit_with=0):
        self.make(name, SERVICE.format(python=sys.executable, fail=fail,
                                       exit_with=exit_with))

    def local(self, *args, **env):
        return subprocess.run(
            [str(ROOT / "deploy/local.sh"), *args], capture_output=True,
            text=True, check=False, env={**self.env, **env}, timeout=60)

    def pid(self, name):
        return int((self.home / f"run/{name}.pid").read_text())

    def test_starts_and_stops_both(self):
        started = self.local("start")
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assertIn(f"attune-server listens on 127.0.0.1:{self.port}",
                      started.stdout)
        pids = [self.pid("attune-server"), self.pid("attune-worker")]

        status = self.local("status")
        self.assertEqual(status.returncode, 0)
        self.assertIn(f"attune --server 127.0.0.1:{self.port} status",
                      status.stdout)

        stopped = self.local("stop")
        self.assertEqual(stopped.stdout,
                         "attune-worker stopped\nattune-server stopped\n")
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assertEqual(self.local("status").returncode, 1)

    def test_passes_the_directories_and_the_preload(self):
        (self.home / "models/tiny").mkdir(parents=True)
        self.local("start", ATTUNE_PRELOAD="tiny",
                   ATTUNE_WORKER_FLAGS="--device=cpu --threads=2")
        logs = self.local("logs").stdout
        self.assertIn(f"--state-dir {self.home}/state", logs)
        self.assertIn(f"--models-dir {self.home}/models "
                      "--preload models/tiny --device=cpu --threads=2", logs)

    def test_a_second_start_does_nothing(self):
        self.local("start")
        before = self.pid("attune-server")
        again = self.local("start")
        self.assertEqual(again.returncode, 0)
        self.assertIn("attune-server runs already", again.stdout)
        self.assertEqual(self.pid("attune-server"), before)

    def test_missing_binaries_name_the_build(self):
        (self.bin / "attune-worker").unlink()
        done = self.local("start")
        self.assertEqual(done.returncode, 1)
        self.assertIn("attune-worker is missing", done.stderr)
        self.assertIn("cmake --build --preset release", done.stderr)

    def test_a_port_in_use_is_named(self):
        with socket.create_server(("127.0.0.1", self.port)):
            done = self.local("start")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"127.0.0.1:{self.port} is in use", done.stderr)
        self.assertIn("ATTUNE_SERVER_PORT", done.stderr)

    def test_a_process_that_dies_shows_its_log(self):
        self.make_service("attune-worker", fail=True)
        done = self.local("start")
        self.assertEqual(done.returncode, 1)
        self.assertIn("refusing to start", done.stderr)
        self.assertIn("attune-worker did not become ready", done.stderr)

    def test_a_process_that_does_not_stop_is_killed(self):
        self.local("start")
        self.make("attune-server", "")
        os.kill(self.pid("attune-server"), signal.SIGSTOP)
        done = self.local("stop", ATTUNE_STOP_SECONDS="1")
        self.assertIn("attune-server did not stop within 1 s", done.stdout)

    def test_another_program_with_an_old_number_is_left_alone(self):
        other = subprocess.Popen(["sleep", "60"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        (self.home / "run").mkdir()
        (self.home / "run/attune-server.pid").write_text(str(other.pid))
        self.local("stop")
        self.assertIsNone(other.poll())
        self.assertFalse((self.home / "run/attune-server.pid").exists())

    def test_logs_before_a_start_say_so(self):
        done = self.local("logs")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there are no logs", done.stderr)

    def test_an_unknown_command_is_refused(self):
        self.assertEqual(self.local("fly").returncode, 2)

    @unittest.skipUnless(all((BUILT / name).exists() for name in BINARIES),
                         f"not all of {BINARIES} are in {BUILT}")
    def test_the_real_binaries_take_its_flags(self):
        for name in BINARIES:
            shutil.copy(BUILT / name, self.bin / name)
        # A directory without a model: the worker gets as far as loading it.
        (self.home / "models/empty").mkdir(parents=True)

        failed = self.local("start", ATTUNE_PRELOAD="empty")
        self.assertEqual(failed.returncode, 1)
        self.assertIn("base model 'empty' is not in", failed.stderr)

        started = self.local("start", ATTUNE_PRELOAD="")
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assertIn("attune-server runs already\n", started.stdout)
        (self.bin / "attune-server").unlink()
        shutil.copy(BUILT / "attune-server", self.bin / "attune-server")
        again = self.local("start")
        self.assertIn("attune-server runs already, from an older build",
                      again.stdout)
        status = self.local("status")
        self.assertEqual(status.returncode, 0, status.stderr)
        self.assertIn(f"127.0.0.1:{self.port}, serving", status.stdout)


if __name__ == "__main__":
    unittest.main()

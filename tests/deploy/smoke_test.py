#!/usr/bin/env python3
"""The rendered pods start, answer their probes and stop, with the real
binaries: exactly the command, arguments, environment, configuration files,
user and read-only root of the manifest.

Needs root and Linux namespaces, and the binaries in ATTUNE_BIN_DIR; skips,
saying which is missing. The GPU overlay's worker is not started.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import rendered
from rendered import config_files, find, pod_spec

sys.path.insert(0, str(rendered.ROOT / "deploy"))
import grpc_health  # noqa: E402  (it is found through the path above)

BIN = pathlib.Path(os.environ.get("ATTUNE_BIN_DIR", "bin")).resolve()
DEPS = pathlib.Path(os.environ.get("ATTUNE_DEPS_DIR",
                                   rendered.ROOT / ".attune/deps"))
POD_IP, POD_NAME = "127.0.0.1", "attune-worker-0"


def substitute(arg):
    return arg.replace("$(POD_IP)", POD_IP).replace("$(POD_NAME)", POD_NAME)


def plan_of(objects, kind, name, models=None):
    """What pod.py needs to know to run a workload's pod."""
    workload = find(objects, kind, name)
    spec = pod_spec(workload)
    container = spec["containers"][0]
    annotations = workload["spec"]["template"]["metadata"]["annotations"]
    claims = [c["metadata"]["name"] for c in
              workload["spec"].get("volumeClaimTemplates", [])]
    scratch = [v["name"] for v in spec["volumes"] if "emptyDir" in v] + claims
    # Beside /usr, which is the host's; the image has it in /usr/local/bin.
    binds = [(str(BIN / name), f"/attune/bin/{name}")]
    if DEPS.exists():
        binds.append((str(DEPS), str(DEPS)))
    if models:
        binds.append((models, "/models"))
    return {
        "name": name,
        "command": container["command"] + [substitute(a)
                                           for a in container["args"]],
        "env": {"PATH": "/attune/bin:/usr/bin:/bin",
                **{e["name"]: substitute(f"$({e['name']})")
                   for e in container.get("env", [])}},
        "files": config_files(objects, workload),
        "writable": [m["mountPath"] for m in container["volumeMounts"]
                     if m["name"] in scratch],
        "binds": binds,
        "user": spec["securityContext"]["runAsUser"],
        "grace": spec["terminationGracePeriodSeconds"],
        "pre_stop": container["lifecycle"]["preStop"]["exec"]["command"],
        "probes": {p: container[p] for p in
                   ("startupProbe", "readinessProbe", "livenessProbe")},
        "metrics_port": annotations["prometheus.io/port"],
        "metrics_path": annotations["prometheus.io/path"],
    }


def run_pods(pods):
    with tempfile.TemporaryDirectory() as base:
        plan = {"base": base, "pods": pods,
                "hosts": "127.0.0.1 localhost attune-server\n"}
        done = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
             sys.executable, str(rendered.FOLDER / "pod.py")],
            env={**os.environ, "PYTHONPATH": str(rendered.ROOT / "deploy")},
            input=json.dumps(plan), capture_output=True, text=True,
            check=False, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def why_not():
    if os.geteuid() != 0:
        return "needs root, for a network and a file system of its own"
    if not shutil.which("unshare") or subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "true"],
            capture_output=True, check=False).returncode != 0:
        return "namespaces are not allowed here"
    if not (BIN / "attune-server").exists():
        return f"{BIN}/attune-server is not built"
    return None


@unittest.skipIf(why_not(), why_not())
class SmokeTest(unittest.TestCase):

    def setUp(self):
        self.objects = rendered.load("base")

    def assert_pod(self, report, name, metric):
        self.assertNotIn("error", report, report.get("logs", {}).get(name))
        pod, log = report["pods"][name], report["logs"][name]
        self.assertIn(f"# TYPE {metric}", pod["metrics"])
        self.assertEqual(pod["pre_stop"], 0, "preStop")
        self.assertEqual(pod["exit"], 0, log)
        print(f"{name}: started in {pod['startupProbe']} s, ready after "
              f"{pod['readinessProbe']} s more, stopped in {pod['seconds']} s")

    def test_the_server_pod_lives(self):
        report = run_pods([plan_of(self.objects, "StatefulSet",
                                   "attune-server")])

        self.assert_pod(report, "attune-server", "attune_")

    @unittest.skipUnless((BIN / "attune-worker").exists(),
                         "attune-worker is not built")
    def test_the_worker_pod_lives_beside_it(self):
        with tempfile.TemporaryDirectory() as models:
            os.chmod(models, 0o755)
            report = run_pods([
                plan_of(self.objects, "StatefulSet", "attune-server"),
                plan_of(self.objects, "Deployment", "attune-worker", models)])

        self.assert_pod(report, "attune-worker", "attune_")
        self.assert_pod(report, "attune-server", "attune_")

    def test_an_unknown_key_stops_the_start(self):
        pod = plan_of(self.objects, "StatefulSet", "attune-server")
        path = next(iter(pod["files"]))
        pod["files"][path] += 'lisen = "0.0.0.0:50051"\n'

        report = run_pods([pod])

        self.assertIn("ended with", report.get("error", ""))
        self.assertIn("lisen", report["logs"]["attune-server"])


class GrpcHealthTest(unittest.TestCase):
    """The probe itself, against recorded answers."""

    def answer(self, *frames):
        """The port of a server that gives these bytes to one client."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"".join(frames))
                connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join)
        return listener.getsockname()[1]

    SETTINGS = b"\0\0\0\4\0\0\0\0\0"
    HEADERS = b"\0\0\1\1\4\0\0\0\1\x88"

    def test_serving(self):
        port = self.answer(self.SETTINGS, self.HEADERS,
                           b"\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\1",
                           b"\0\0\1\1\5\0\0\0\1\x88")
        self.assertEqual(grpc_health.check("127.0.0.1", port, "a"),
                         grpc_health.SERVING)

    def test_not_serving(self):
        port = self.answer(self.SETTINGS, self.HEADERS,
                           b"\0\0\7\0\1\0\0\0\1\0\0\0\0\2\x08\2")
        self.assertEqual(grpc_health.check("127.0.0.1", port, ""), 2)

    def test_an_unknown_service_is_none(self):
        port = self.answer(self.SETTINGS, b"\0\0\1\1\5\0\0\0\1\x88")
        self.assertIsNone(grpc_health.check("127.0.0.1", port, "x"))

    def test_a_closed_port_is_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with self.assertRaises(OSError):
            grpc_health.check("127.0.0.1", port, "")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Runs the pods of a plan, one after the other, as a kubelet would.

Started by smoke_test.py as root inside namespaces of its own (mounts, network,
processes), so that ports, /etc and the file system can be the pod's. Reads a
plan as JSON on standard input, prints a report as JSON.

Each pod gets a root directory that is read-only except for its volumes, runs
as the pod's user, is probed on the loopback device, and is stopped in reverse
order: preStop, SIGTERM, and the grace period to exit.
"""

import fcntl
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request

import grpc_health

# Of the host, read-only: what Debian's image would have.
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/sbin")


def run(*command):
    subprocess.run(command, check=True)


def raise_loopback():
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        answer = fcntl.ioctl(any_socket, siocgifflags, request)
        flags = struct.unpack("16sH14s", answer)[1] | iff_up
        fcntl.ioctl(any_socket, siocsifflags,
                    struct.pack("16sH14s", b"lo", flags, b""))


def bind(source, root, target, writable):
    place = pathlib.Path(root + target)
    if os.path.isdir(source):
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    run("mount", "--bind", source, str(place))
    if not writable:
        run("mount", "-o", "remount,bind,ro", str(place))


def build_root(root, pod, hosts):
    """The pod's file system below `root`, its own mount."""
    os.makedirs(root)
    run("mount", "-t", "tmpfs", "attune-pod", root)
    for path in SYSTEM:
        if os.path.islink(path):
            os.symlink(os.readlink(path), root + path)
        elif os.path.exists(path):
            bind(path, root, path, writable=False)
    for path in ("/dev/null", "/dev/urandom", "/dev/random"):
        bind(path, root, path, writable=True)
    os.makedirs(root + "/etc")
    for name in ("ld.so.cache", "nsswitch.conf"):
        source = pathlib.Path("/etc", name)
        if source.exists():
            pathlib.Path(root, "etc", name).write_bytes(source.read_bytes())
    pathlib.Path(root, "etc/hosts").write_text(hosts, encoding="utf-8")
    os.makedirs(root + "/proc")
    run("mount", "-t", "proc", "proc", root + "/proc")
    for source, target in pod["binds"]:
        bind(source, root, target, writable=False)
    for path, text in pod["files"].items():
        file = pathlib.Path(root + path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    for path in pod["writable"]:
        folder = root + path
        os.makedirs(folder, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"uid={pod['user']},"
            f"gid={pod['user']},mode=0770", "attune-volume", folder)
    run("mount", "-o", "remount,ro", root)


def inside(root, user):
    def enter():
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    return enter


def spawn(root, pod, command, log):
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        env=pod["env"], preexec_fn=inside(root, pod["user"]))


def probe(pod, name):
    """Waits for a probe as long as the kubelet would. Seconds, or an error."""
    rule, start = pod["probes"][name], time.monotonic()
    limit = (rule.get("periodSeconds", 10) * rule.get("failureThreshold", 3)
             + rule.get("initialDelaySeconds", 0))
    last = None
    while time.monotonic() - start < limit:
        if pod["process"].poll() is not None:
            raise RuntimeError(f"{pod['name']} ended with "
                               f"{pod['process'].returncode}")
        try:
            last = grpc_health.check("127.0.0.1", rule["grpc"]["port"],
                                     rule["grpc"]["service"])
        except OSError as error:
            last = str(error)
        if last == grpc_health.SERVING:
            return round(time.monotonic() - start, 3)
        time.sleep(0.02)
    raise RuntimeError(f"{pod['name']}: {name} says {last}")


def scrape(pod):
    url = f"http://127.0.0.1:{pod['metrics_port']}{pod['metrics_path']}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def start(base, pod, hosts):
    pod["root"] = f"{base}/{pod['name']}"
    build_root(pod["root"], pod, hosts)
    pod["log_path"] = f"{base}/{pod['name']}.log"
    with open(pod["log_path"], "wb") as log:
        pod["process"] = spawn(pod["root"], pod, pod["command"], log)
    report = {name: probe(pod, name) for name in
              ("startupProbe", "readinessProbe", "livenessProbe")}
    report["metrics"] = scrape(pod)
    return report


def stop(pod):
    report = {}
    if pod["pre_stop"]:
        with open(pod["log_path"], "ab") as log:
            hook = spawn(pod["root"], pod, pod["pre_stop"], log)
        report["pre_stop"] = hook.wait(timeout=pod["grace"])
    began = time.monotonic()
    pod["process"].send_signal(signal.SIGTERM)
    try:
        report["exit"] = pod["process"].wait(timeout=pod["grace"])
    except subprocess.TimeoutExpired:
        report["exit"] = "still running after the grace period"
    report["seconds"] = round(time.monotonic() - began, 3)
    return report


def main():
    plan = json.load(sys.stdin)
    raise_loopback()
    # Mounts made here stay here.
    run("mount", "--make-rprivate", "/")
    report, running = {"pods": {}}, []
    try:
        for pod in plan["pods"]:
            running.append(pod)
            report["pods"][pod["name"]] = start(plan["base"], pod,
                                                plan["hosts"])
        for pod in reversed(plan["pods"]):
            report["pods"][pod["name"]].update(stop(pod))
            running.remove(pod)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        report["error"] = f"{type(error).__name__}: {error}"
        for pod in running:
            if "process" in pod and pod["process"].poll() is None:
                pod["process"].kill()
    report["logs"] = {
        pod["name"]: pathlib.Path(pod["log_path"]).read_text(errors="replace")
        for pod in plan["pods"] if "log_path" in pod}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()

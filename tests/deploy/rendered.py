"""The committed renders of deploy/kustomize, as Python objects."""

import pathlib

import yaml

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
# golden file -> the kustomization that renders to it
KUSTOMIZATIONS = {
    "base": ROOT / "deploy/kustomize/base",
    "gpu": ROOT / "deploy/kustomize/overlays/gpu",
}
WORKLOADS = ("StatefulSet", "Deployment")


def golden_path(name):
    return FOLDER / "golden" / f"{name}.yaml"


def load(name):
    """All objects of a golden render."""
    with open(golden_path(name), encoding="utf-8") as file:
        return [o for o in yaml.safe_load_all(file) if o]


def of_kind(objects, *kinds):
    return [o for o in objects if o["kind"] in kinds]


def find(objects, kind, name):
    """The object of this kind and name, or None."""
    for o in of_kind(objects, kind):
        if o["metadata"]["name"] == name:
            return o
    return None


def pod_labels(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def pod_spec(workload):
    return workload["spec"]["template"]["spec"]


def matches(selector, labels):
    """Whether a selector of plain labels picks these labels."""
    return all(labels.get(key) == value for key, value in selector.items())


def container_ports(workload):
    """[(name, number)] of all containers of a workload."""
    return [(port["name"], port["containerPort"])
            for container in pod_spec(workload)["containers"]
            for port in container.get("ports", [])]


def settings(text):
    """The keys of a configuration file: `key = value` lines, `#` comments."""
    found = {}
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if line:
            key, value = line.split("=", 1)
            found[key.strip()] = value.strip().strip('"')
    return found


def config_files(objects, workload):
    """{path in the pod: text} of every ConfigMap that the pod mounts. A
    ConfigMap that does not exist gives no files."""
    spec = pod_spec(workload)
    maps = {v["name"]: v["configMap"]["name"]
            for v in spec.get("volumes", []) if "configMap" in v}
    files = {}
    for container in spec["containers"]:
        for mount in container.get("volumeMounts", []):
            config = find(objects, "ConfigMap", maps.get(mount["name"], ""))
            for key, text in (config or {}).get("data", {}).items():
                files[f"{mount['mountPath']}/{key}"] = text
    return files


def config_argument(container):
    """The path that --config=PATH names, or None."""
    for arg in container.get("args", []):
        if arg.startswith("--config="):
            return arg[len("--config="):]
    return None

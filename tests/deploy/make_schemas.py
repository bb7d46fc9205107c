#!/usr/bin/env python3
"""Writes the JSON schemas of the Kubernetes kinds that deploy/kustomize uses.

Run by hand when a kind is added or the Kubernetes version is raised:

  go mod download -json k8s.io/kubernetes@v1.32.0      # prints "Dir"
  tests/deploy/make_schemas.py DIR/api/openapi-spec/swagger.json

One file per kind in tests/deploy/schemas/, named as kubeconform expects. They
are strict: a field that Kubernetes does not know is an error. Descriptions are
left out. The OpenAPI document is Apache-2.0, by The Kubernetes Authors.
"""

import json
import pathlib
import sys

KINDS = (
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.apps.v1.StatefulSet",
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Namespace",
    "io.k8s.api.core.v1.PersistentVolumeClaim",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.core.v1.ServiceAccount",
    "io.k8s.api.networking.v1.NetworkPolicy",
)
# Types that JSON writes as a number or as a string.
NUMBER_OR_STRING = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "number",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "integer",
}
PREFIX = "#/definitions/"


def strict(node):
    """The schema without prose, closed to unknown fields."""
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, value in node.items():
        if key in ("type", "required", "enum", "$ref"):
            kept[key] = value
        elif key == "properties":
            kept[key] = {name: strict(sub) for name, sub in value.items()}
        elif key in ("items", "additionalProperties"):
            kept[key] = strict(value)
    if "properties" in kept:
        kept.setdefault("additionalProperties", False)
    return kept


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"][len(PREFIX):]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def schema_of(kind, definitions):
    group_version_kind = definitions[kind]["x-kubernetes-group-version-kind"][0]
    root = strict(definitions[kind])
    group, version = group_version_kind["group"], group_version_kind["version"]
    root["properties"]["apiVersion"]["enum"] = [
        f"{group}/{version}" if group else version]
    root["properties"]["kind"]["enum"] = [group_version_kind["kind"]]
    root["required"] = ["apiVersion", "kind"]
    used, open_names = {}, set(references(root))
    while open_names:
        name = open_names.pop()
        if name in NUMBER_OR_STRING:
            used[name] = {"oneOf": [{"type": "string"},
                                    {"type": NUMBER_OR_STRING[name]}]}
            continue
        used[name] = strict(definitions[name])
        open_names |= set(references(used[name])) - set(used)
    root["$schema"] = "http://json-schema.org/draft-07/schema#"
    root["definitions"] = used
    parts = [group_version_kind["kind"].lower()]
    if group:
        parts.append(group.split(".")[0])
    return "-".join(parts + [version]) + ".json", root


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    definitions = json.loads(text)["definitions"]
    folder = pathlib.Path(__file__).resolve().parent / "schemas"
    for kind in KINDS:
        name, schema = schema_of(kind, definitions)
        (folder / name).write_text(
            json.dumps(schema, indent=1, sort_keys=True) + "\n",
            encoding="utf-8")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The manifests render to the committed files and fit the Kubernetes schemas.

  render_test.py            compare and check
  render_test.py --update   render again after a change of deploy/kustomize
"""

import copy
import json
import shutil
import subprocess
import sys
import unittest

import jsonschema

import rendered


def render(name):
    return subprocess.run(
        ["kubectl", "kustomize", str(rendered.KUSTOMIZATIONS[name])],
        check=True, capture_output=True, text=True).stdout


def schema_of(obj):
    group, _, version = obj["apiVersion"].rpartition("/")
    parts = [obj["kind"].lower(), group.split(".")[0], version]
    file = "-".join(part for part in parts if part) + ".json"
    with open(rendered.FOLDER / "schemas" / file, encoding="utf-8") as text:
        return json.load(text)


def check(obj):
    jsonschema.Draft7Validator(schema_of(obj)).validate(obj)


class RenderTest(unittest.TestCase):

    @unittest.skipUnless(shutil.which("kubectl"),
                         "kubectl is not here: nothing is rendered")
    def test_renders_are_the_committed_ones(self):
        for name in rendered.KUSTOMIZATIONS:
            with self.subTest(name):
                self.maxDiff = None
                self.assertEqual(
                    render(name),
                    rendered.golden_path(name).read_text(encoding="utf-8"),
                    "run tests/deploy/render_test.py --update and look at "
                    "the difference")

    def test_every_object_fits_its_schema(self):
        for name in rendered.KUSTOMIZATIONS:
            for obj in rendered.load(name):
                with self.subTest(name, object=obj["metadata"]["name"]):
                    check(obj)

    @unittest.skipUnless(shutil.which("kubeconform"),
                         "kubeconform is not here: one checker less")
    def test_kubeconform_agrees(self):
        location = (f"{rendered.FOLDER}/schemas/"
                    "{{.ResourceKind}}{{.KindSuffix}}.json")
        for name in rendered.KUSTOMIZATIONS:
            done = subprocess.run(
                ["kubeconform", "-strict", "-schema-location", location,
                 str(rendered.golden_path(name))],
                capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_schemas_refuse_unknown_fields(self):
        server = rendered.find(rendered.load("base"), "StatefulSet",
                               "attune-server")
        for path in ("spec", "spec.template.spec"):
            wrong = copy.deepcopy(server)
            node = wrong
            for key in path.split("."):
                node = node[key]
            node["replicsa"] = 1
            with self.assertRaisesRegex(jsonschema.ValidationError,
                                        "replicsa"):
                check(wrong)

    def test_the_schemas_refuse_a_wrong_type(self):
        server = rendered.find(rendered.load("base"), "StatefulSet",
                               "attune-server")
        server["spec"]["replicas"] = "1"
        with self.assertRaises(jsonschema.ValidationError):
            check(server)


if __name__ == "__main__":
    if "--update" in sys.argv:
        for one in rendered.KUSTOMIZATIONS:
            rendered.golden_path(one).write_text(render(one),
                                                 encoding="utf-8")
    else:
        unittest.main()

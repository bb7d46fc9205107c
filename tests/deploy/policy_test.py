#!/usr/bin/env python3
"""The rendered manifests keep the rules that no schema knows: Pod Security
"restricted", probes and Services that meet open ports, configuration that
exists and agrees with the pod, time enough to drain."""

import copy
import re
import unittest

import rendered
from rendered import (config_argument, config_files, container_ports, find,
                      matches, of_kind, pod_labels, pod_spec, settings)

PROBES = {"startupProbe": "attune-liveness",
          "livenessProbe": "attune-liveness",
          "readinessProbe": "attune-readiness"}
DNS = 53


def workloads(objects):
    return of_kind(objects, *rendered.WORKLOADS)


def containers(objects):
    """(where, workload, container) of every container."""
    for workload in workloads(objects):
        for container in pod_spec(workload)["containers"]:
            yield workload["metadata"]["name"], workload, container


def check_pod_security(objects):
    namespaces = of_kind(objects, "Namespace")
    if not namespaces:
        yield "no Namespace"
    for namespace in namespaces:
        enforced = namespace["metadata"].get("labels", {}).get(
            "pod-security.kubernetes.io/enforce")
        if enforced != "restricted":
            yield f"namespace enforces {enforced}, not restricted"
    for workload in workloads(objects):
        name, spec = workload["metadata"]["name"], pod_spec(workload)
        context = spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True:
            yield f"{name}: runAsNonRoot is not set"
        if context.get("runAsUser", 0) < 10000:
            yield f"{name}: runAsUser is below 10000"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name}: seccompProfile is not RuntimeDefault"
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                yield f"{name}: {field}"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name}: a service account token is mounted"
        for volume in spec.get("volumes", []):
            if "hostPath" in volume:
                yield f"{name}: hostPath {volume['name']}"
            if "emptyDir" in volume and "sizeLimit" not in (
                    volume["emptyDir"] or {}):
                yield f"{name}: emptyDir {volume['name']} has no sizeLimit"
    for name, _, container in containers(objects):
        context = container.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{name}: the root file system can be written"
        if context.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{name}: capabilities are not dropped"
        if context.get("privileged"):
            yield f"{name}: privileged"


def check_images(objects):
    for name, _, container in containers(objects):
        _, _, tag = container["image"].partition(":")
        if not re.match(r"^\d+\.\d+\.\d+", tag):
            yield f"{name}: image {container['image']} names no version"


def check_resources(objects):
    for name, _, container in containers(objects):
        resources = container.get("resources", {})
        requests = resources.get("requests", {})
        limits = resources.get("limits", {})
        for field in ("cpu", "memory", "ephemeral-storage"):
            if field not in requests:
                yield f"{name}: no request for {field}"
        if "memory" not in limits:
            yield f"{name}: no limit of memory"
        if "cpu" in limits:
            yield f"{name}: a limit of cpu throttles answers"
        if "worker" in name and requests.get("memory") != limits.get("memory"):
            yield f"{name}: memory request and limit differ"
        if "nvidia.com/gpu" in requests:
            yield f"{name}: GPUs belong into limits only"


def check_probes(objects):
    for name, workload, container in containers(objects):
        ports = [number for _, number in container_ports(workload)]
        for field, service in PROBES.items():
            probe = container.get(field, {}).get("grpc")
            if probe is None:
                yield f"{name}: no gRPC {field}"
                continue
            if probe.get("port") not in ports:
                yield f"{name}: {field} asks port {probe.get('port')}"
            if probe.get("service") != service:
                yield f"{name}: {field} asks for {probe.get('service')}"


def check_services(objects):
    for service in of_kind(objects, "Service"):
        name = service["metadata"]["name"]
        picked = [w for w in workloads(objects)
                  if matches(service["spec"]["selector"], pod_labels(w))]
        if len(picked) != 1:
            yield f"service {name}: picks {len(picked)} workloads"
            continue
        open_ports = dict(container_ports(picked[0]))
        for port in service["spec"]["ports"]:
            target = port["targetPort"]
            if open_ports.get(target) != port["port"]:
                yield f"service {name}: {target} is not {port['port']}"
    for workload in workloads(objects):
        selector = workload["spec"]["selector"]["matchLabels"]
        if not matches(selector, pod_labels(workload)):
            yield f"{workload['metadata']['name']}: does not pick its own pods"
        governing = workload["spec"].get("serviceName")
        if governing:
            service = find(objects, "Service", governing)
            if not service or service["spec"].get("clusterIP") != "None":
                yield f"serviceName {governing}: no such headless Service"


def picked_by(objects, selector):
    return [w for w in workloads(objects)
            if matches(selector.get("matchLabels", {}), pod_labels(w))]


def check_network_policies(objects):
    policies = of_kind(objects, "NetworkPolicy")
    if not any(p["spec"]["podSelector"] == {} and "ingress" not in p["spec"]
               and "egress" not in p["spec"]
               and set(p["spec"]["policyTypes"]) == {"Ingress", "Egress"}
               for p in policies):
        yield "no policy denies everything by default"
    for policy in policies:
        name, spec = policy["metadata"]["name"], policy["spec"]
        own = [n for w in picked_by(objects, spec["podSelector"])
               for _, n in container_ports(w)]
        for rule in spec.get("ingress", []):
            for port in rule["ports"]:
                if port["port"] not in own:
                    yield f"policy {name}: opens {port['port']}, unused"
        for rule in spec.get("egress", []):
            theirs = [n for to in rule.get("to", [])
                      for w in picked_by(objects, to["podSelector"])
                      for _, n in container_ports(w)]
            for port in rule["ports"]:
                if port["port"] != DNS and port["port"] not in theirs:
                    yield f"policy {name}: lets out to {port['port']}, unused"
    for workload in workloads(objects):
        if not any(p["spec"]["podSelector"].get("matchLabels")
                   and workload in picked_by(objects, p["spec"]["podSelector"])
                   for p in policies):
            yield f"{workload['metadata']['name']}: no policy lets it talk"


def mount_at(container, path):
    """The mount that holds a path, or None."""
    for mount in container.get("volumeMounts", []):
        if path == mount["mountPath"] or path.startswith(
                mount["mountPath"] + "/"):
            return mount
    return None


def check_volumes(objects):
    for name, workload, container in containers(objects):
        known = [v["name"] for v in pod_spec(workload).get("volumes", [])]
        known += [c["metadata"]["name"] for c in
                  workload["spec"].get("volumeClaimTemplates", [])]
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in known:
                yield f"{name}: mounts the unknown volume {mount['name']}"
        for volume in pod_spec(workload).get("volumes", []):
            if "configMap" in volume and not find(
                    objects, "ConfigMap", volume["configMap"]["name"]):
                yield f"{name}: no ConfigMap {volume['configMap']['name']}"
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and not find(objects, "PersistentVolumeClaim", claim):
                yield f"{name}: no claim {claim}"


def port_of(address):
    return int(address.rpartition(":")[2])


def check_configuration(objects):
    for name, workload, container in containers(objects):
        path = config_argument(container)
        files = config_files(objects, workload)
        if path not in files:
            yield f"{name}: its configuration file {path} does not exist"
            continue
        config = settings(files[path])
        ports = dict(container_ports(workload))
        for key, port in (("listen", "grpc"), ("metrics-listen", "metrics")):
            if port_of(config.get(key, ":0")) != ports.get(port):
                yield f"{name}: {key} {config.get(key)} is not port {port}"
            if not config.get(key, "").startswith("0.0.0.0:"):
                yield f"{name}: {key} cannot be reached from outside the pod"
        scrape = workload["spec"]["template"]["metadata"].get(
            "annotations", {})
        if scrape.get("prometheus.io/port") != str(ports.get("metrics")):
            yield f"{name}: Prometheus is sent to another port"
        for key in ("state-dir", "models-dir"):
            if key in config:
                mount = mount_at(container, config[key])
                if mount is None:
                    yield f"{name}: {key} {config[key]} is on no volume"
                elif key == "state-dir" and mount.get("readOnly"):
                    yield f"{name}: {key} {config[key]} cannot be written"
        if "server" in config:
            host, _, port = config["server"].partition(":")
            service = find(objects, "Service", host)
            if not service or int(port) not in [
                    p["port"] for p in service["spec"]["ports"]]:
                yield f"{name}: no Service answers at {config['server']}"
        for arg in container["args"]:
            if arg.startswith("--advertise=") and port_of(arg) != ports.get(
                    "grpc"):
                yield f"{name}: advertises a port that is not open"


def check_time_to_drain(objects):
    for name, workload, container in containers(objects):
        grace = pod_spec(workload).get("terminationGracePeriodSeconds", 30)
        command = container.get("lifecycle", {}).get("preStop", {}).get(
            "exec", {}).get("command", ["sleep", "0"])
        text = config_files(objects, workload).get(
            config_argument(container), "")
        drain = settings(text).get("drain-timeout", "0s")
        needed = int(command[-1]) + int(drain.rstrip("s"))
        if grace <= needed:
            yield f"{name}: {grace} s of grace, {needed} s needed"


def check_one_sqlite(objects):
    for workload in of_kind(objects, "StatefulSet"):
        if workload["spec"].get("replicas") != 1:
            yield "the StatefulSet with SQLite must have one replica"
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            modes = claim["spec"]["accessModes"]
            if modes != ["ReadWriteOncePod"]:
                yield f"two pods could write to {claim['metadata']['name']}"


CHECKS = (check_pod_security, check_images, check_resources, check_probes,
          check_services, check_network_policies, check_volumes,
          check_configuration, check_time_to_drain, check_one_sqlite)


def check(objects):
    return [message for one in CHECKS for message in one(objects)]


class PolicyTest(unittest.TestCase):

    def setUp(self):
        self.objects = rendered.load("base")
        self.server = find(self.objects, "StatefulSet", "attune-server")
        self.container = pod_spec(self.server)["containers"][0]

    def assert_found(self, part):
        found = check(self.objects)
        self.assertTrue(any(part in message for message in found),
                        f"nothing with '{part}' in {found}")

    def test_every_render_keeps_the_rules(self):
        for name in rendered.KUSTOMIZATIONS:
            with self.subTest(name):
                self.assertEqual(check(rendered.load(name)), [])

    def test_root_is_refused(self):
        pod_spec(self.server)["securityContext"]["runAsNonRoot"] = False
        self.assert_found("runAsNonRoot")

    def test_a_writable_root_is_refused(self):
        self.container["securityContext"]["readOnlyRootFilesystem"] = False
        self.assert_found("can be written")

    def test_latest_is_refused(self):
        self.container["image"] = "attune-server:latest"
        self.assert_found("names no version")

    def test_a_probe_on_a_closed_port_is_refused(self):
        self.container["livenessProbe"]["grpc"]["port"] = 50052
        self.assert_found("livenessProbe asks port 50052")

    def test_a_probe_for_another_service_is_refused(self):
        self.container["readinessProbe"]["grpc"]["service"] = ""
        self.assert_found("readinessProbe asks for")

    def test_a_selector_that_picks_nothing_is_refused(self):
        service = find(self.objects, "Service", "attune-server")
        service["spec"]["selector"] = {"app.kubernetes.io/name": "other"}
        self.assert_found("service attune-server: picks 0 workloads")

    def test_a_policy_for_an_unused_port_is_refused(self):
        policy = find(self.objects, "NetworkPolicy", "attune-server")
        policy["spec"]["ingress"][0]["ports"][0]["port"] = 8080
        self.assert_found("opens 8080")

    def test_a_missing_config_map_is_refused(self):
        self.objects = [o for o in self.objects if o["kind"] != "ConfigMap"]
        self.assert_found("no ConfigMap")

    def test_a_listen_port_that_is_not_open_is_refused(self):
        for config in of_kind(self.objects, "ConfigMap"):
            for key, text in config["data"].items():
                config["data"][key] = text.replace(":50051", ":50052")
        self.assert_found("listen 0.0.0.0:50052 is not port grpc")
        self.assert_found("no Service answers at attune-server:50052")

    def test_a_state_directory_off_the_volume_is_refused(self):
        for config in of_kind(self.objects, "ConfigMap"):
            for key, text in config["data"].items():
                config["data"][key] = text.replace("/var/lib/attune", "/state")
        self.assert_found("state-dir /state is on no volume")

    def test_too_little_time_to_drain_is_refused(self):
        pod_spec(self.server)["terminationGracePeriodSeconds"] = 30
        self.assert_found("30 s of grace, 30 s needed")

    def test_a_second_replica_on_sqlite_is_refused(self):
        wrong = copy.deepcopy(self.server)
        wrong["spec"]["replicas"] = 2
        self.objects = [wrong]
        self.assert_found("must have one replica")


if __name__ == "__main__":
    unittest.main()

"""The Helm chart: read by helm, its output held to Kubernetes' own schemas and to what the server knows."""

import os
import re
import tempfile
import unittest

import kubernetes_validate
import yaml

from support import DEPLOY, ROOT, run, unknown, version

CHART = DEPLOY / "helm/parlance"
# The oldest that the chart allows, and the newest whose schemas are there.
KUBERNETES = ("1.30", "1.37")
NEEDED = {
    "nats": {"servers": ["nats://nats-1:4222", "nats://nats-2:4222"]},
    "scylla": {"nodes": ["scylla-1:9042", "scylla-2:9042"]},
    "keys": {"existingSecret": "parlance-keys"},
}
PEER = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]
# As much at once as can be asked for.
ALL = {
    "nats": {**NEEDED["nats"], "existingSecret": "nats"},
    "scylla": {**NEEDED["scylla"], "existingSecret": "scylla", "datacenter": "dc1", "synced": True},
    "settings": {
        "server": {"public_url": "https://chat.example.org", "dev_echo": False},
        "gateway": {"proxies": ["10.0.0.0/8", "10.1.2.3"]},
        "limits": {"connections": 5_000_000},
        "auth": {"registration": "closed", "argon2": {"memory_kib": 65536}},
        "store": {"scylla": {"request_ms": 5000}},
    },
    "secretSettings": {"PARLANCE_DIALECTS__CHAT_SERVICE__SECRET_KEY": {"name": "chat-service", "key": "secret"}},
    "ingress": {"enabled": True, "className": "nginx", "host": "chat.example.org", "tlsSecret": "chat-tls"},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "autoscaling": {"enabled": True},
    "networkPolicy": {"from": PEER, "natsTo": PEER, "scyllaTo": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]},
    "image": {"repository": "registry.example.org/parlance", "tag": "0.1.0-rc.1", "pullSecrets": [{"name": "registry"}]},
    "podLabels": {"team": "chat"}, "podAnnotations": {"note": "here"}, "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "chat", "operator": "Exists"}], "priorityClassName": "high",
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [{"topologyKey": "host", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}], "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
    "service": {"annotations": {"a": "b"}}, "serviceAccount": {"annotations": {"a": "b"}},
}


def helm(*command, values):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        return run(os.environ["HELM"], *command, "--values", file.name)


def render(**changes):
    """What the chart comes to, by kind; a list where a kind is there more than once."""
    done = helm("template", "chat", CHART, "--namespace", "talk", values={**NEEDED, **changes})
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def one(documents, kind):
    found = [document for document in documents if document["kind"] == kind]
    assert len(found) == 1, f"{len(found)} of {kind}"
    return found[0]


def container(documents):
    return one(documents, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]


class Chart(unittest.TestCase):
    def refused(self, words, **changes):
        done = helm("template", "chat", CHART, values={**NEEDED, **changes})
        self.assertNotEqual(done.returncode, 0, changes)
        self.assertIn(words, done.stderr)

    def test_helm_lints_it(self):
        for values in (NEEDED, {**NEEDED, **ALL}):
            done = helm("lint", "--strict", "--quiet", CHART, values=values)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_kubernetes_would_take_it(self):
        for values in ({}, ALL):
            documents = render(**values)
            self.assertGreaterEqual(len(documents), 6)
            for document in documents:
                # The operator's own kind is in no schema of Kubernetes.
                if document["kind"] != "ServiceMonitor":
                    for release in KUBERNETES:
                        kubernetes_validate.validate(document, release, strict=True)

    def test_the_validator_sees_mistakes(self):
        wrong = one(render(), "StatefulSet")
        wrong["spec"]["template"]["spec"]["terminationGrace"] = 3
        for release in KUBERNETES:
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(wrong, release, strict=True)

    def test_all_is_in_the_release_s_namespace_and_its_own(self):
        for document in render(**ALL):
            self.assertEqual(document["metadata"]["namespace"], "talk", document["kind"])
            self.assertEqual(document["metadata"]["labels"]["app.kubernetes.io/instance"], "chat", document["kind"])

    def test_little_is_there_unless_it_is_asked_for(self):
        kinds = {document["kind"] for document in render()}
        self.assertEqual(kinds, {"StatefulSet", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"})
        kinds = {document["kind"] for document in render(**ALL)}
        self.assertLessEqual({"Ingress", "ServiceMonitor", "HorizontalPodAutoscaler"}, kinds)
        self.assertNotIn("replicas", one(render(**ALL), "StatefulSet")["spec"], "the autoscaler counts")

    def test_what_is_needed_is_asked_for(self):
        self.refused("nats.servers: name at least one", nats={"servers": []})
        self.refused("scylla.nodes: name at least one", scylla={"nodes": []})
        self.refused("keys.existingSecret: name the Secret", keys={"existingSecret": ""})
        self.refused("ingress.host: name it", ingress={"enabled": True}, settings={"gateway": {"proxies": ["10.0.0.0/8"]}})
        self.refused("settings.gateway.proxies", ingress={"enabled": True, "host": "chat.example.org"})

    def test_what_can_t_be_is_refused(self):
        self.refused("replicaz", replicaz=3)
        self.refused("minimum", replicas=0)
        self.refused("settings", settings={"store": {"kind": "sqlite"}})
        self.refused("listen", settings={"server": {"listen": "127.0.0.1:1"}})
        self.refused("password", settings={"nats": {"password": "no place for it"}})
        self.refused("gracePeriodSeconds", termination={"preStopSeconds": 20, "gracePeriodSeconds": 40})
        hosts = {"gateway": {"hosts": ["chat.example.org"]}}
        self.refused("settings.gateway.hosts", settings=hosts, serviceMonitor={"enabled": True})

    def test_settings_exist_and_are_written_as_the_server_reads_them(self):
        environment = container(render(**ALL))["env"]
        names = [variable["name"] for variable in environment]
        self.assertEqual(len(names), len(set(names)), "none twice")
        self.assertEqual(unknown(names), set())
        value = {variable["name"]: variable.get("value") for variable in environment}
        self.assertEqual(value["PARLANCE_LIMITS__CONNECTIONS"], "5000000")
        self.assertEqual(value["PARLANCE_AUTH__ARGON2__MEMORY_KIB"], "65536")
        self.assertEqual(value["PARLANCE_GATEWAY__PROXIES"], "10.0.0.0/8,10.1.2.3")
        self.assertEqual(value["PARLANCE_SERVER__DEV_ECHO"], "false")
        self.assertEqual(value["PARLANCE_STORE__SCYLLA__REQUEST_MS"], "5000")
        self.assertEqual(value["PARLANCE_NATS__SERVERS"], "nats://nats-1:4222,nats://nats-2:4222")

    def test_secrets_are_referred_to(self):
        by_name = {variable["name"]: variable for variable in container(render(**ALL))["env"]}
        for section, kind in (("NATS", "nats"), ("STORE__SCYLLA", "scylla")):
            for word in ("USER", "PASSWORD"):
                secret = by_name[f"PARLANCE_{section}__{word}"]["valueFrom"]["secretKeyRef"]
                self.assertEqual(secret, {"name": kind, "key": word.lower()})
        self.assertNotIn("PARLANCE_NATS__PASSWORD", {variable["name"] for variable in container(render())["env"]})
        self.assertFalse([document for document in render(**ALL) if document["kind"] == "Secret"])

    def test_names_are_stable_and_nothing_else_is(self):
        stateful = one(render(), "StatefulSet")["spec"]
        environment = stateful["template"]["spec"]["containers"][0]["env"]
        node = next(variable for variable in environment if variable["name"] == "PARLANCE_CLUSTER__NODE")
        self.assertEqual(node["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name")
        self.assertNotIn("volumeClaimTemplates", stateful)
        services = [document for document in render() if document["kind"] == "Service"]
        headless = [service for service in services if service["spec"].get("clusterIP") == "None"]
        self.assertEqual([service["metadata"]["name"] for service in headless], [stateful["serviceName"]])

    def test_pods_are_confined(self):
        pod = one(render(), "StatefulSet")["spec"]["template"]["spec"]
        self.assertTrue(pod["securityContext"]["runAsNonRoot"])
        self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        own = pod["containers"][0]["securityContext"]
        self.assertEqual(own.pop("capabilities"), {"drop": ["ALL"]})
        self.assertEqual(own, {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True})
        self.assertFalse(pod["automountServiceAccountToken"])
        # Kubernetes' variables about a service of this name would be settings that the server doesn't know.
        self.assertFalse(pod["enableServiceLinks"])
        # The image's user, who may read the keys as their group.
        self.assertEqual(pod["securityContext"]["fsGroup"], 10001)
        self.assertIn("USER 10001:10001", (ROOT / "Dockerfile").read_text())
        keys = next(volume for volume in pod["volumes"] if volume["name"] == "keys")
        self.assertEqual(keys["secret"]["defaultMode"], 0o440)

    def test_a_pod_is_asked_and_stopped_as_the_server_expects(self):
        pod = one(render(), "StatefulSet")["spec"]["template"]["spec"]
        served = set(re.findall(r'get\("(/health[a-z/]*)"', (ROOT / "src/gateway/rest/probes.rs").read_text()))
        live, ready = "/health/live", "/health/ready"
        for probe, path in (("startupProbe", live), ("livenessProbe", live), ("readinessProbe", ready)):
            asked = pod["containers"][0][probe]["httpGet"]
            self.assertEqual(asked["path"], path)
            self.assertIn(path, served)
            self.assertEqual(asked["httpHeaders"], [{"name": "Host", "value": "localhost"}])
        pre_stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        self.assertGreater(pod["terminationGracePeriodSeconds"], pre_stop + 20)

    def test_only_one_is_taken_at_a_time(self):
        documents = render()
        budget, stateful = one(documents, "PodDisruptionBudget"), one(documents, "StatefulSet")
        self.assertEqual(budget["spec"]["maxUnavailable"], 1)
        for selector in (budget["spec"]["selector"], one(documents, "NetworkPolicy")["spec"]["podSelector"]):
            self.assertEqual(selector, stateful["spec"]["selector"])

    def test_the_network_is_closed_but_for_what_is_needed(self):
        policy = one(render(**ALL), "NetworkPolicy")["spec"]
        self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
        self.assertEqual([rule["from"] for rule in policy["ingress"]], [PEER])
        ports = [sorted({port["port"] for port in rule["ports"]}) for rule in policy["egress"]]
        self.assertEqual(ports, [[53], [4222], [9042, 19042]])
        self.assertEqual(policy["egress"][1]["to"], PEER)

    def test_the_ingress_leads_to_what_clients_need_and_nothing_else(self):
        ingress = one(render(**ALL), "Ingress")
        paths = [(path["path"], path["pathType"]) for path in ingress["spec"]["rules"][0]["http"]["paths"]]

        def led(to):
            return any(to == path or (kind == "Prefix" and to.startswith(f"{path}/")) for path, kind in paths)

        for file in (ROOT / "web").rglob("*"):
            if file.is_file():
                self.assertTrue(led(f"/{file.relative_to(ROOT / 'web')}"), file)
        for path in ("/", "/v1/connect", "/api/v1/ws/7", "/openapi.json", "/docs", "/docs/"):
            self.assertTrue(led(path), path)
        for path in ("/metrics", "/health", "/health/ready", "/dev/echo"):
            self.assertFalse(led(path), path)
        silence_s = int(re.search(r"^# silence_ms = (\d+)000$", (ROOT / "cluster.toml").read_text(), re.MULTILINE)[1])
        annotations = ingress["metadata"]["annotations"]
        for name in ("read", "send"):
            self.assertGreater(int(annotations[f"nginx.ingress.kubernetes.io/proxy-{name}-timeout"]), silence_s)

    def test_prometheus_finds_each_node(self):
        documents = render(**ALL)
        selector = one(documents, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
        services = [document for document in documents if document["kind"] == "Service"]
        found = [service for service in services if selector.items() <= service["metadata"]["labels"].items()]
        self.assertEqual([service["spec"].get("clusterIP") for service in found], ["None"])

    def test_versions_are_the_server_s(self):
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual(chart["appVersion"], version())
        self.assertEqual(container(render())["image"], f"parlance:{version()}")


if __name__ == "__main__":
    unittest.main()

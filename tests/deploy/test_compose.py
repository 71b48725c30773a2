"""docker-compose.yml, as Docker Compose's own library reads it; see compose/main.go."""

import json
import os
import re
import unittest

from support import DEPLOY, ROOT, run, unknown

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NATS_PASSWORD": "p4ssw0rd"}


def config(*profiles, environment=ENVIRONMENT):
    return run(os.environ["COMPOSE"], ROOT / "docker-compose.yml", *profiles, env=environment)


class Compose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = config("production")
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.all = json.loads(done.stdout)
        cls.services = cls.all["services"]
        cls.nodes = {name: service for name, service in cls.services.items() if re.fullmatch(r"parlance-\d", name)}

    def test_it_is_read_without_a_warning(self):
        done = config()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertNotIn("nginx-tls", json.loads(done.stdout)["services"])
        self.assertIn("nginx-tls", self.services)

    def test_a_password_is_asked_for(self):
        done = config(environment={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("deploy/env.example", done.stderr)

    def test_the_example_names_what_is_asked_for(self):
        text = (ROOT / "docker-compose.yml").read_text()
        asked = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text))
        named = set(re.findall(r"^#?([A-Z_]+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE))
        self.assertEqual(asked, named)

    def test_there_are_three_of_each(self):
        for kind in ("parlance", "nats", "scylla"):
            self.assertEqual(sum(re.fullmatch(rf"{kind}-\d", name) is not None for name in self.services), 3, kind)

    def test_images_are_pinned(self):
        for name, service in self.services.items():
            self.assertRegex(service["image"], r":\d+\.\d+\.\d+(-[a-z0-9.]+)?$", name)

    def test_what_runs_is_confined(self):
        for name, service in self.services.items():
            self.assertIn("no-new-privileges:true", service["security_opt"], name)
            self.assertFalse(service.get("privileged"), name)
            if not name.startswith("scylla"):
                self.assertTrue(service["read_only"], name)
                self.assertEqual(service["cap_drop"], ["ALL"], name)

    def test_all_tell_whether_they_work(self):
        image = (ROOT / "Dockerfile").read_text()
        self.assertIn("HEALTHCHECK", image)
        for name, service in self.services.items():
            if name != "keys" and name not in self.nodes:
                self.assertTrue(service["healthcheck"]["test"], name)
        for name, service in self.nodes.items():
            self.assertNotIn("healthcheck", service, f"{name} has the image's")
            self.assertEqual(service["depends_on"]["keys"]["condition"], "service_completed_successfully")

    def test_writes_are_synced_before_they_are_answered(self):
        for name, service in self.services.items():
            if name.startswith("scylla"):
                self.assertIn("--commitlog-sync=batch", service["command"], name)
        self.assertRegex((DEPLOY / "nats/nats.conf").read_text(), r"(?m)^  sync_interval: always$")

    def test_only_the_proxy_is_reached_from_outside(self):
        published = {name: service["ports"] for name, service in self.services.items() if service.get("ports")}
        self.assertEqual(set(published), {"nginx", "nginx-tls"})
        self.assertEqual([port["host_ip"] for port in published["nginx"]], ["127.0.0.1"])
        self.assertTrue(self.all["networks"]["inside"]["internal"])
        for name, service in self.services.items():
            if name.startswith(("nats", "scylla")):
                self.assertEqual(list(service["networks"]), ["inside"], name)

    def test_nodes_and_proxies_know_each_other(self):
        networks = {name: service.get("networks") or {} for name, service in self.services.items()}
        address = {name: its["front"]["ipv4_address"] for name, its in networks.items() if "front" in its}
        listed = re.findall(r"^server (\S+):8080 ", (DEPLOY / "nginx/nodes.conf").read_text(), re.MULTILINE)
        self.assertEqual(listed, [address[name] for name in sorted(self.nodes)])
        for name, node in self.nodes.items():
            believed = node["environment"]["PARLANCE_GATEWAY__PROXIES"].split(",")
            self.assertEqual(set(believed), {address["nginx"], address["nginx-tls"]}, name)

    def test_nodes_have_names_of_their_own_and_settings_that_exist(self):
        for name, node in self.nodes.items():
            environment = node["environment"]
            self.assertEqual(environment["PARLANCE_CLUSTER__NODE"], name)
            self.assertEqual(unknown(environment), set())
            for list_of, kind in (("PARLANCE_NATS__SERVERS", "nats"), ("PARLANCE_STORE__SCYLLA__NODES", "scylla")):
                hosts = re.findall(r"([a-z]+-\d):\d+", environment[list_of])
                self.assertEqual(hosts, sorted(name for name in self.services if re.fullmatch(rf"{kind}-\d", name)))

    def test_folders_that_are_mounted_are_there(self):
        for name, service in self.services.items():
            for volume in service.get("volumes", []):
                if volume["type"] == "bind":
                    self.assertTrue(os.path.exists(volume["source"]), f"{name}: {volume['source']}")
                    self.assertTrue(volume["read_only"], name)


if __name__ == "__main__":
    unittest.main()

"""The Dockerfile, what it is built from, and the health check that is in the image."""

import os
import re
import shutil
import tempfile
import tomllib
import unittest

from support import DEPLOY, ROOT, Server, beside_python, free_port, run, version

DOCKERFILE = (ROOT / "Dockerfile").read_text()
# What is copied from the repository, not from another stage, and where to.
COPIES = [line.split()[1:] for line in re.findall(r"^COPY (?!--from)(?:--\S+ )*.*$", DOCKERFILE, re.MULTILINE)]
COPIES = [([word for word in words if not word.startswith("--")][:-1], words[-1]) for words in COPIES]


class Image(unittest.TestCase):
    def test_hadolint_has_nothing_to_say(self):
        done = run(beside_python("hadolint"), "--no-color", ROOT / "Dockerfile")
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_it_is_built_by_the_pinned_toolchain(self):
        channel = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
        self.assertIn(f"FROM rust:{channel}-slim-", DOCKERFILE)
        self.assertIn(f"RUSTUP_TOOLCHAIN={channel} ", DOCKERFILE)

    def test_images_are_pinned(self):
        bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
        self.assertEqual(len(bases), 2)
        for base in bases:
            self.assertRegex(base, r"^[a-z/]+:[a-z-]*\d+[\d.]*\S+$")

    def test_it_does_not_run_as_root(self):
        final = DOCKERFILE.rsplit("\nFROM ", 1)[1]
        self.assertRegex(final, r"(?m)^USER 10001:10001$")
        self.assertLess(final.rindex("\nRUN "), final.index("\nUSER "), "what needs root comes before")

    def test_what_is_copied_makes_a_workspace(self):
        """cargo reads all manifests, and finds all targets, in a folder that has only what the builder is given."""
        with tempfile.TemporaryDirectory() as folder:
            for sources, to in COPIES:
                for source in sources:
                    target = os.path.join(folder, to, os.path.basename(source) if to.endswith("/") else "")
                    if (ROOT / source).is_dir():
                        shutil.copytree(ROOT / source, target)
                    elif not os.path.isabs(to):
                        shutil.copy(ROOT / source, target)
            done = run("cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1", cwd=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            included = 0
            for source in (ROOT / "src").rglob("*.rs"):
                for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', source.read_text()):
                    included += 1
                    self.assertTrue(os.path.exists(os.path.join(folder, source.parent.relative_to(ROOT), name)), name)
            self.assertGreater(included, 0)

    def test_what_is_copied_is_not_ignored(self):
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        self.assertIn("*", lines, "all is left out but what is named")
        kept = {line[1:] for line in lines if line.startswith("!")}
        for sources, _ in COPIES:
            for source in sources:
                self.assertTrue(any(source == name or source.startswith(f"{name}/") for name in kept), source)

    def test_the_tag_is_the_version(self):
        self.assertIn(f"image: parlance:{version()}\n", (ROOT / "docker-compose.yml").read_text())

    def test_health_tells_a_server_that_works_from_one_that_does_not(self):
        health, port = DEPLOY / "docker/health", free_port()

        def check(*path):
            environment = {"PATH": os.environ["PATH"], "PARLANCE_SERVER__LISTEN": f"0.0.0.0:{port}"}
            return run(health, *path, env=environment).returncode

        with tempfile.TemporaryDirectory() as data:
            with Server(data, port, PARLANCE_GATEWAY__HOSTS="chat.example.org"):
                self.assertEqual(check(), 0)
                self.assertEqual(check("/health/ready"), 0)
                self.assertNotEqual(check("/nowhere"), 0)
            self.assertNotEqual(check(), 0)


if __name__ == "__main__":
    unittest.main()

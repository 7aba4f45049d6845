"""Run an image on this machine, as hardened as in the cluster, and talk to the service in it."""

import hashlib
import http.client
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gitops.release import registry
from gitops.release.image import engine
from gitops.shell import CommandError, attempt, run

READY_SECONDS = 60.0  # seconds until a service must be ready
PORT = "3000"
HARDENED = "--read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges --user 10001 --memory 512m"
BYTES = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
VERSION = '{{index .Config.Labels "org.opencontainers.image.version"}}'


@contextmanager
def running(image: str) -> Iterator["Container"]:
    """Run an image on a free port of this machine, and remove the container whatever happens.

    Raises:
        CommandError: there is no engine that runs images, or it can't get or start this one.
    """
    tool = _runner()
    if "@" in image:
        insecure = ["--tls-verify=false"] if tool != "docker" and registry.insecure(image) else []
        run(tool, "pull", "--quiet", *insecure, image)
    key = secrets.token_urlsafe()  # a service that listens on more than loopback answers nobody without one
    environment = ("--env", f"SERVICE_KEYS={hashlib.sha256(key.encode()).hexdigest()}")
    name = run(tool, "create", *HARDENED.split(), *environment, "--publish", f"127.0.0.1::{PORT}", image)
    try:
        run(tool, "start", name)
        yield Container(tool, name, image, key)
    finally:
        attempt(tool, "rm", "--force", "--volumes", name)


class Container:
    """A running service, asked over one connection as a caller would."""

    def __init__(self, tool: str, name: str, image: str, key: str) -> None:
        self.tool, self.name, self.image = tool, name, image
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        port = run(tool, "port", name, PORT).rpartition(":")[2]
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", int(port or 0), timeout=30
        )  # "": it has ended already

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return the JSON of its answer.

        Raises:
            CommandError: the answer is not 200, or there is none.
        """
        try:
            self.connection.request(method, path, body and json.dumps(body), self.headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise CommandError(f"the image does not answer {method} {path}: {error}") from None
        if answer.status != 200:
            raise CommandError(
                f"the image answers {answer.status} to {method} {path}: {content.decode(errors='replace')[:300]}"
            )
        return json.loads(content.strip() or b"null")

    def wait(self) -> float:
        """Return the seconds until /readyz answered 200.

        Raises:
            CommandError: the service ended, or took more than a minute.
        """
        begun = time.perf_counter()
        while True:
            try:
                self.ask("GET", "/readyz")
                return time.perf_counter() - begun
            except CommandError:
                state = attempt(self.tool, "inspect", "--format", "{{.State.Running}}", self.name).stdout.strip()
                if state != "true" or time.perf_counter() - begun > READY_SECONDS:
                    logs = attempt(self.tool, "logs", self.name)
                    last = (logs.stdout + logs.stderr).strip().rpartition("\n")[2] or "it said nothing"
                    raise CommandError(f"the image does not become ready: {last}") from None
            time.sleep(0.05)

    def version(self) -> str:
        """Return the version that the image is labelled with."""
        return run(self.tool, "image", "inspect", "--format", VERSION, self.image)

    def size(self) -> float:
        """Return the megabytes (10⁶ bytes) of the unpacked image."""
        return float(run(self.tool, "image", "inspect", "--format", "{{.Size}}", self.image)) / 1e6

    def memory(self) -> float:
        """Return the megabytes that the service uses now.

        Raises:
            CommandError: the engine does not know, as where it may not read the control groups.
        """
        said = run(self.tool, "stats", "--no-stream", "--format", "{{.MemUsage}}", self.name)
        found = re.match(r"([\d.]+)\s*([kKMG]?i?B)", said)  # podman: 161.5MB / 536.9MB; docker: 154MiB / 512MiB
        if not found or not float(found[1]):
            raise CommandError(
                f"{self.tool} can't tell how much memory the service uses ({said}): does it use control groups?"
            )
        return float(found[1]) * BYTES[found[2]] / 1e6


def _runner() -> str:
    """Buildah makes images and runs no service; podman, which shares its storage, does."""
    tool = engine()
    if tool == "buildah" and not shutil.which("podman"):
        raise CommandError("the smoke test runs the image, which buildah can't: install podman as well")
    return "podman" if tool == "buildah" else tool

"""Merge is release, revert is rollback: workflows, registry, image and manifests, from the merge to the answer."""

import hashlib
import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from containers import BASE, Podman, Registry
from demo import CUSTOMER
from harness import needs, run
from world import World

pytestmark = pytest.mark.slow

KEY = "a key of the CRM"
RECORDS = [CUSTOMER | {"customer_id": f"C{i}", "tenure": i, "monthly_charges": 20.0 + i} for i in range(70)]
RUNS = ("Deployment", "ConfigMap")  # the rest is the cluster's: who may call, how many pods


class Cluster:
    """What follows the branches of the environments, as Argo CD would: podman plays what is rendered there."""

    def __init__(self, world: World, podman: Podman) -> None:
        self.world, self.podman, self.ports = world, podman, dict[str, int]()

    def sync(self, environment: str) -> None:
        """Let an environment run what its branch holds now; return when it is ready."""
        text = run("git", "show", f"env/{environment}:manifests.yaml", cwd=self.world.origin, env=self.world.env)
        documents = [document for document in yaml.safe_load_all(text) if document["kind"] in RUNS]
        (deployment,) = [document for document in documents if document["kind"] == "Deployment"]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = self.ports.setdefault(environment, free.getsockname()[1])
        pod = deployment["spec"]["template"]["spec"]
        pod["containers"][0]["ports"][0] |= {"hostPort": port}  # what a Service would do
        deployment["metadata"]["name"] = f"{environment}-model"
        self._mount_keys(pod)
        file = self.world.folder / f"{environment}.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        self.podman("kube", "play", "--replace", "--tls-verify=false", str(file))
        self._wait(pod["containers"][0]["readinessProbe"]["httpGet"]["path"], port)

    def _mount_keys(self, pod: dict[str, Any]) -> None:
        """Put a folder in the place of the Secret that a team makes for itself: podman 4.3 breaks on a Secret."""
        folder = self.world.folder / "secret"
        folder.mkdir(exist_ok=True)
        (folder / "crm").write_text(hashlib.sha256(KEY.encode()).hexdigest())
        (volume,) = [volume for volume in pod["volumes"] if volume.pop("secret", None)]
        volume["hostPath"] = {"path": str(folder), "type": "Directory"}

    def _wait(self, path: str, port: int) -> None:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
                    return
            except OSError:
                time.sleep(0.25)
        raise TimeoutError(self.podman("ps", "--all"))

    def predict(self, environment: str) -> dict[str, Any]:
        """Ask about the customers, as the CRM does."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[environment]}/predict",
            json.dumps({"records": RECORDS}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    needs("docker-registry")
    with Registry(tmp_path / "registry") as made:
        yield made


@pytest.fixture
def factory(world: World, podman: Podman, registry: Registry) -> World:
    """GitHub, with runners that have podman and a registry to push to."""
    needs("kubectl")
    world.variables = {"IMAGE": f"{registry.host}/acme/churn-model", "BASE_IMAGE": BASE}
    world.machine |= podman.once(world.env)
    return world


@pytest.fixture
def cluster(factory: World, podman: Podman) -> Iterator[Cluster]:
    yield Cluster(factory, podman)
    podman("pod", "rm", "--all", "--force")


def test_from_merge_to_production_and_back(factory: World, cluster: Cluster, planted: Path) -> None:

    def gitops(*argv: str) -> str:
        """Run the factory's command in the maintainer's clone."""
        factory.git("switch", "--quiet", "--detach", "origin/main")
        env = factory.env | {"PYTHONPATH": str(factory.clone / "src")}
        return run(planted / "churn-model/.venv/bin/python", "-m", "gitops", *argv, cwd=factory.clone, env=env)

    done = factory.act(factory.merge("first"), "release.yml")
    assert done.jobs == {"release": "success"}, str(done)
    cluster.sync("staging")
    first = cluster.predict("staging")
    assert first["model_version"] == "1.0.0" and len(first["predictions"]) == len(RECORDS)

    done = factory.act(factory.dispatch(action="promote", environment="production"), "promote.yml")
    assert done.jobs == {"plan": "success", "promote": "success"}, str(done)
    cluster.sync("production")
    assert cluster.predict("production") == first, "production answers as staging did, to the last digit"

    done = factory.act(factory.merge("better"), "release.yml")
    assert done.jobs == {"release": "success"}, str(done)
    cluster.sync("staging")
    second = cluster.predict("staging")
    assert second["model_version"] == "1.1.0" and second["predictions"] != first["predictions"]
    assert cluster.predict("production") == first, "a release does not reach production by itself"
    gitops("promote", "production", "1.1.0")
    cluster.sync("production")
    assert cluster.predict("production") == second

    gitops("rollback", "production")
    cluster.sync("production")
    assert cluster.predict("production") == first, "the old version answers as before, to the last digit"
    status = json.loads(gitops("status", "--json"))
    running = {name: row["running"]["version"] for name, row in status.items()}
    assert running == {"staging": "1.1.0", "production": "1.0.0"}
    assert "Every link holds" in gitops("verify", "1.1.0", "--from", str(downloaded(factory, "1.1.0")))


def downloaded(world: World, version: str) -> Path:
    """Return a folder with a release's assets, as somebody would download them."""
    folder = world.folder / f"assets-{version}"
    folder.mkdir()
    (release,) = [row for row in world.hub.releases if row["tag_name"].endswith(version)]
    for asset in release["assets"]:
        (folder / asset["name"]).write_bytes(world.hub.files[f"/signed/{asset['id']}"])
    return folder

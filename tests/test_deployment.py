"""A year of operations: workflows, registry, image and manifests, from the first merge to the audit."""

import contextlib
import csv
import hashlib
import io
import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from containers import BASE, Podman, Registry
from demo import CUSTOMER
from gitops.environments import status
from gitops.release import image
from gitops.release.verify import verify
from harness import Failed, needs, run
from world import World

pytestmark = pytest.mark.slow

KEY, NEXT_KEY = "a key of the CRM", "its next key"
OVERLAY = "deploy/overlays/production/kustomization.yaml"
RECORDS = [CUSTOMER | {"customer_id": f"C{i}", "tenure": i, "monthly_charges": 20.0 + i} for i in range(70)]
ERASED = "C00004"  # of the shipped table
NO_SCORE = "SERVICE_LOG_WITHOUT_FIELDS=score"
HISTORY = ("production", "production~1")  # what it runs, and what it ran before
RUNS = ("Deployment", "ConfigMap")  # the rest is the cluster's: who may call, how many pods


class Cluster:
    """What follows the branches of the environments, as Argo CD would: podman plays what is rendered there."""

    def __init__(self, world: World, podman: Podman) -> None:
        self.world, self.podman, self.ports = world, podman, dict[str, int]()
        self.folder = world.folder / "secret"
        self.folder.mkdir()
        self.let_in(crm=KEY)

    def let_in(self, **keys: str) -> None:
        """Write the Secret with each caller's key, which the pods have mounted."""
        for file in self.folder.iterdir():
            file.unlink()
        for caller, key in keys.items():
            (self.folder / caller).write_text(hashlib.sha256(key.encode()).hexdigest())

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
        (volume,) = [volume for volume in pod["volumes"] if volume.pop("secret", None)]
        volume["hostPath"] = {"path": str(self.folder), "type": "Directory"}

    def _wait(self, path: str, port: int) -> None:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
                    return
            except OSError:
                time.sleep(0.25)
        raise TimeoutError(self.podman("ps", "--all"))

    def predict(self, environment: str, key: str = KEY) -> dict[str, Any]:
        """Ask about the customers, as the CRM does."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[environment]}/predict",
            json.dumps({"records": RECORDS}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def logged(self, environment: str) -> dict[str, Any]:
        """Return the last line of the prediction log."""
        names = self.podman("ps", "--filter", f"name={environment}-model", "--format", "{{.Names}}").split()
        (name,) = [name for name in names if name.endswith("-model")]
        lines = [line for line in self.podman("logs", name).splitlines() if '"event":"prediction"' in line]
        line: dict[str, Any] = json.loads(lines[-1])
        return line


@dataclass(frozen=True)
class Told:
    """What `status` says of an environment: the version, whose settings, and the rest."""

    version: str
    settings: str
    back: str = ""
    waiting: tuple[str, ...] = ()
    newer_settings: str = ""
    erased: str = ""
    problems: tuple[str, ...] = ()


class Desk:
    """The maintainer, who has a clone and the factory's commands."""

    def __init__(self, world: World, python: Path) -> None:
        self.world, self.python = world, python

    def gitops(self, *argv: str) -> str:
        """Run a command of the factory."""
        self.world.git("switch", "--quiet", "--detach", "origin/main")
        return self.here(*argv)

    def here(self, *argv: str) -> str:
        """Run a command of the factory on what is checked out."""
        env = self.world.env | {"PYTHONPATH": str(self.world.clone / "src")}
        return run(self.python, "-m", "gitops", *argv, cwd=self.world.clone, env=env)

    def expect(self, **places: Told | None) -> None:
        """Assert all that `status` says, and that `verify` finds the same problems and no other."""
        _, text = self._read(lambda: status.status(as_json=True))
        rows = json.loads(text)
        assert set(rows) == set(places), "no tag is doubted"
        for place, told in places.items():
            row = rows[place]
            if told is None:
                assert row["running"] is None
                continue
            running = row["running"]
            about = tuple(row["waiting"]), row["waiting_settings"], row["erased"], tuple(row["problems"])
            assert Told(running["version"], running["settings"], row["rollback"], *about) == told, place
        code, text = self._read(lambda: verify("", None))
        wrong = {place for place, told in places.items() if told and told.problems}
        assert set(re.findall(r"^✗ env/(\w+):", text, re.MULTILINE)) == wrong and code == bool(wrong)
        assert set(re.findall(r"^✓ env/(\w+):", text, re.MULTILINE)) == {p for p, t in places.items() if t} - wrong
        assert all(problem in text for told in places.values() if told for problem in told.problems)
        assert ("Every link holds." in text) != bool(wrong)

    def verified(self, version: str, code: int) -> str:
        """Assert how `verify` ends for a version, whose assets somebody downloaded, and return what it said."""
        folder = downloaded(self.world, version)
        found, text = self._read(lambda: verify(version, folder, image.inspect))
        assert found == code, text
        return text

    def _read(self, command: Callable[[], int]) -> tuple[int, str]:
        """Call a command that only reads, without another interpreter's start; return its code and what it said."""
        said = io.StringIO()
        with contextlib.chdir(self.world.clone), contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as here:
            for name in ("HOME", "GIT_CONFIG_NOSYSTEM"):
                here.setenv(name, self.world.env[name])
            return command(), said.getvalue()


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


def test_a_year_of_operations(factory: World, cluster: Cluster, planted: Path) -> None:
    desk = Desk(factory, planted / "churn-model/.venv/bin/python")

    # the first release, and the first promotion
    one = factory.merge("first")
    done = factory.act(one, "release.yml")
    assert done.jobs == {"release": "success"}, str(done)
    cluster.sync("staging")
    first = cluster.predict("staging")
    assert first["model_version"] == "1.0.0" and len(first["predictions"]) == len(RECORDS)
    desk.expect(staging=Told("1.0.0", one.sha), production=None)
    done = factory.act(factory.dispatch(action="promote", environment="production"), "promote.yml")
    assert done.jobs == {"plan": "success", "promote": "success"}, str(done)
    cluster.sync("production")
    assert cluster.predict("production") == first, "production answers as staging did, to the last digit"

    # a better model, and back
    two = factory.merge("better")
    done = factory.act(two, "release.yml")
    assert done.jobs == {"release": "success"}, str(done)
    cluster.sync("staging")
    second = cluster.predict("staging")
    assert second["model_version"] == "1.1.0" and second["predictions"] != first["predictions"]
    assert cluster.predict("production") == first, "a release does not reach production by itself"
    staging = Told("1.1.0", two.sha, back="1.0.0")
    desk.expect(staging=staging, production=Told("1.0.0", one.sha, waiting=("1.1.0",)))
    desk.gitops("promote", "production", "1.1.0")
    cluster.sync("production")
    assert cluster.predict("production") == second
    desk.expect(staging=staging, production=Told("1.1.0", two.sha, back="1.0.0"))
    desk.gitops("rollback", "production", "--reason", "too many calls")
    cluster.sync("production")
    assert cluster.predict("production") == first, "the old version answers as before, to the last digit"
    desk.expect(staging=staging, production=Told("1.0.0", one.sha, waiting=("1.1.0",)))

    # other settings, with the model that runs
    text = (factory.clone / OVERLAY).read_text()
    environment = "      - ENVIRONMENT=production\n"
    assert environment in text and cluster.logged("production")["score"] > 0
    factory.commit("settings", {OVERLAY: text.replace(environment, f"{environment}      - {NO_SCORE}\n")})
    three = factory.merge("settings")
    desk.expect(staging=staging, production=Told("1.0.0", one.sha, waiting=("1.1.0",), newer_settings=three.sha))
    desk.gitops("apply", "production")
    cluster.sync("production")
    assert cluster.predict("production") == first and "score" not in cluster.logged("production")
    production = Told("1.0.0", three.sha, waiting=("1.1.0",))
    desk.expect(staging=staging, production=production)

    # another key for the CRM: nothing that Git knows of
    for keys in ({"crm": KEY, "crm-next": NEXT_KEY}, {"crm-next": NEXT_KEY}):
        cluster.let_in(**keys)
        assert [cluster.predict("production", key) for key in keys.values()] == [first] * len(keys)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        cluster.predict("production", KEY)
    desk.expect(staging=staging, production=production)

    # somebody withdraws their consent; what runs was trained with their row
    factory.git("switch", "--quiet", "--create", "erase", "origin/main")
    for words in (("store", "pull"), ("erase", "--id", ERASED, "--reason", "consent withdrawn")):
        desk.here(*words)
    factory.git("push", "--quiet", "origin", "erase")
    factory.merge("erase")
    day = datetime.now(UTC).date().isoformat()
    staging, production = (replace(told, erased=day) for told in (staging, production))
    desk.expect(staging=staging, production=production)

    # the better model again, with these settings; then somebody edits the branch
    desk.gitops("promote", "production", "1.1.0")
    production = replace(production, version="1.1.0", back="1.0.0", waiting=())
    desk.expect(staging=staging, production=production)
    images = [json.loads(factory.git("show", f"origin/env/{at}:release.json"))["image"] for at in HISTORY]
    edit_by_hand(factory, *(name.partition("@")[2] for name in images))
    problems = (
        f"the manifests run {images[1]}, and release.json says {images[0]}",
        f"the manifests were changed by hand: 2 lines differ from what {three.sha[:9]} renders",
    )
    desk.expect(staging=staging, production=replace(production, problems=problems))
    desk.gitops("apply", "production", three.sha)
    desk.expect(staging=staging, production=production)

    # a release that must not run
    desk.gitops("withdraw", "1.1.0", "--reason", "unlawful data")
    gone = f"withdrawn on {day} by Dana: unlawful data"
    problem = (f"it runs 1.1.0, which was {gone}",)
    desk.expect(staging=replace(staging, problems=problem), production=replace(production, problems=problem))
    for place in ("production", "staging"):
        desk.gitops("rollback", place)
    with pytest.raises(Failed, match=f"1.1.0 was {gone}. It is not brought anywhere"):
        desk.gitops("promote", "production", "1.1.0")
    cluster.sync("production")
    assert cluster.predict("production", NEXT_KEY) == first and "score" not in cluster.logged("production")
    desk.expect(staging=Told("1.0.0", one.sha, erased=day), production=Told("1.0.0", three.sha, erased=day))

    # the audit
    rows = list(csv.DictReader(io.StringIO(desk.gitops("releases", "--csv"))))
    assert [
        (row["version"], row["commit"], row["image"], row["withdrawn"], row["erased"], row["fault"]) for row in rows
    ] == [
        ("1.0.0", one.sha, images[1], "", day, ""),
        ("1.1.0", two.sha, images[0], gone, day, ""),
    ]
    assert [row["production"].count("/") for row in rows] == [3, 2] and rows[0]["production"].endswith("/..")
    assert [row["staging"].count("/") for row in rows] == [2, 1] and rows[0]["staging"].endswith("/..")
    assert "Every link holds." in desk.verified("1.0.0", 0)
    assert f"✗ withdrawn: 1.1.0 was {gone}" in desk.verified("1.1.0", 1)


def edit_by_hand(world: World, old: str, new: str) -> None:
    """Push a commit to env/production that puts a text in the manifests in the place of another."""
    world.git("fetch", "--quiet", "origin")
    world.git("switch", "--quiet", "--force-create", "by-hand", "origin/env/production")
    manifests = world.clone / "manifests.yaml"
    text = manifests.read_text()
    assert text.count(old) == 1
    manifests.write_text(text.replace(old, new))
    world.git("commit", "--quiet", "--all", "-m", "Try something")
    world.git("push", "--quiet", "origin", "HEAD:env/production")
    world.git("switch", "--quiet", "--detach", "origin/main")


def downloaded(world: World, version: str) -> Path:
    """Return a folder with a release's assets, as somebody would download them."""
    folder = world.folder / f"assets-{version}"
    folder.mkdir()
    (release,) = [row for row in world.hub.releases if row["tag_name"].endswith(version)]
    for asset in release["assets"]:
        (folder / asset["name"]).write_bytes(world.hub.files[f"/signed/{asset['id']}"])
    return folder

"""A release that is killed after each of its steps, or whose surroundings fail: run again, it ends as one release."""

import hashlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import laptop
import pytest
from containers import BASE, Podman, Registry
from fake_server import BOT_TOKEN
from harness import SLUG, needs, run
from world import REPOSITORY, World

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
TAG = "refs/tags/churn-model@v1.0.0"
# Each run dies before one of them. All start from a fresh clone, so these are the kills that leave another state
# behind: nothing has left the machine, however far it was; the registry holds the image; it knows it by the version;
# origin has the tag; there is an empty draft; one that lacks assets; a whole one.
STEPS = [
    "› pushing it",
    "› naming it",
    "› tagging",
    "› drafting",
    "› uploading churn-model-1.0.0.bento",
    "› uploading SHA256SUMS",
    "› publishing",
]
REBUILT = "› naming it"  # as on another machine; after it, the image of the same commit is taken again


class Runner:
    """Starts each release on a fresh machine: a shallow clone, and what a workflow gives it."""

    def __init__(self, world: World, podman: Podman, registry: Registry, project: Path) -> None:
        self.world, self.podman, self.registry, self.runs = world, podman, registry, 0
        self.project = project
        self.env = world.env | podman.once(world.env)
        self.env |= {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": BOT_TOKEN, "GITHUB_REPOSITORY": REPOSITORY}
        self.env |= {"GITHUB_API_URL": world.hub.url, "GITHUB_SERVER_URL": world.hub.url, "BASE_IMAGE": BASE}
        self.env |= {"IMAGE": f"{registry.host}/acme/churn-model"}

    def release(self, dies_before: str = "") -> tuple[int, str]:
        """Release `main`; return the exit code and all that was said."""
        self.runs += 1
        clone = self.world.folder / f"fresh-{self.runs}"
        origin = f"file://{self.world.origin}"
        run("git", "clone", "--quiet", "--depth=1", origin, clone, cwd=self.world.folder, env=self.env)
        laptop.link(self.project, clone, laptop.SERVE)
        run("git", "remote", "set-url", "origin", f"{self.world.hub.url}/{REPOSITORY}", cwd=clone, env=self.env)
        done = subprocess.run(
            [self.project / ".venv/bin/python", HERE / "kill.py", dies_before, "release"],
            cwd=clone,
            env=self.env | {"PYTHONPATH": str(clone / "src")},
            text=True,
            capture_output=True,
            timeout=300,
        )
        return done.returncode, done.stdout + done.stderr

    def tags(self) -> dict[str, str]:
        """Return tag -> digest of all that the registry names."""
        api = f"http://{self.registry.host}/v2/acme/churn-model"
        try:
            with urllib.request.urlopen(f"{api}/tags/list") as answer:
                names = json.loads(answer.read())["tags"] or []
        except urllib.error.URLError:  # nothing was pushed yet, or it is down
            return {}
        found = {}
        for name in names:
            request = urllib.request.Request(f"{api}/manifests/{name}", method="HEAD")
            request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
            with urllib.request.urlopen(request) as answer:
                found[name] = answer.headers["Docker-Content-Digest"]
        return found


@pytest.fixture
def runner(world: World, podman: Podman, planted: Path, tmp_path: Path) -> Iterator[Runner]:
    """A runner for a `main` whose first model was merged and never released."""
    needs("docker-registry")
    world.merge("first")
    with Registry(tmp_path / "registry") as registry:
        yield Runner(world, podman, registry, planted / SLUG)


def expect_no_half(runner: Runner) -> None:
    """Assert what must hold after every broken run."""
    hub = runner.world.hub
    assert len(hub.releases) <= 1 and all(row["draft"] for row in hub.releases), "nobody sees half a release"
    assert set(runner.world.refs("refs/tags")) <= {TAG}
    tags = runner.tags()
    assert len(set(tags.values())) <= 1, "one digest, however often it was built"
    assert "1.0.0" in tags or TAG not in runner.world.refs("refs/tags"), "no tag names an image that is not there"


def expect_one_whole(runner: Runner) -> None:
    """Assert that there is one release, one tag, one digest, and all assets as their checksums say."""
    hub = runner.world.hub
    (release,) = hub.releases
    assert not release["draft"] and runner.world.refs("refs/tags") == {TAG: "tag"}
    assets = {asset["name"]: hub.files[f"/signed/{asset['id']}"] for asset in release["assets"]}
    assert len(assets) == len(release["assets"])
    told = assets.pop("SHA256SUMS").decode().splitlines()
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in assets.items()]
    assert sorted(told) == sorted(sums)
    papers = {"model-card.md", "release.json", "report.html", "sbom.cdx.json", "dvc.lock", "metrics.json"}
    assert papers | {"churn-model-1.0.0.bento", "openapi.json"} == set(assets)
    tags = runner.tags()
    assert len(tags) == 2 and len(set(tags.values())) == 1, "the candidate and the version are one image"
    assert json.loads(assets["release.json"])["image"].endswith(tags["1.0.0"])


def test_killed_after_each_step_it_ends_as_one_release(runner: Runner) -> None:
    for step in STEPS:
        if step == REBUILT:
            runner.podman.forget()
        code, said = runner.release(dies_before=step)
        assert code == -9, f"{step}: {said}"
        expect_no_half(runner)
    code, said = runner.release()
    assert code == 0, said
    expect_one_whole(runner)
    writes = len(runner.world.hub.calls("POST"))
    code, said = runner.release()
    assert code == 0 and "Nothing to do: it is released." in said and len(runner.world.hub.calls("POST")) == writes


def test_failing_surroundings_are_told_and_leave_nothing_half(runner: Runner) -> None:
    hub, world = runner.world.hub, runner.world

    def fails(words: str) -> None:
        code, said = runner.release()
        assert code == 2 and words in said and "Traceback" not in said, said
        expect_no_half(runner)

    hub.fail("GET", "/releases", 500)
    fails("error: GitHub refused GET /releases")
    store = run("git", "rev-parse", "dvc-store", cwd=world.origin, env=world.env)
    run("git", "branch", "-D", "dvc-store", cwd=world.origin, env=world.env)
    fails("in dvc.lock, but not in the data remote")
    run("git", "branch", "dvc-store", store, cwd=world.origin, env=world.env)
    runner.registry.stop()
    fails("can't be pushed: podman says")
    runner.registry.start()
    hub.fail("POST", "/releases", 403)
    fails("with 403 (the job's `permissions:` don't allow it")
    hub.fail("POST", r"/releases/\d+/assets", 422)
    fails("with 422")
    assert runner.release()[0] == 0
    expect_one_whole(runner)

"""Fixtures: each test has its own home; the generated project and the trained repository are made once and copied."""

import fcntl
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import containers
import harness
import laptop
import pytest
import released
import seed
from world import World

sys.pycache_prefix = harness.BYTECODE


# Of the slow tests, the longest ones. Workers steal from the end of this order, so those that build images stay with
# the first worker, and share one podman.
LONGEST = (
    *(
        "faults",
        "deployment",
        "image",
        "own_model",
        "serve_environment",
        "project",
        "adopt",
        "independent",
        "lifecycle",
    ),
    *("second_person", "release", "hostile", "foreign_model", "erase", "fetch", "golden", "card", "review", "skops"),
)

collect_ignore = ["generated"]  # they run in a generated project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long tests first, so that two workers end together."""

    def rank(item: pytest.Item) -> tuple[bool, int]:
        name = item.path.stem.removeprefix("test_")
        quick = item.get_closest_marker("slow") is None
        return quick, LONGEST.index(name) if name in LONGEST and not quick else len(LONGEST)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


def once(shared: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Make a folder once for all workers; who comes second waits."""
    folder = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / f"{name}.done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            (shared / f"{name}.done").touch()
    return folder


@pytest.fixture(scope="session")
def template(shared: Path) -> Path:
    """Return a copy of the template as a commit of it would be."""
    return once(shared, "template", harness.copy_template)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return the environment of somebody who has only a home folder."""
    return harness.environment(tmp_path / "home")


@pytest.fixture
def bake(template: Path, tmp_path: Path, env: dict[str, str]) -> Callable[..., Path]:
    """Generate projects: `bake(*flags, **answers)`."""

    def generate(*flags: str, **answers: str) -> Path:
        return harness.bake(template, tmp_path / "baked", env, *flags, **answers)

    return generate


@pytest.fixture(scope="session")
def baked(template: Path, shared: Path) -> Path:
    """Return a project generated with the default answers; only for reading."""
    env = harness.environment(shared / "baked-home")
    return once(shared, "baked", lambda folder: harness.bake(template, folder, env)) / harness.SLUG


@pytest.fixture(scope="session")
def prepared(template: Path, shared: Path) -> Path:
    """Return a folder with a project that is installed, trained and checked; only for copying (see `laptop.py`)."""
    return once(shared, "prepared", lambda folder: laptop.prepare(template, folder))


@pytest.fixture(scope="session")
def planted(prepared: Path, shared: Path) -> Path:
    """Return a GitHub folder with a repository that has lived a little (see `seed.py`); only for copying."""
    return once(shared, "seed", lambda folder: seed.plant(prepared, folder))


@pytest.fixture(scope="session")
def champion(prepared: Path, shared: Path) -> Path:
    """Return a folder with a project and its environment whose `main` holds a trained model; only for copying."""
    return once(shared, "champion", lambda folder: laptop.train(prepared, folder))


@pytest.fixture
def on_laptop(champion: Path, tmp_path: Path) -> laptop.Laptop:
    """Return this test's own copy of the trained project, on a branch."""
    return laptop.Laptop(champion, tmp_path)


@pytest.fixture(scope="session")
def released_once(champion: Path, shared: Path) -> Path:
    """Return a folder with a project that is released as 1.0.0; only for copying."""
    return once(shared, "released", lambda folder: released.prepare(champion, folder))


@pytest.fixture
def released_project(released_once: Path, tmp_path: Path) -> laptop.Laptop:
    """Return this test's own copy of the released project, on a branch."""
    return laptop.Laptop(released_once, tmp_path)


@pytest.fixture
def world(prepared: Path, planted: Path, tmp_path: Path) -> Iterator[World]:
    """Return a GitHub of this test's own with the planted repository."""
    shutil.copytree(planted / "hub", tmp_path / "hub")
    with World(tmp_path) as made:
        made.machine["PREPARED"] = str(prepared / harness.SLUG)
        yield made


@pytest.fixture(scope="session")
def podman(shared: Path) -> Iterator[containers.Podman]:
    """Return this worker's podman, whose images and containers are removed at the end."""
    harness.needs("podman", "uv")
    with containers.Podman(once(shared, "base-image", containers.make_context)) as made:
        yield made


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[containers.Registry]:
    """Return a registry of this test's own, on this machine."""
    harness.needs("docker-registry")
    with containers.Registry(tmp_path / "registry") as made:
        yield made

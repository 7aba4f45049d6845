"""A generated project does what its README says: it installs, checks itself, trains, and trains the same again."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import PYTHON, ROOT, missing, needs, run

Bake = Callable[..., Path]

pytestmark = pytest.mark.slow


def interpreter(version: str, cwd: Path, env: dict[str, str]) -> None:
    """Skip unless uv finds this Python without downloading it."""
    needs("uv")
    if subprocess.run(["uv", "python", "find", version], cwd=cwd, env=env, capture_output=True).returncode:
        missing(f"Python {version}")


def committed(project: Path, env: dict[str, str]) -> Path:
    """Install a generated project and commit it, as its first three commands say."""
    run("uv", "sync", "--quiet", cwd=project, env=env)
    run("git", "add", "--all", cwd=project, env=env)
    run("git", "commit", "--quiet", "-m", "Generate churn-model", cwd=project, env=env)
    return project


def trained(project: Path, env: dict[str, str]) -> tuple[dict[str, float], str]:
    """Train, and return the metrics and the model's SHA-256."""
    run("uv", "run", "dvc", "repro", cwd=project, env=env)
    model = (project / "build/model.bin").read_bytes()
    return json.loads((project / "metrics.json").read_text()), hashlib.sha256(model).hexdigest()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_it_checks_and_trains_itself(bake: Bake, env: dict[str, str], version: str) -> None:
    interpreter(version, Path.cwd(), env)
    project = bake(python_version=version)
    for file in (ROOT / "tests/generated").glob("*.py"):  # of what is shipped, which a project may replace
        shutil.copy(file, project / "tests")
    committed(project, env)
    assert run("uv", "run", "python", "--version", cwd=project, env=env).startswith(f"Python {version}.")
    tests = run("uv", "run", "pytest", "-q", cwd=project, env=env)
    assert " passed" in tests and "failed" not in tests and "skipped" not in tests
    hooks = run("uv", "run", "pre-commit", "run", "--all-files", cwd=project, env=env)
    assert "Passed" in hooks and "Skipped" not in hooks
    metrics, _ = trained(project, env)
    assert metrics["roc_auc"] > 0.8 and metrics["rows"] > 1000
    again = run("uv", "run", "dvc", "repro", cwd=project, env=env)
    assert "Running stage" not in again and "Data and pipelines are up to date." in again
    changed = run("git", "status", "--short", cwd=project, env=env).split()
    assert set(changed) == {"??", "dvc.lock", "metrics.json", "model.json"}, "nothing else is to be committed"


def test_two_clones_train_the_same_model(bake: Bake, env: dict[str, str], tmp_path: Path) -> None:
    interpreter(PYTHON, tmp_path, env)
    project = committed(bake(), env)
    results = []
    for name in ("one", "two"):
        run("git", "clone", "--quiet", project, name, cwd=tmp_path, env=env)
        # the data is not in Git; a clone of a repository with a data remote pulls it
        (tmp_path / name / "data/table.csv").write_bytes((project / "data/table.csv").read_bytes())
        results.append(trained(tmp_path / name, env))
    assert results[0] == results[1]

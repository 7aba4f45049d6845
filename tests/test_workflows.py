"""The rules for workflows, one test each, for the template's own and for those that it generates."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import ROOT, TEMPLATE

Workflow = dict[Any, Any]

FOLDERS = [ROOT / ".github", ROOT / TEMPLATE / ".github"]
FILES = sorted(file for folder in FOLDERS for file in (folder / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")

pytestmark = pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parents[2].name[:10]}/{file.name}")


def load(file: Path) -> Workflow:
    """Read a workflow; YAML 1.1 reads the key `on` as True."""
    content: Workflow = yaml.safe_load(file.read_text())
    return content | {"on": content[True]}


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    """Return the jobs by id."""
    return dict(load(file)["jobs"])


def steps(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the steps of all jobs."""
    for job in jobs(file).values():
        yield from job["steps"]


def lines(file: Path, key: str) -> list[str]:
    """Return the lines on which a key stands, stripped."""
    return [
        line.strip().removeprefix("- ") for line in file.read_text().splitlines() if re.match(rf"[\s-]*{key}:", line)
    ]


def test_no_permissions_at_the_top(file: Path) -> None:
    assert load(file)["permissions"] == {}


def test_each_grant_has_a_reason(file: Path) -> None:
    granted = sum(len(job["permissions"]) for job in jobs(file).values())
    reasoned = re.findall(r"^ {6}[a-z-]+: (?:read|write) # \w.+$", file.read_text(), re.MULTILINE)
    assert len(reasoned) == granted > 0


def test_each_action_is_pinned_to_a_commit_and_names_its_version(file: Path) -> None:
    assert lines(file, "uses")
    assert [line for line in lines(file, "uses") if not PINNED.fullmatch(line)] == []


def test_no_checkout_keeps_its_credentials(file: Path) -> None:
    checkouts = [step for step in steps(file) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_each_job_has_a_timeout(file: Path) -> None:
    assert all(0 < job["timeout-minutes"] <= 120 for job in jobs(file).values())


def test_reviews_are_superseded_and_releases_never(file: Path) -> None:
    concurrency = load(file)["concurrency"]
    assert concurrency["cancel-in-progress"] is (file.name not in ("promote.yml", "release.yml"))
    # one group a branch where runs are cancelled, else one branch's push would cancel another's
    assert ("github.ref" in concurrency["group"]) is concurrency["cancel-in-progress"]


def test_each_run_is_one_command(file: Path) -> None:
    assert all(len(step["run"].strip().splitlines()) <= 2 for step in steps(file) if "run" in step)


def test_no_expression_reaches_a_shell(file: Path) -> None:
    assert [step["run"] for step in steps(file) if "${{" in step.get("run", "")] == []


def test_a_job_that_may_write_runs_no_code_of_a_pull_request(file: Path) -> None:
    if "pull_request" not in load(file)["on"]:
        return
    for job in jobs(file).values():
        if "write" in job["permissions"].values():
            refs = [step["with"].get("ref", "") for step in job["steps"] if "checkout" in step.get("uses", "")]
            assert refs == ["${{ github.event.pull_request.base.sha }}"]
            assert "head.repo.full_name == github.repository" in job["if"]


def test_a_job_that_decides_or_may_write_finds_no_module_beside_the_factory(file: Path) -> None:
    """`src/json.py`, or a start-up module there, takes no module's place: `src/` is not on the path."""
    if file.parents[2] == ROOT:
        return
    for name, job in jobs(file).items():
        if "write" in job["permissions"].values() or name in ("assess", "verdict", "plan"):
            commands = "\n".join(step.get("run", "") for step in job["steps"])
            installed = "uv sync --locked --no-editable" in commands
            starts = re.findall(r"uv run .*|python3 .*", commands)
            wanted = "uv run --no-sync gitops " if installed else "python3 -I src/gitops/isolated.py "
            assert starts and all(line.startswith(wanted) for line in starts), name


def test_no_cache_reaches_a_job_that_decides_or_releases(file: Path) -> None:
    for name, job in jobs(file).items():
        for step in job["steps"]:
            if "setup-uv" in step.get("uses", "") and name not in ("check", "review", "test"):
                assert step["with"]["enable-cache"] is False, name


def test_secrets_are_the_runs_own_token_and_the_password_of_a_registry(file: Path) -> None:
    named = set(re.findall(r"secrets\.(\w+)", file.read_text()))
    assert named == ({"REGISTRY_PASSWORD"} if file.name == "release.yml" else set())
    assert "pull_request_target" not in load(file)["on"]


def test_an_environment_is_changed_only_where_its_reviewers_hold_it(file: Path) -> None:
    held = [job.get("environment") for job in jobs(file).values() if "$ENVIRONMENT" in str(job["steps"])]
    assert held == (["${{ inputs.environment }}"] if file.name == "promote.yml" else [])


def test_the_whole_workflow_fits_a_screen_or_two(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 185


PLACES, ACTIONS = ["staging", "production"], ["promote", "rollback", "apply"]
TRIGGERS = {
    "promote.yml": {
        "workflow_dispatch": {
            "inputs": {
                "action": {"type": "choice", "options": ACTIONS},
                "environment": {"type": "choice", "options": PLACES},
                "version": {"type": "string"},
                "reason": {"type": "string"},
            }
        }
    },
    "pull-request.yml": {"pull_request": {"branches": ["main"]}, "merge_group": None},
    "release.yml": {"push": {"branches": ["main"]}},
    "test.yml": {"pull_request": None, "push": {"branches": ["main"]}},
}


def test_what_starts_it(file: Path) -> None:
    started = load(file)["on"]
    for given in (started.get("workflow_dispatch") or {}).get("inputs", {}).values():
        assert given.pop("description")
    assert started == TRIGGERS[file.name]


def quiet(check: Callable[[Path], list[str]], file: Path) -> None:
    """Assert that a linter says nothing about one file."""
    path = f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}"  # actionlint calls shellcheck
    done = subprocess.run(
        check(file), cwd=file.parents[2], env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing(file: Path) -> None:
    command = [f"{sys.prefix}/bin/zizmor", "--offline", "--no-progress", "--pedantic", "--quiet"]
    quiet(lambda path: [*command, str(path), str(path.parents[1] / "dependabot.yml")], file)


def test_actionlint_finds_nothing(file: Path) -> None:
    quiet(lambda path: [f"{sys.prefix}/bin/actionlint", "-no-color", "-oneline", str(path)], file)

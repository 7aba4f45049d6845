"""Run a workflow with act, on this machine as the runner, with stand-ins for the actions that it uses."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from harness import THREADS, environment, run

STANDINS = Path(__file__).parent / "standins"
# act stops reading a step's terminal when its shell ends, and on a busy machine loses what a failed command said last
LINGER = "trap '[ $? = 0 ] || sleep 1' EXIT\n"
LABELS = ("ubuntu-latest", "ubuntu-24.04")


@dataclass(frozen=True)
class Job:
    """Where a run takes place and what it may know."""

    repository: str
    origin: Path  # the bare repository
    server: str  # address of the fake GitHub, of Git and API alike
    folder: Path  # for everything that the run leaves
    event: str
    sha: str
    payload: dict[str, Any]
    token: str
    variables: dict[str, str]  # of the repository
    machine: dict[str, str]  # environment of the runner


class Run:
    """What a workflow run did."""

    def __init__(self, code: int, records: list[dict[str, Any]], errors: str, artifacts: Path) -> None:
        self.code, self.records, self.errors, self.artifacts = code, records, errors, artifacts
        self.jobs = {row["jobID"]: row["jobResult"] for row in records if "jobResult" in row}
        """Job id -> `success` or `failure`; a skipped job is not in it."""

    @property
    def summary(self) -> str:
        """All job summaries, one after the other."""
        return "".join(row["content"] for row in self.records if row.get("command") == "summary")

    def log(self, job: str | None = None) -> str:
        """Return what the steps printed."""
        return "".join(row["msg"] for row in self.records if row.get("raw_output") and job in (None, row.get("jobID")))

    def annotations(self, kind: str = "error") -> list[str]:
        """Return the texts of the run's annotations of one kind."""
        return [row["arg"] for row in self.records if row.get("command") == kind]

    def outputs(self, step: str) -> dict[str, str]:
        """Return the outputs that a step (by its id) set."""
        rows = [row for row in self.records if row.get("command") == "set-output" and row.get("stepID") == [step]]
        return {row["name"]: row["arg"] for row in rows}

    def __str__(self) -> str:
        """Everything that explains a failure, for an assertion's message."""
        return f"exit {self.code}, jobs {self.jobs}\n{self.log()}\n{self.errors}"


def start(job: Job, workflow: str, timeout: float) -> Run:
    """Run one workflow as GitHub would start it: from the commit that the event is about, on an empty machine.

    Raises:
        AssertionError: act ran nothing, which it reports as success.
    """
    tree, artifacts, env = job.folder / "tree", job.folder / "artifacts", environment(job.folder / "home")
    artifacts.mkdir()
    run("git", "clone", "--quiet", "--no-checkout", job.origin, tree, cwd=job.folder, env=env)
    run("git", "fetch", "--quiet", "origin", job.sha, cwd=tree, env=env)
    run("git", "checkout", "--quiet", "--detach", job.sha, cwd=tree, env=env)
    # act takes the repository's name from here; the steps' checkouts have their own origin
    run("git", "remote", "set-url", "origin", f"https://github.com/{job.repository}", cwd=tree, env=env)
    (job.folder / "event.json").write_text(json.dumps(job.payload))
    (job.folder / "secrets").write_text(f"GITHUB_TOKEN={job.token}\n")
    (job.folder / "variables").write_text("".join(f"{name}={value}\n" for name, value in job.variables.items()))
    (job.folder / "tmp").mkdir()
    (job.folder / "bash_env").write_text(LINGER)
    done = subprocess.run(
        [*_command(job, tree, workflow), *_standins(tree)],
        env=env | job.machine | {"TMPDIR": str(job.folder / "tmp")},
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    result = Run(done.returncode, records, done.stderr, artifacts)
    assert "Skipping unsupported platform" not in done.stdout, "a runs-on label has no runner here"
    assert result.jobs, f"act ran no job at all:\n{done.stdout}{done.stderr}"
    return result


def _command(job: Job, tree: Path, workflow: str) -> list[str]:
    variables = {
        "GITHUB_SERVER_URL": job.server,
        "GITHUB_API_URL": job.server,
        "ACT_ARTIFACTS": job.folder / "artifacts",
    }
    variables |= job.machine | THREADS | {"CI": "true", "GIT_PAGER": "cat", "BASH_ENV": job.folder / "bash_env"}
    return [
        *(str(Path(sys.prefix, "bin/act")), job.event, "--directory", str(tree), "--json", "--no-skip-checkout"),
        *("--workflows", f".github/workflows/{workflow}", "--eventpath", str(job.folder / "event.json")),
        *("--action-cache-path", str(job.folder / "act"), "--no-cache-server", "--actor", "dana"),
        *("--secret-file", str(job.folder / "secrets")),
        *("--env-file", os.devnull, "--var-file", str(job.folder / "variables"), "--input-file", os.devnull),
        *(word for label in LABELS for word in ("--platform", f"{label}=-self-hosted")),
        *(word for key, value in variables.items() for word in ("--env", f"{key}={value}")),
    ]


def _standins(tree: Path) -> list[str]:
    """Give act a stand-in for each action that the workflows use; one that has none, or not this input, is an error."""
    flags = set()
    for uses, given in steps(tree / ".github"):
        name, _, version = uses.partition("@")
        action = STANDINS / name.split("/")[1] / "action.yml"
        assert action.is_file(), f"{uses} has no stand-in in tests/standins"
        unknown = set(given) - set(yaml.safe_load(action.read_text())["inputs"])
        assert not unknown, f"the stand-in for {name} does not know the input {unknown}"
        flags.add(f"--local-repository={name}@{version}={action.parent}")
    return sorted(flags)


def steps(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield `uses` and `with` of each step below a `.github` folder that uses somebody else's action."""
    for file in folder.rglob("*.yml"):
        content = yaml.safe_load(file.read_text())
        for job in [*content.get("jobs", {}).values(), content.get("runs", {})]:
            for step in job.get("steps", []):
                if "@" in step.get("uses", ""):
                    yield step["uses"], step.get("with", {})

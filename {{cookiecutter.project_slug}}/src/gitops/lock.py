"""Does `dvc.lock` describe this commit, and does the data remote hold what it names?

`dvc status` and `dvc repro --dry` exit with 0 on a stale lock, and every flag that makes them fail also fails on a
clean clone, where nothing has been pulled yet. So this reads what `dvc status --json` says and sets aside what is only
absent.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from gitops.git import git
from gitops.shell import Stop, dvc, run, say

ABSENT = {"deleted", "not in cache"}  # not pulled yet: says nothing about the lock


def check() -> list[str]:
    """Return, one sentence each, why this commit can't be released as it was reviewed; empty when all is well."""
    reasons = stale()
    if not reasons:
        reasons = [f"{path} is in dvc.lock, but not in the data remote" for path in missing()]
    return reasons


def report() -> int:
    """Print the state of the lock with the way out; return the exit code."""
    if reasons := check():
        raise Stop("\n  ".join([*reasons, ADVICE]))
    say("dvc.lock describes this commit, and the data remote holds all that it names.")
    return 0


ADVICE = "To mend it: `uv run dvc repro && uv run gitops store push`, then commit dvc.lock and metrics.json."


def stale() -> list[str]:
    """Return the reasons for which DVC would run a stage again, one sentence each."""
    lock = _read("dvc.lock").get("stages", {})
    reasons = [f"stage {name} was never run" for name in _read("dvc.yaml").get("stages", {}) if name not in lock]
    for stage, changes in json.loads(run(*dvc("status", "--json")) or "{}").items():
        reasons += [
            reason for change in changes for reason in _reasons(stage, change) if stage in lock or ".dvc" in stage
        ]
    return reasons or _inconsistent(lock)


def missing() -> list[str]:
    """Return the paths that DVC tracks and the data remote lacks."""
    answer: dict[str, Any] = json.loads(run(*dvc("data", "status", "--not-in-remote", "--json")) or "{}")
    return sorted(answer.get("not_in_remote", []))


def _reasons(stage: str, change: str | dict[str, dict[str, Any]]) -> list[str]:
    """Turn one entry of `dvc status --json` into sentences; none for what is only absent."""
    if isinstance(change, str):
        return [f"stage {stage}: {change}"]
    paths = [(path, state) for group in change.values() for path, state in group.items()]
    flat = [
        (key, value)
        for path, state in paths
        for key, value in (state.items() if isinstance(state, dict) else [(path, state)])
    ]
    return [f"stage {stage}: {path} is {state}" for path, state in flat if state not in ABSENT]


def _inconsistent(lock: dict[str, Any]) -> list[str]:
    """Compare what a stage read with what the one before it wrote: in a clean clone DVC can't, it has no files."""
    made = {out["path"]: out["md5"] for stage in lock.values() for out in stage.get("outs", [])}
    tracked = git("ls-files", "--cached", "--others", "--exclude-standard", "--", "*.dvc").splitlines()
    for file in map(Path, tracked):
        made |= {(file.parent / out["path"]).as_posix(): out["md5"] for out in _read(str(file))["outs"]}
    return [
        f"stage {name} read another version of {dep['path']} than the one that is locked now"
        for name, stage in lock.items()
        for dep in stage.get("deps", [])
        if made.get(dep["path"], dep.get("md5")) != dep.get("md5")
    ]


def _read(path: str) -> dict[str, Any]:
    file = Path(path)
    return (yaml.safe_load(file.read_text()) or {}) if file.exists() else {}

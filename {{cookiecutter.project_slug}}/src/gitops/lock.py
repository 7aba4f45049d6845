"""Does `dvc.lock` describe this commit, and does the data remote hold what it names?

`dvc status` and `dvc repro --dry` exit with 0 on a stale lock, every flag that makes them fail also fails on a clean
clone, where nothing has been pulled yet, and both believe the `deps` of dvc.yaml. So this reads what DVC knows, sets
aside what is absent or of an earlier version here, and compares what a stage imports with what it declares.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitops import imports, pipeline, store
from gitops.pipeline import Pipeline, Stage
from gitops.shell import CommandError, say

ABSENT = {"deleted", "not in cache"}  # not pulled yet: says nothing about the lock
ADVICE = "To mend it: `uv run dvc repro && uv run gitops store push`, then commit dvc.lock and metrics.json."
SHOWN = 3  # files in one sentence
PULL = "`uv run gitops store pull` brings what this commit names"


def report() -> int:
    """Print the state of the lock with the way out; return the exit code.

    Raises:
        CommandError: the lock is stale, or the data remote lacks what it names.
    """
    store.pull()
    read = pipeline.read()
    if reasons := _stale(read) or unpushed():
        raise CommandError("\n  ".join([*reasons, ADVICE]))
    say("dvc.lock describes this commit, and the data remote holds all that it names.")
    if other := sorted(other_versions(read)):
        say(f"Here lies another version of {', '.join(other)}: {PULL}.")
    return 0


def stale() -> list[str]:
    """Return the reasons for which `dvc.lock` does not describe this working tree, one sentence each."""
    return _stale(pipeline.read())


def unpushed() -> list[str]:
    """Return what is missing, one sentence each."""
    return [f"{path} is in dvc.lock, but not in the data remote" for path in missing()]


def missing() -> list[str]:
    """Return the paths that DVC tracks and the data remote lacks."""
    return pipeline.not_in_remote()


def _stale(read: Pipeline) -> list[str]:
    other = other_versions(read)
    reasons = [f"stage {stage.name} was never run" for stage in read.stages if not stage.locked]
    for stage in read.stages:
        if stage.locked:
            changes = list(_changes(read.status.get(stage.name, [])))
            reasons += [f"stage {stage.name}: {change}" for change, path in changes if path not in other]
    reasons += [reason for stage in read.stages for reason in _undeclared(stage)]
    return reasons or _inconsistent(read)


def _changes(entries: list[str | dict[str, dict[str, Any]]]) -> Iterator[tuple[str, str]]:
    """Yield a stage's changes as words and the path they are about; none for what is only absent."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry, ""
            continue
        for path, state in (item for group in entry.values() for item in group.items()):
            states = state if isinstance(state, dict) else {path: state}  # a file of parameters: name -> state
            yield from ((f"{key} is {value}", path) for key, value in states.items() if value not in ABSENT)


def other_versions(read: Pipeline | None = None) -> set[str]:
    """Return the files whose content here is a version that DVC keeps, but not the one that this commit names.

    So it is after `git switch` or `git pull`, until the data is pulled too: it says nothing about the lock. A file that
    somebody edited is in no cache yet.
    """
    read = read or pipeline.read()
    cached = {out.path for stage in read.stages for out in stage.outs if out.cached}
    changed = {path for entries in read.status.values() for _, path in _changes(entries)} & cached
    return {path for path in changed if Path(path).is_file() and store.keeps(Path(path))}


def _undeclared(stage: Stage) -> list[str]:
    """Compare what a stage's Python imports from this project with its dependencies; a frozen stage never runs."""
    if stage.frozen:
        return []
    root, scripts = Path.cwd(), _scripts()
    try:
        found = {
            name for command in stage.commands for name in imports.of_command(command, root, stage.folder, scripts)
        }
        open_ = imports.undeclared(sorted(found), [dep.path for dep in stage.deps], root)
    except CommandError as error:
        return [f"stage {stage.name}: {error}"]
    if not open_:
        return []
    more = f" and {len(open_) - SHOWN} more" if len(open_) > SHOWN else ""
    it, its = ("it", "its") if len(open_) == 1 else ("them", "their")
    named = f"{', '.join(open_[:SHOWN])}{more}, and dvc.yaml does not name {it} under deps: add {it} (or {its} folder)"
    return [f"stage {stage.name} imports {named}"]


def _scripts() -> dict[str, str]:
    """Return `[project.scripts]` of pyproject.toml, whose names a stage may call."""
    file = Path("pyproject.toml")
    try:
        scripts: dict[str, str] = tomllib.loads(file.read_text()).get("project", {}).get("scripts", {})
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"pyproject.toml is not valid TOML: {error}") from None
    return scripts


def _inconsistent(read: Pipeline) -> list[str]:
    """Compare what a stage read with what the one before it wrote: in a clean clone DVC can't, it has no files."""
    made = {out.path: out.md5 for stage in read.stages for out in stage.outs}
    return [
        f"stage {stage.name} read another version of {dep.path} than the one that is locked now"
        for stage in read.stages
        for dep in stage.deps
        if stage.locked and made.get(dep.path, dep.md5) != dep.md5
    ]

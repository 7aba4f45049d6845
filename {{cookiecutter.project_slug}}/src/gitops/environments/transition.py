"""How an environment gets from one state to the next: what is shown before, written with it, and said after."""

import difflib
import os
from collections.abc import Iterator

import yaml

from gitops.environments.branches import State
from gitops.git import has_origin
from gitops.shell import CommandError, say

RUN = ("SERVER_URL", "REPOSITORY", "RUN_ID", "ACTOR")
ATTEMPTS = 5  # pushes that lose the race to somebody else's before we give up


def faster(environment: str) -> CommandError:
    """Return what to raise when others keep changing the branch."""
    return CommandError(
        f"somebody else changed env/{environment} meanwhile: look at `uv run gitops status`, and run this again if it "
        "is still wanted"
    )


def running(now: State | None) -> str:
    """Return the version that runs, in words."""
    return (now.version or "an unknown version") if now else "nothing"


def trailers(now: State | None) -> list[str]:
    """Return the trailers that say what a state replaces and, in a workflow, who asked for it and where."""
    lines = [f"Replaces: {running(now)} ({now.commit})"] if now else []
    if os.environ.get("GITHUB_ACTIONS") == "true":
        server, repository, number, actor = (os.environ.get(f"GITHUB_{key}", "") for key in RUN)
        lines += [f"Requested-by: @{actor}", f"Run: {server}/{repository}/actions/runs/{number}"]
    return lines


def preview(environment: str, now: State | None, version: str, manifests: str) -> int:
    """Print what a change would do to the cluster."""
    say(f"Would change {environment}: {running(now)} → {version}")
    for line in _difference(now.file("manifests.yaml") if now else "", manifests):
        say(f"  {line}")
    return 0


def _difference(old: str, new: str) -> Iterator[str]:
    """Yield what changes; of a first promotion only which objects it makes."""
    if not old:
        return (f"+ {entry['kind']} {entry['metadata']['name']}" for entry in yaml.safe_load_all(new))
    return (line for line in difflib.unified_diff(old.splitlines(), new.splitlines(), "now", "then", n=2, lineterm=""))


def done(environment: str, now: State | None, version: str, made: str) -> int:
    """Say what was changed, and where that is written."""
    where = f"env/{environment} of origin" if has_origin() else f"the local branch env/{environment} (no `origin` here)"
    say(f"{environment}: {running(now)} → {version}, commit {made[:9]} on {where}")
    return 0

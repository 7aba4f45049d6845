"""What runs where, since when, how good it is, and what waits to be promoted: all of it read from Git."""

import json
from datetime import UTC, datetime
from typing import Any

from gitops import tags
from gitops.environments import branches
from gitops.environments.branches import ENVIRONMENTS, State
from gitops.project import load
from gitops.shell import CommandError, say

HEAD = ("environment", "version", "since", "image", "metrics", "reason")
METRICS = 2  # columns are few; the first ones of metrics.json are what the model is judged by
DIGITS = 12  # of a digest, as container tools print it


def status(*, as_json: bool = False) -> int:
    """Print the environments as a table, or as JSON for other programs."""
    project = load()
    try:
        tags.fetch()
        branches.fetch()
    except CommandError as error:
        if not as_json:
            say(f"As of the last time that origin could be reached ({error}):")
    states = {name: branches.current(name) for name in ENVIRONMENTS}
    known = tags.releases(project)
    waiting = {name: [one for one in known if one.order > _order(state)] for name, state in states.items()}
    if as_json:
        say(json.dumps(_data(states, waiting), indent=2))
        return 0
    for line in _table([HEAD, *(_row(name, state) for name, state in states.items())]):
        say(line)
    for name, releases in waiting.items():
        for one in releases:
            say(f"Not yet in {name}: {one.version}, released {one.date[:10]} ({one.reason})")
    if not known:
        say("Nothing was released yet.")
    return 0


def _order(state: State | None) -> tuple[int, ...]:
    version = state.version if state else ""
    return tags.numbers(version) if tags.VERSION.fullmatch(version) else ()


def _row(name: str, state: State | None) -> tuple[str, ...]:
    if state is None:
        return name, "–", "–", "–", "–", "–"
    facts = state.release
    digest = str(facts.get("image", "")).rpartition("sha256:")[2][:DIGITS]
    return name, state.version or "unknown", _ago(state.since), digest, _metrics(facts), str(facts.get("reason", ""))


def _ago(since: str) -> str:
    """Return the day and how long ago it was."""
    days = (datetime.now(UTC) - datetime.fromisoformat(since)).days
    return f"{since[:10]} ({'today' if days < 1 else '1 day' if days == 1 else f'{days} days'})"


def _metrics(facts: dict[str, Any]) -> str:
    values = facts.get("metrics")
    floats = [(name, value) for name, value in (values or {}).items() if isinstance(value, float)]
    return ", ".join(f"{name} {value:.4f}" for name, value in floats[:METRICS])


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _data(states: dict[str, State | None], waiting: dict[str, list[tags.Release]]) -> dict[str, Any]:
    return {
        name: {
            "running": state and state.release | {"since": state.since, "state": state.commit},
            "waiting": [one.version for one in waiting[name]],
        }
        for name, state in states.items()
    }

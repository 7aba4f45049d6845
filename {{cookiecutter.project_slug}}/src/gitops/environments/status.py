"""What runs where, since when, how good it is, what is wrong with it, and what waits: all of it read from Git."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from gitops import tags
from gitops.environments import apply, branches, deployed
from gitops.environments.branches import ENVIRONMENTS, State
from gitops.environments.deployed import Deployed
from gitops.environments.rollback import keeps_settings, previous
from gitops.environments.transition import subject
from gitops.erase import record
from gitops.identifiers import one_line
from gitops.project import Project, load
from gitops.release_file import ReleaseFile
from gitops.shell import CommandError, say

HEAD = ("environment", "version", "since", "image", "metrics", "reason")
METRICS = 2  # columns are few; the first ones of metrics.json are what the model is judged by
DIGITS = 12  # of a digest, as container tools print it


@dataclass(frozen=True)
class _Place:
    """One environment: what runs, what is wrong with it, and where it could go.

    Attributes:
        back: the version that a rollback goes to, or "".
        waiting: releases that are newer than what runs.
        settings: main's newest commit, where its settings differ from those that run, else "".
        erased: the day on which rows that trained the model were erased, or "".
    """

    name: str
    now: State | None
    found: Deployed
    back: str
    waiting: list[tags.Release]
    settings: str
    erased: str = ""


def status(*, as_json: bool = False) -> int:
    """Print the environments as a table with what is to be said of each, or as JSON for other programs."""
    project = load()
    refresh(quietly=as_json)
    known, erased = tags.known(project), record.erased_data()
    places = [_place(project, name, known, erased) for name in ENVIRONMENTS]
    if as_json:
        faults = {"faults": known.faults} if known.faults else {}
        say(json.dumps({place.name: _data(place) for place in places} | faults, indent=2))
        return 0
    for line in table([HEAD, *(_row(place.name, place.now) for place in places)]):
        say(line)
    for place in places:
        for line in _lines(place):
            say(line)
    for fault in known.faults.values():
        say(f"✗ {fault}")
    if not known.releases:
        say("Nothing was released yet.")
    return 0


def refresh(*, quietly: bool) -> None:
    """Bring environments and tags here; where that can't be done, say so (unless `quietly`) and read what is here."""
    for fetch in (branches.fetch, tags.fetch):
        try:
            fetch()
        except CommandError as error:
            if not quietly:
                say(f"As of the last time that origin could be reached ({error}):")
            break


def _place(project: Project, name: str, known: tags.Known, erased: dict[str, record.Erasure]) -> _Place:
    now = branches.current(name)
    order = tags.numbers(now.version) if now and now.version else ()
    waiting = [one for one in known.releases if one.order > order and one.version not in known.withdrawn]
    if now is None:
        return _Place(name, None, Deployed(()), "", waiting, "")
    try:
        target = previous(name, known)
    except CommandError:
        target = None
    found = deployed.inspect(project, name, now, known)
    back, settings = target.version if target else "", apply.waiting(name, now)
    gone = record.trained_on(project, now.release.commit, erased) if now.release else None
    return _Place(name, now, found, back, waiting, settings, gone.day if gone else "")


def _lines(place: _Place) -> list[str]:
    """Return what is to be said of an environment: what is wrong first."""
    name, now, lines = place.name, place.now, list[str]()
    for problem in place.found.problems:
        lines.append(f"✗ {name}: {problem}.")
    lines += [f"    {line}" for line in place.found.lines]
    if place.found.unchecked:
        lines.append(f"– {name}: its manifests were not compared with what is rendered: {place.found.unchecked}")
    if now and now.own_settings:
        lines.append(
            f"{name} has the settings of {now.settings[:9]} ({_subject(now.settings)}), not those of its release."
        )
    if now and place.erased:
        lines.append(f"{name}: {now.version} was trained on rows that were erased since ({place.erased}).")
    if now and place.back:
        kept = f", and keeps the settings of {now.settings[:9]}" if keeps_settings(now) else ""
        lines.append(f"A rollback of {name} takes back the model: {now.version or 'what runs'} → {place.back}{kept}.")
    for one in place.waiting:
        lines.append(f"Not yet in {name}: {one.version}, released {one.date[:10]} ({one.reason})")
    if place.settings:
        lines.append(f"Not yet in {name}: the settings of main, {place.settings[:9]}: `uv run gitops apply {name}`")
    return lines


def _subject(commit: str) -> str:
    try:
        return subject(commit)
    except CommandError:
        return "a commit that is not here"


def _row(name: str, state: State | None) -> tuple[str, ...]:
    if state is None:
        return name, "–", "–", "–", "–", "–"
    facts = state.release
    if facts is None:
        return name, "unknown", _ago(state.since), "", "", ""
    return name, facts.version, _ago(state.since), _digest(facts), _metrics(facts), facts.reason


def _digest(facts: ReleaseFile) -> str:
    return facts.image.rpartition("sha256:")[2][:DIGITS]


def _ago(since: str) -> str:
    """Return the day and how long ago it was."""
    days = (datetime.now(UTC) - datetime.fromisoformat(since)).days
    return f"{since[:10]} ({'today' if days < 1 else '1 day' if days == 1 else f'{days} days'})"


def _metrics(facts: ReleaseFile) -> str:
    floats = [(one_line(name, 30), value) for name, value in facts.metrics.items() if isinstance(value, float)]
    return ", ".join(f"{name} {value:.4f}" for name, value in floats[:METRICS])


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table whose columns are as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _data(place: _Place) -> dict[str, Any]:
    now = place.now
    facts = asdict(now.release) if now and now.release else {}
    return {
        "running": now and facts | {"settings": now.settings, "since": now.since, "state": now.commit},
        "problems": list(place.found.problems),
        "changed": list(place.found.lines),
        "unchecked": place.found.unchecked,
        "rollback": place.back,
        "waiting": [one.version for one in place.waiting],
        "waiting_settings": place.settings,
        "erased": place.erased,
    }

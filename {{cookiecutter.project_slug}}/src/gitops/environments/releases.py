"""Every release on one page: who merged what and when, on which data, how good, where it ran from when to when."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gitops import tags
from gitops.environments import branches, status
from gitops.environments.branches import ENVIRONMENTS
from gitops.erase import record
from gitops.identifiers import one_line
from gitops.project import Project, load
from gitops.review import state
from gitops.shell import CommandError, attempt, say

HEAD = ("version", "date", "commit", "merged by", "data", "image", "metrics")
SHORT = {"commit": 9, "hash": 12}  # characters of a name in the table; the CSV has all of them
FORMULA = ("=", "+", "-", "@")  # with which a spreadsheet starts to calculate


@dataclass(frozen=True)
class Period:
    """When a version ran somewhere: ISO 8601 dates, `end` "" where it still does."""

    begin: str
    end: str


@dataclass(frozen=True)
class Row:
    """One release.

    Attributes:
        version: such as `1.2.0`.
        date: of its tag, ISO 8601; "" without one.
        commit: whose content was released.
        author: of that commit: on GitHub, whoever merged the pull request.
        reason: why there is this release.
        data: MD5 of the table, "" where the commit names none.
        model: MD5 of the model file.
        image: `repository@sha256:...`, or "".
        metrics: name -> value, as the commit's metrics file has them.
        ran: environment -> when, the first period first.
        withdrawn: when, by whom and why, or "".
        erased: the day on which rows that trained the model were erased, or "".
        fault: why its tag is not believed, or "".
    """

    version: str
    date: str
    commit: str
    author: str
    reason: str
    data: str
    model: str
    image: str
    metrics: dict[str, float]
    ran: dict[str, tuple[Period, ...]]
    withdrawn: str
    erased: str
    fault: str


def releases(version: str = "", *, as_csv: bool = False) -> int:
    """Print every release, or the one that is named, as a table or as CSV for a spreadsheet.

    Raises:
        CommandError: there is no such release.
    """
    project = load()
    status.refresh(quietly=as_csv)
    known = tags.known(project)
    if version:
        _check(project, version, known)
    rows = [row for row in _rows(project, known) if version.removeprefix("v") in ("", row.version)]
    if as_csv:
        say(_csv(rows).rstrip("\n"))
        return 0
    for line in _lines(rows):
        say(line)
    if not rows:
        say("Nothing was released yet.")
    return 0


def _check(project: Project, version: str, known: tags.Known) -> None:
    ran = {one.version for name in ENVIRONMENTS for one in branches.history(name)}
    if version.removeprefix("v") not in ran:
        tags.among(project, known.releases, version)


def _rows(project: Project, known: tags.Known) -> Iterator[Row]:
    """Yield the releases by rising version: those that have a tag, and those that an environment alone remembers."""
    ran, erased = {name: _periods(name) for name in ENVIRONMENTS}, record.erased_data()
    tagged = {one.version: one for one in known.releases}
    for version in sorted({*tagged, *(each for periods in ran.values() for each in periods)}, key=tags.numbers):
        one = tagged.get(version) or _remembered(project, version)
        found = state.of_commit(one.commit, project)
        try:
            data, model = found.data, found.outputs.get(project.model, "")
            later = record.trained_on(project, one.commit, erased)
        except CommandError:
            data, model, later = None, "", None
        gone = known.withdrawn.get(version)
        yield Row(
            version=version,
            date=one.date,
            commit=one.commit,
            author=_author(one.commit),
            reason=one.reason,
            data=data.md5 if data else "",
            model=model,
            image=one.image,
            metrics={one_line(k, 40): v for k, v in (found.recorded_metrics or {}).items() if math.isfinite(v)},
            ran={name: tuple(periods[version]) for name, periods in ran.items() if version in periods},
            withdrawn=gone.words() if gone else "",
            erased=later.day if later else "",
            fault=known.faults.get(one.tag, "") if version in tagged else f"there is no tag {one.tag} any more",
        )


def _author(commit: str) -> str:
    """Return who made a commit; "" where it is not here."""
    done = attempt("git", "show", "--no-patch", "--format=%an <%ae>", "--end-of-options", commit)
    return one_line(done.stdout, 100) if done.returncode == 0 else ""


def _periods(environment: str) -> dict[str, list[Period]]:
    """Return version -> when it ran, of all that the environment's branch remembers."""
    found: dict[str, list[Period]] = {}
    states = [one for one in reversed(list(branches.history(environment))) if one.version]
    changes = [one for before, one in zip([None, *states], states, strict=False) if not _same(before, one)]
    ends = [*(one.since for one in changes[1:]), ""]
    for one, end in zip(changes, ends, strict=True):
        found.setdefault(one.version, []).append(Period(one.since, end))
    return found


def _same(before: branches.State | None, now: branches.State) -> bool:
    return before is not None and before.version == now.version


def _remembered(project: Project, version: str) -> tags.Release:
    """Return a release whose tag is gone, as the release.json of an environment tells it."""
    states = (one for name in ENVIRONMENTS for one in branches.history(name) if one.version == version)
    there = next(one.release for one in states if one.release)
    tag = f"{project.name}@v{version}"
    return tags.Release(tag, version, there.commit, there.date, there.reason, there.identity, there.image)


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    cells = [HEAD, *map(_cells, rows)]
    for row, line in zip([None, *rows], status.table(cells), strict=True):
        yield line
        if row is None:
            continue
        yield f"    why: {row.reason or 'unknown'}"
        for environment, periods in row.ran.items():
            yield f"    {environment}: {', '.join(_words(period) for period in periods)}"
        if row.withdrawn:
            yield f"    ✗ {row.withdrawn}"
        if row.erased:
            yield f"    ✗ trained on rows that were erased since ({row.erased})"
        if row.fault:
            yield f"    ✗ {row.fault}"


def _cells(row: Row) -> tuple[str, ...]:
    image = row.image.rpartition("sha256:")[2][: SHORT["hash"]] or "none"
    short = (row.date[:10], row.commit[: SHORT["commit"]], row.author, row.data[: SHORT["hash"]], image)
    return row.version, *short, ", ".join(f"{name} {value:.4g}" for name, value in row.metrics.items())


def _words(period: Period) -> str:
    return f"{_minute(period.begin)} – {_minute(period.end) or 'now'}"


def _minute(date: str) -> str:
    return date[:16].replace("T", " ")


def _csv(rows: Sequence[Row]) -> str:
    """Return a table with a header line; a column for each environment (ISO 8601 intervals) and each metric."""
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    head = ("version", "date", "commit", "merged_by", "reason", "data_md5", "model_md5", "image")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*head, *ENVIRONMENTS, "withdrawn", "erased", "fault", *metrics])
    for row in rows:
        facts = (row.version, row.date, row.commit, row.author, row.reason, row.data, row.model, row.image)
        ran = (";".join(f"{p.begin}/{p.end or '..'}" for p in row.ran.get(name, ())) for name in ENVIRONMENTS)
        texts = map(_cell, (*facts, *ran, row.withdrawn, row.erased, row.fault))
        writer.writerow([*texts, *(row.metrics.get(name, "") for name in metrics)])
    return out.getvalue()


def _cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: people write the reasons."""
    return f"'{text}" if text.startswith(FORMULA) else text

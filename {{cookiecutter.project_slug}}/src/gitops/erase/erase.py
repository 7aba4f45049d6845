"""Erase the rows of people who withdrew their consent.

The rows leave the table, whose new version is committed; the versions that held them, and what was made of those, are
purged from this clone and the data remote; a record tells what was done. The record is written before anything is
deleted and finished after all of it, so that a run which was killed is taken up again. docs/erase.md says what this
can't reach.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from gitops import description, mainline, store, tags
from gitops.erase import record, table, versions
from gitops.erase.kept import Kept, kept
from gitops.erase.record import Erasure
from gitops.erase.versions import History
from gitops.git import git, identity_env, paths, show
from gitops.identifiers import one_line
from gitops.project import Project, load, md5
from gitops.shell import CommandError, attempt, dvc, run, say, stream

PREDICTED = "id"  # the column of predictions: docs/contract.md
BRANCHES = "+refs/heads/*:refs/remotes/origin/*"


@dataclass(frozen=True)
class _Plan:
    """What an erasure would do.

    Attributes:
        rows: how many leave the table of this branch.
        data: the versions that hold one of the ids.
        objects: what is purged: those versions, and what was made of them alone.
        releases: the versions of the releases that were trained on them.
        gone: versions of the data that Git's history names and nobody has any more.
        unread: versions without this id column, or that are no table.
    """

    rows: int
    data: tuple[str, ...]
    objects: tuple[str, ...]
    releases: tuple[str, ...]
    gone: int
    unread: tuple[str, ...]


def erase(given: Collection[str], reason: str, *, dry_run: bool = False) -> int:
    """Erase the rows with the given ids; without any, finish what was started and purge again what came back.

    Raises:
        CommandError: the table is not as its `.dvc` file says, nobody has an id, another erasure was not finished, or
            the data remote or origin can't be reached.
    """
    project, ids = load(), {one.strip() for one in given}
    if "" in ids:
        raise CommandError("an id is empty: --id takes the id of one row, as it stands in the table")
    store.pull()
    tags.fetch()
    mainline.fetch(BRANCHES)
    history = versions.read(project)
    with kept() as places:
        if started := next((one for one in record.here() if one.state == "started"), None):
            return _resume(project, history, places, started, ids, dry_run=dry_run)
        earlier = record.known()
        if new := {one for one in ids if not any(entry.names(one) for entry in earlier)} | _back(project, ids):
            plan = _plan(project, history, places, new)
            _tell(project, plan)
            if dry_run:
                say("Nothing was done.")
                return 0
            entry = _start(plan, new, one_line(reason))
            _carry_out(project, history, places, entry, new)
            return 0
        return _repeat(history, places, earlier, dry_run=dry_run)


def _back(project: Project, ids: Collection[str]) -> set[str]:
    """Return those of the ids that the table of this branch has, for example one that was merged again."""
    return set(table.count(_table(project), _column(project), ids)) if ids else set()


def _plan(project: Project, history: History, places: Kept, ids: Collection[str]) -> _Plan:
    column, path = _column(project), _table(project)
    if versions.pointed_at(_pointer(project).read_text()) != [md5(path)]:
        raise CommandError(
            f"{path} is not the version that {_pointer(project)} names: `uv run dvc add {path}` and commit it, or "
            "`uv run gitops store pull`, before rows leave it"
        )
    rows = table.count(path, column, ids)
    found, data, unread, gone = set(rows), list[str](), list[str](), 0
    with TemporaryDirectory(dir=Path(".dvc/tmp").absolute() if Path(".dvc/tmp").is_dir() else None) as folder:
        copy = Path(folder, "table")
        for number, version in enumerate(history.data, 1):
            say(f"› {project.data}: version {number} of {len(history.data)}, {version}")
            if not places.bring(version, copy):
                gone += 1
                continue
            try:
                inside = table.count(copy, column, ids).keys()
            except (CommandError, OSError, ValueError):  # Arrow's errors are of the last two kinds
                unread.append(version)
                continue
            data += [version] if inside else []
            found |= inside
    if unknown := sorted(set(ids) - found):
        raise CommandError(
            f"no row has the id {unknown[0]!r}, neither in {path} nor in the {len(history.data) - gone - len(unread)} "
            f"versions of it that can be read: check it (column {column!r})"
        )
    say("› files on this machine that no commit names")
    theirs, others = map(places.expand, history.made_of(data))
    strays = places.others({*history.data, *theirs, *others})
    objects = {digest for digest, file in strays if _holds(file, (column, PREDICTED), ids)}
    objects |= {*data, *places.held(theirs - others)}
    known = tags.known(project).releases
    releases = [one.version for one in known if set(data) & set(record.data_of(project, show(one.commit, "dvc.lock")))]
    return _Plan(sum(rows.values()), tuple(data), tuple(sorted(objects)), tuple(releases), gone, tuple(unread))


def _holds(path: Path, columns: Iterable[str], ids: Collection[str]) -> bool:
    """Tell whether a file is a table that has one of the ids in one of these columns."""
    for column in columns:
        try:
            if table.count(path, column, ids):
                return True
        except (CommandError, OSError, ValueError):
            continue
    return False


def _tell(project: Project, plan: _Plan) -> None:
    say(f"Rows that leave {project.data}: {plan.rows:,}")
    say(f"Versions of it to be purged: {len(plan.data):,}; files, with what was made of them: {len(plan.objects):,}")
    say(f"Releases that were trained on them: {', '.join(plan.releases) or 'none'}")
    if plan.gone:
        say(f"Versions that are neither here nor in the data remote any more: {plan.gone:,}")
    for version in plan.unread:
        say(f"Can't be read by this id, so look at it yourself: version {version}")


def _start(plan: _Plan, ids: Collection[str], reason: str) -> Erasure:
    """Write the record, ahead of the first change."""
    salt, ordered = record.new_salt(), sorted(ids)
    who = attempt("git", "var", "GIT_COMMITTER_IDENT", env=identity_env()).stdout.rpartition(">")[0]
    entry = Erasure(
        format=1,
        state="started",
        started=_now(),
        finished="",
        by=f"{one_line(who)}>" if who else "somebody whom Git does not know",
        reason=reason,
        salt=salt,
        ids=record.hashed(ordered, salt),
        rows=plan.rows,
        data=plan.data,
        objects=plan.objects,
        releases=plan.releases,
    )
    entry.write()
    return entry


def _resume(project: Project, history: History, places: Kept, entry: Erasure, ids: set[str], *, dry_run: bool) -> int:
    """Go on with an erasure that was started: without ids if the rows have left the table already.

    Raises:
        CommandError: the ids are others, or are needed again.
    """
    if other := [one for one in sorted(ids) if not entry.names(one)]:
        raise CommandError(
            f"the erasure of {entry.started} is not finished, and the id {other[0]!r} is none of its own: run `uv run "
            "gitops erase` without it first"
        )
    left = md5(_table(project)) not in entry.data
    if not left and len(ids) < len(entry.ids):
        raise CommandError(
            f"the erasure of {entry.started} was interrupted before the rows left {project.data}: run it again with "
            f"all of its {len(entry.ids)} ids"
        )
    say(f"› the erasure of {entry.started} goes on")
    if dry_run:
        say(f"Would purge up to {len(entry.objects):,} files. Nothing was done.")
        return 0
    _carry_out(project, history, places, entry, ids)
    return 0


def _carry_out(project: Project, history: History, places: Kept, entry: Erasure, ids: Collection[str]) -> None:
    path, pointer = _table(project), _pointer(project)
    if ids:
        say(f"› the rows leave {path}")
        table.remove(path, _column(project), ids)
    if versions.pointed_at(pointer.read_text()) != [md5(path)]:
        say(f"› dvc add {path}")
        if stream(*dvc("add", "--quiet", str(path))):
            raise CommandError("dvc add failed, the message above says why: mend it, and run this again")
    _commit(f"Erase {entry.rows:,} rows on request", entry.path, pointer)
    say("› dvc push of the new version")
    if stream(*dvc("push", "--quiet", str(pointer))):
        raise CommandError("dvc push failed, the message above says why: mend it, and run this again")
    places.purge(set(entry.objects) - history.released)
    say("› the record is finished")
    entry.model_copy(update={"state": "finished", "finished": _now()}).write()
    _commit("Finish the record of the erasure", entry.path)
    say(f"Done, and recorded in {entry.path}, which is committed here.")
    for version in entry.releases:
        say(f"Release {version} was trained on erased rows: `uv run gitops status` says where it runs.")
    say(
        "Next: `uv run dvc repro && uv run gitops store push`, commit, and open a pull request; until it is merged, "
        "main names a version of the data that is gone. docs/erase.md lists what this can't reach."
    )


def _repeat(history: History, places: Kept, earlier: list[Erasure], *, dry_run: bool) -> int:
    """Purge again what somebody brought back, for example with a `dvc push` from an older clone."""
    data = {digest for entry in earlier for digest in entry.data}
    objects = {digest for entry in earlier for digest in entry.objects}
    _, others = history.made_of(data)
    back = places.held(objects - places.expand(others))
    if not back:
        say("Nothing to do: all that is recorded in docs/erasures is gone from this clone and the data remote.")
    elif dry_run:
        say(f"Would purge {len(back):,} erased files that are here or in the data remote again. Nothing was done.")
    else:
        say(f"› {len(back):,} erased files are here or in the data remote again")
        places.purge(back)
        say("Done: they are gone.")
    return 0


def _column(project: Project) -> str:
    if column := description.load(project).id:
        return column
    raise CommandError(
        f"{project.description} names no id column, so no row can be told by an id: name it where the rows are "
        f"described, and run `uv run dvc repro`, or take the row out of {project.data} by hand"
    )


def _table(project: Project) -> Path:
    path = Path(project.data)
    if not path.is_file():
        raise CommandError(f"{path} is not here: `uv run gitops store pull` brings it")
    return path


def _pointer(project: Project) -> Path:
    return Path(f"{project.data}.dvc")


def _commit(message: str, *files: Path) -> None:
    """Commit these files alone, whatever else is changed here; nothing if they are committed already."""
    names = [str(file) for file in files]
    git("add", "--", *names)
    if paths("diff", "--cached", "--name-only", "HEAD", "--", *names):
        run("git", "commit", "--quiet", "--no-verify", "-m", message, "--", *names, env=identity_env())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

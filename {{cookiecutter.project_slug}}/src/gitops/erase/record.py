"""The record of an erasure: `docs/erasures/TIME.json`, committed with what it tells. It holds no id and no row."""

import secrets
from collections.abc import Iterable
from hashlib import scrypt
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gitops import identifiers, mainline
from gitops.git import paths, show, show_many
from gitops.project import Project, lock_stages
from gitops.shell import CommandError
from gitops.validation import Strict, check

FOLDER = Path("docs/erasures")
COST = {"n": 2**14, "r": 8, "p": 1}  # scrypt (RFC 7914): 16 MiB and some 50 ms an id, so that guessing ids takes long

Stored = Annotated[str, Field(pattern=f"^{identifiers.STORED.pattern}$")]
Hash = Annotated[str, Field(pattern=f"^{identifiers.SHA256.pattern}$")]


class Erasure(Strict):
    """The whole file.

    Attributes:
        state: `started` until all of it is done.
        started: when, ISO 8601 with the offset from UTC; `finished` is "" before.
        by: who ran it, in Git's words.
        salt: of the hashes, in hexadecimal digits.
        ids: the scrypt hash of each id with that salt.
        rows: how many left the table of the branch on which it was run.
        data: the versions of the table that held one of the ids.
        objects: all that was purged: those versions, and what the stages made of them besides the model.
        releases: those whose model was trained on one of these versions.
    """

    format: Literal[1]
    state: Literal["started", "finished"]
    started: str
    finished: str
    by: str
    reason: str
    salt: Hash
    ids: tuple[Hash, ...]
    rows: Annotated[int, Field(ge=0)]
    data: tuple[Stored, ...]
    objects: tuple[Stored, ...]
    releases: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Where the record is kept."""
        return FOLDER / f"{self.started[:19].replace(':', '')}.json"

    @property
    def day(self) -> str:
        """Return the day of the erasure."""
        return self.started[:10]

    def names(self, one: str) -> bool:
        """Tell whether this id was erased then."""
        return hashed([one], self.salt)[0] in self.ids

    def write(self) -> None:
        """Write the file; who is killed leaves the old one or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(self.model_dump_json(indent=2) + "\n")
        new.replace(self.path)


def new_salt() -> str:
    """Return a salt that nobody used before."""
    return secrets.token_hex(32)


def hashed(ids: Iterable[str], salt: str) -> tuple[str, ...]:
    """Return the hash of each id: who knows the id can check it, and who doesn't must try them all."""
    return tuple(scrypt(one.encode(), salt=bytes.fromhex(salt), **COST, dklen=32).hex() for one in ids)


def here() -> list[Erasure]:
    """Return the records in the working tree, the oldest first.

    Raises:
        CommandError: one is not of the form that `write` writes.
    """
    return [_read(path.read_text(errors="replace"), str(path)) for path in sorted(FOLDER.glob("*.json"))]


def known() -> list[Erasure]:
    """Return the records in the working tree and those on main as this clone knows it, the oldest first.

    Raises:
        CommandError: one is not of the form that `write` writes.
    """
    found = {record.started: record for record in here()}
    if tip := mainline.tip():
        names = paths("ls-tree", "-r", "--name-only", tip, f"{FOLDER}/")
        for name, text in zip(names, show_many([f"{tip}:{name}" for name in names]), strict=True):
            record = _read(text or "", name)
            found.setdefault(record.started, record)
    return [found[started] for started in sorted(found)]


def erased_data() -> dict[str, Erasure]:
    """Return the versions of the data that held rows which were erased since: MD5 -> the erasure."""
    return {md5: record for record in known() for md5 in record.data}


def trained_on(project: Project, commit: str, erased: dict[str, Erasure]) -> Erasure | None:
    """Return the erasure that concerns the model of a commit, if there is one; `erased` is `erased_data()`."""
    return next((erased[md5] for md5 in data_of(project, show(commit, "dvc.lock")) if md5 in erased), None)


def data_of(project: Project, lock: str | None) -> list[str]:
    """Return the versions of the data that the stages of a `dvc.lock` (its text) read.

    Raises:
        CommandError: it is no lock of DVC's.
    """
    deps = [dep for stage in lock_stages(lock).values() for dep in stage.get("deps", [])]
    return [dep["md5"] for dep in deps if dep.get("path") == project.data and is_stored(dep.get("md5"))]


def is_stored(name: object) -> bool:
    """Tell whether a text is the name of a stored file: anybody's branch may name others, which lead elsewhere."""
    return isinstance(name, str) and bool(identifiers.STORED.fullmatch(name))


def _read(text: str, name: str) -> Erasure:
    lacking = ": it is written by `uv run gitops erase` alone, so bring it back from Git's history"
    if len(text) > 2**24:
        raise CommandError(f"{name} is too large for the record of an erasure{lacking}")
    return check(Erasure, text, name, lacking=lacking, json=True)

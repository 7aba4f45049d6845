"""All versions of the data that Git's history names, and what the stages made of each."""

import tomllib
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gitops.erase.record import data_of, is_stored
from gitops.git import git, show_many
from gitops.project import Project, lock_stages
from gitops.shell import CommandError


@dataclass(frozen=True)
class History:
    """What all commits of this clone name.

    Attributes:
        data: the versions of the data, by MD5, the newest first.
        made: for each version, the MD5s of what stages made of it, besides what a release holds.
        released: the MD5s of those: they are never purged, whatever a record says.
    """

    data: tuple[str, ...]
    made: dict[str, frozenset[str]]
    released: frozenset[str]

    def made_of(self, data: Container[str]) -> tuple[set[str], set[str]]:
        """Return what was made of these versions, and of the others, with those."""
        theirs, others = set[str](), set(self.released)
        for one, made in self.made.items():
            (theirs if one in data else others).update(made, [] if one in data else [one])
        return theirs, others


def read(project: Project) -> History:
    """Read the working tree, and the history of all branches and tags.

    What can't be read (a commit with an open merge in its dvc.lock) tells nothing and is passed over.
    """
    pointer = f"{project.data}.dvc"
    commits = git("log", "--all", "--full-history", "--format=%H", "--", "dvc.lock", pointer).split()
    data, made, released = dict[str, None](), dict[str, frozenset[str]](), set[str]()
    files = ("dvc.lock", pointer, "pyproject.toml")
    here = [Path(file).read_text(errors="replace") if Path(file).is_file() else None for file in files]
    texts = iter([*here, *show_many([f"{commit}:{file}" for commit in commits for file in files])])
    for lock, pointed, settings in zip(texts, texts, texts, strict=True):
        data |= dict.fromkeys(pointed_at(pointed))
        try:
            sources = data_of(project, lock)
            names = _released(project, settings)
            outs = _outs(lock)
        except (CommandError, AttributeError, TypeError, KeyError):
            continue
        for source in sources:
            data[source] = None
            made[source] = made.get(source, frozenset()) | {md5 for name, md5 in outs if name not in names}
        released |= {md5 for name, md5 in outs if name in names}
    return History(tuple(data), made, frozenset(released))


def pointed_at(text: str | None) -> list[str]:
    """Return the MD5s that a `.dvc` file (its text) names; none where it is no such file."""
    try:
        outs: Iterable[dict[str, Any]] = yaml.safe_load(text or "")["outs"]
        return [out["md5"] for out in outs if is_stored(out.get("md5"))]
    except (yaml.YAMLError, AttributeError, TypeError, KeyError):
        return []


def _outs(lock: str | None) -> list[tuple[str, str]]:
    outs = [out for stage in lock_stages(lock).values() for out in stage.get("outs", [])]
    return [(out["path"], out["md5"]) for out in outs if is_stored(out.get("md5"))]


def _released(project: Project, pyproject: str | None) -> set[str]:
    """Return the files of a release at that commit: they hold parameters and no rows, and they are kept."""
    try:
        settings = tomllib.loads(pyproject or "")["tool"]["gitops"]
        return {project.model, settings["model"], *settings["bento"]["files"]}
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        return {project.model, *project.bento.files}

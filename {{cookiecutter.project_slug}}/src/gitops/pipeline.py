"""The stages and data of this working tree, as DVC itself resolves them (`foreach`, `matrix`, `vars`, `wdir`).

DVC is asked in this process: each start of its command line takes a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo

from gitops.project import lock_stages
from gitops.shell import CommandError


@dataclass(frozen=True)
class File:
    """What a stage reads or makes: its POSIX path from the project's root, and the MD5 that is locked ("": none).

    What lies outside of the project (a bucket, another folder) has its address as `path`. `cached`: DVC keeps it, and
    not Git.
    """

    path: str
    md5: str
    cached: bool = False


@dataclass(frozen=True)
class Stage:
    """One stage of a dvc.yaml, or one `.dvc` file, which has no commands; `folder` is where its commands run.

    `locked`: dvc.lock has it (a `.dvc` file always is).
    """

    name: str
    commands: tuple[str, ...]
    folder: Path
    deps: tuple[File, ...]
    outs: tuple[File, ...]
    locked: bool
    frozen: bool


@dataclass(frozen=True)
class Pipeline:
    """All stages, and what `dvc status --json` says: stage -> changes; what is only not here is among them."""

    stages: tuple[Stage, ...]
    status: dict[str, list[Any]]


def read() -> Pipeline:
    """Read the working tree.

    Raises:
        CommandError: DVC can't read it; the sentence is DVC's.
    """
    with repository() as repo:
        return Pipeline(tuple(_stage(repo, stage) for stage in repo.index.stages), repo.status())


def not_in_remote() -> list[str]:
    """Return the paths that DVC tracks and the data remote lacks.

    Raises:
        CommandError: DVC can't read the working tree, or reach the remote.
    """
    with repository() as repo:
        return sorted(repo.data_status(not_in_remote=True, remote_refresh=True).get("not_in_remote", []))


@contextmanager
def repository() -> Iterator[Repo]:
    """Yield the working tree as DVC sees it; what DVC refuses inside becomes one sentence."""
    try:
        with Repo() as repo:
            yield repo
    except DvcException as error:
        raise CommandError(f"DVC says: {' '.join(str(error).split())}") from None


def _stage(repo: Repo, stage: Any) -> Stage:
    lock = Path(stage.path).with_suffix(".lock")
    return Stage(
        name=stage.addressing,
        commands=(stage.cmd,) if isinstance(stage.cmd, str) else tuple(stage.cmd or ()),
        folder=Path(stage.wdir),
        deps=tuple(_file(repo, dep) for dep in stage.deps if not isinstance(dep, ParamsDependency)),
        outs=tuple(_file(repo, out) for out in stage.outs),
        locked=stage.is_data_source or stage.name in lock_stages(lock.read_text() if lock.exists() else None),
        frozen=stage.frozen,
    )


def _file(repo: Repo, file: Any) -> File:
    inside = file.protocol == "local" and Path(file.fs_path).is_relative_to(repo.root_dir)
    path = Path(file.fs_path).relative_to(repo.root_dir).as_posix() if inside else str(file)
    return File(path, str(file.hash_info.value or ""), cached=bool(file.use_cache))

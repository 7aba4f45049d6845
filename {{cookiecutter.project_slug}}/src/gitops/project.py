"""Where the factory meets the model: `[tool.gitops]` in pyproject.toml, and DVC's files."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gitops.shell import Stop


@dataclass(frozen=True)
class Project:
    """The names that differ from one model repository to the next; paths are relative to its root."""

    name: str
    score: str
    rows: str
    predictions: str
    metrics: str
    model: str
    data: str
    contract: str
    service: str
    bento_files: tuple[str, ...]


def load() -> Project:
    """Read `[tool.gitops]` of the project in the current folder.

    Raises:
        Stop: this is not the root of a model repository, or a setting is missing.
    """
    try:
        pyproject = tomllib.loads(Path("pyproject.toml").read_text())
        tool = dict(pyproject["tool"]["gitops"])
        bento = tool.pop("bento")
        return Project(
            pyproject["project"]["name"], service=bento["service"], bento_files=tuple(bento["files"]), **tool
        )
    except FileNotFoundError:
        raise Stop("there is no pyproject.toml here: run this from the root of the model repository") from None
    except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise Stop(f"pyproject.toml has no usable [tool.gitops] ({error}): compare it with the template's") from None


def md5(path: Path) -> str:
    """Return a file's MD5, by which DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def locked(text: str | None) -> dict[str, str]:
    """Return path -> MD5 of everything that a `dvc.lock` (its text) says the stages made.

    Raises:
        Stop: it is no lock of DVC's.
    """
    return {out["path"]: out.get("md5", "") for stage in lock_stages(text).values() for out in stage.get("outs", [])}


def lock_stages(text: str | None) -> dict[str, Any]:
    """Return stage -> what a `dvc.lock` (its text) says of it.

    Raises:
        Stop: it is no lock of DVC's.
    """
    try:
        stages: dict[str, Any] = (yaml.safe_load(text or "") or {}).get("stages", {})
    except (yaml.YAMLError, AttributeError):
        raise Stop("dvc.lock can't be read: `git checkout HEAD dvc.lock` and `uv run dvc repro` make it anew") from None
    return stages

"""Where the factory meets the model: `[tool.gitops]` in pyproject.toml, and DVC's files; see docs/contract.md."""

import hashlib
import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field

from gitops.shell import CommandError
from gitops.validation import Strict, check

MODULE = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name:
        raise ValueError(f"is {name[:100]!r}, which is no path from the root of the repository, like data/table.csv")
    return name


File = Annotated[str, AfterValidator(_inside)]


class Bento(Strict):
    """What a release holds: the class of the service, as `module:Class`, and files; the code follows from imports.

    `jobs` are modules that run in the image beside the service.
    """

    service: Annotated[str, Field(pattern=rf"^{MODULE}:[A-Za-z_]\w*$")]
    files: Annotated[tuple[File, ...], Field(strict=False)]
    jobs: Annotated[tuple[Annotated[str, Field(pattern=f"^{MODULE}$")], ...], Field(strict=False)] = ()


class Project(Strict):
    """The names that differ from one model repository to the next; paths are relative to its root."""

    name: str
    score: str
    probe: Annotated[str, Field(pattern=rf"^python -m {MODULE}( |$)")]
    rows: File
    predictions: File
    metrics: File
    model: File
    description: File
    data: File
    contract: File
    bento: Bento


def load(root: Path = Path()) -> Project:
    """Read `[tool.gitops]` of the project in a folder, by default the current one.

    Raises:
        CommandError: this is not the root of a model repository, or a setting is missing or another than the
            contract's.
    """
    try:
        pyproject = tomllib.loads((root / "pyproject.toml").read_text())
        settings = {"name": pyproject["project"]["name"]} | pyproject["tool"]["gitops"]
    except FileNotFoundError:
        raise CommandError("there is no pyproject.toml here: run this from the root of the model repository") from None
    except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise CommandError(
            f"pyproject.toml has no usable [tool.gitops] ({error}): docs/contract.md describes it"
        ) from None
    return check(Project, settings, "pyproject.toml, [tool.gitops]", lacking=": docs/contract.md describes it")


def md5(path: Path) -> str:
    """Return a file's MD5, by which DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def locked(text: str | None) -> dict[str, str]:
    """Return path -> MD5 of everything that a `dvc.lock` (its text) says the stages made.

    Raises:
        CommandError: it is no lock of DVC's.
    """
    return {out["path"]: out.get("md5", "") for stage in lock_stages(text).values() for out in stage.get("outs", [])}


def lock_stages(text: str | None) -> dict[str, Any]:
    """Return stage -> what a `dvc.lock` (its text) says of it.

    Raises:
        CommandError: it is no lock of DVC's.
    """
    try:
        stages: dict[str, Any] = (yaml.safe_load(text or "") or {}).get("stages", {})
    except (yaml.YAMLError, AttributeError):
        raise CommandError(
            "dvc.lock can't be read: `git checkout HEAD dvc.lock` and `uv run dvc repro` make it anew"
        ) from None
    return stages

"""What the files of one commit, or of the working tree, say about its model: read once, in one place, and passed on.

A file of another kind that reviews need is one more field of `CommitState`.
"""

import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from gitops.git import decode, show_many
from gitops.project import Project, locked
from gitops.shell import CommandError

METRICS_LIMIT = 2**20  # characters of a metrics.json; more is not a handful of numbers
MISSING = "–"  # what stands in the place of a value that one of two states does not have


@dataclass(frozen=True)
class DataVersion:
    """The data that a `.dvc` file names: path, MD5 and bytes."""

    path: str
    md5: str
    size: int


@dataclass(frozen=True)
class CommitState:
    """The texts of the files, None where there is no such file, and what they say; `revision` "" is the working tree.

    Each field's metadata has the path, by the project's own names.

    Raises (all properties): CommandError where a file is not of its format.
    """

    revision: str
    lock: str | None = field(metadata={"path": lambda project: "dvc.lock"})
    params: str | None = field(metadata={"path": lambda project: "params.yaml"})
    gates: str | None = field(metadata={"path": lambda project: "gates.yaml"})
    contract: str | None = field(metadata={"path": lambda project: project.contract})
    metrics: str | None = field(metadata={"path": lambda project: project.metrics})
    description: str | None = field(metadata={"path": lambda project: project.description})
    data_pointer: str | None = field(metadata={"path": lambda project: f"{project.data}.dvc"})
    pyproject: str | None = field(metadata={"path": lambda project: "pyproject.toml"})
    uv_lock: str | None = field(metadata={"path": lambda project: "uv.lock"})

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The MD5 of everything that the stages made, by path."""
        self._yaml("dvc.lock", self.lock)
        return locked(self.lock)

    @cached_property
    def stages(self) -> dict[str, Any]:
        """What each stage read, was given and made, in the pipeline's order, as dvc.lock has it."""
        return dict(self._yaml("dvc.lock", self.lock).get("stages") or {})

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The leaves of params.yaml by dotted name."""
        return dict(flatten(self._yaml("params.yaml", self.params)))

    @cached_property
    def data(self) -> DataVersion | None:
        """The data version, None where the data is not tracked."""
        outs = self._yaml("the data's .dvc file", self.data_pointer).get("outs") or []
        if not outs:
            return None
        return DataVersion(str(outs[0].get("path", "")), str(outs[0].get("md5", MISSING)), int(outs[0].get("size", 0)))

    @cached_property
    def recorded_metrics(self) -> dict[str, float] | None:
        """The numbers of the metrics file; see `read_metrics`."""
        return read_metrics(self.metrics)

    @cached_property
    def packages(self) -> dict[str, str]:
        """The locked packages' versions by name; none in a broken lock, from which uv installs nothing."""
        try:
            found = tomllib.loads(self.uv_lock or "").get("package", [])
            return {package["name"]: str(package.get("version", MISSING)) for package in found}
        except (tomllib.TOMLDecodeError, KeyError, TypeError):
            return {}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What `[tool.gitops]` holds, as it stands there; empty where it can't be read."""
        try:
            found = tomllib.loads(self.pyproject or "")["tool"]["gitops"]
        except (tomllib.TOMLDecodeError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}

    @cached_property
    def score_command(self) -> str:
        """The command by which this commit's model scores rows."""
        try:
            return str(self.settings["score"])
        except KeyError:
            raise CommandError(f"pyproject.toml{self._where()} names no command under [tool.gitops] score") from None

    def _yaml(self, name: str, text: str | None) -> dict[str, Any]:
        try:
            content = yaml.safe_load(text or "") or {}
        except (yaml.YAMLError, ValueError) as error:
            raise CommandError(f"{name}{self._where()} is not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(content, dict):
            raise CommandError(f"{name}{self._where()} is not a mapping")
        return content

    def _where(self) -> str:
        return f" of {self.revision[:9]}" if self.revision else ""


def of_commit(revision: str, project: Project) -> CommitState:
    """Read the state of a commit."""
    paths = _paths(project)
    texts = show_many([f"{revision}:{path}" for path in paths.values()])
    return CommitState(revision, **dict(zip(paths, texts, strict=True)))


def of_working_tree(project: Project) -> CommitState:
    """Read the state of the current folder."""
    files = {name: Path(path) for name, path in _paths(project).items()}
    return CommitState(
        "", **{name: decode(path.read_bytes()) if path.is_file() else None for name, path in files.items()}
    )


def _paths(project: Project) -> dict[str, str]:
    """Return where each field of `CommitState` is read."""
    return {one.name: one.metadata["path"](project) for one in fields(CommitState) if "path" in one.metadata}


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings by dotted name."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from flatten(value, f"{prefix}{key}.")
    else:
        yield prefix[:-1], tree


def read_metrics(text: str | None) -> dict[str, float] | None:
    """Return the numbers of a metrics.json; NaN for a value that is none, None for a file that is something else."""
    try:
        content = json.loads(text if text and len(text) <= METRICS_LIMIT else "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    return {name: _number(value) for name, value in content.items()}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # an integer of a thousand digits
        return math.inf

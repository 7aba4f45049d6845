"""What a pull request changes besides the numbers: parameters, data, code, the contract, the gates, the factory."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gitops.git import git, show
from gitops.project import Project
from gitops.review import contract
from gitops.review.verdict import FACTORY

AREAS = {  # by the beginning of a path; the first that fits
    "model": ("src/model/",),
    "service": ("src/serving/",),
    "factory": ("src/gitops/", ".github/"),
    "deployment": ("deploy/",),
    "contract": ("openapi.json",),
    "tests": ("tests/",),
    "pipeline": ("dvc.yaml", "schema.yaml", "data/", ".dvc/"),
    "dependencies": ("pyproject.toml", "uv.lock"),
}


def since(base: str, project: Project) -> dict[str, Any]:
    """Compare the working tree with `base`."""
    change, breaks = contract.change(show(base, project.contract), _text(project.contract))
    pointer = f"{project.data}.dvc"
    return {
        "params": _parameters(show(base, "params.yaml"), _text("params.yaml")),
        "data": _data(show(base, pointer), _text(pointer)),
        "code": _code(base, {"params.yaml", "dvc.lock", project.metrics, pointer}),
        "dependencies": dependencies(show(base, "uv.lock"), _text("uv.lock")),
        "stages": _stages(show(base, "dvc.lock"), _text("dvc.lock")),
        "contract": {"change": change, "breaks": breaks},
        "gates_changed": show(base, "gates.yaml") not in (None, _text("gates.yaml")),
        "factory_changed": git("diff", "--name-only", base, "--", *FACTORY).splitlines(),
    }


def _code(base: str, told: set[str]) -> list[dict[str, Any]]:
    """Return the files by area, with the lines taken and added, apart from those that the report tells about anyway."""
    lines = [line.split("\t", 2) for line in git("diff", "--numstat", "--no-renames", "-z", base).split("\0") if line]
    files: dict[str, list[str]] = {}
    for added, gone, name in lines:
        if name not in told:
            files.setdefault(_area(name), []).append(f"{name} (−{gone} +{added})")
    return [{"area": area, "files": files[area]} for area in (*AREAS, "other files") if area in files]


def _area(name: str) -> str:
    return next((area for area, starts in AREAS.items() if name.startswith(starts)), "other files")


def dependencies(old: str | None, new: str | None) -> list[dict[str, str]]:
    """Return the locked packages whose versions differ."""
    before, after = map(_packages, (old, new))
    return [
        {"name": name, "champion": before.get(name, "–"), "challenger": after.get(name, "–")}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _packages(text: str | None) -> dict[str, str]:
    try:
        found = tomllib.loads(text or "").get("package", [])
        return {package["name"]: str(package.get("version", "–")) for package in found}
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        return {}  # uv refuses such a lock before anything is installed from it


def _stages(old: str | None, new: str | None) -> list[str]:
    """Return the stages that ran again, in the pipeline's order: what they read, were given or made differs."""
    before, after = ((yaml.safe_load(text or "") or {}).get("stages", {}) for text in (old, new))
    return [name for name, stage in after.items() if stage != before.get(name)]


def _text(path: str) -> str | None:
    return Path(path).read_text() if Path(path).exists() else None


def _parameters(old: str | None, new: str | None) -> list[dict[str, Any]]:
    """Return the parameters whose values differ, by dotted name."""
    before, after = (dict(flatten(yaml.safe_load(text or "") or {})) for text in (old, new))
    return [
        {"name": name, "champion": str(before.get(name, "–")), "challenger": str(after.get(name, "–"))}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings by dotted name."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from flatten(value, f"{prefix}{key}.")
    else:
        yield prefix[:-1], tree


def _data(old: str | None, new: str | None) -> list[dict[str, Any]]:
    """Return the data versions when they differ."""
    before, after = ((yaml.safe_load(text or "") or {}).get("outs", [{}])[0] for text in (old, new))
    if before.get("md5") == after.get("md5"):
        return []
    sides = [f"{version.get('md5', '–')[:9]} ({version.get('size', 0):,} bytes)" for version in (before, after)]
    return [{"name": after.get("path", before.get("path")), "champion": sides[0], "challenger": sides[1]}]

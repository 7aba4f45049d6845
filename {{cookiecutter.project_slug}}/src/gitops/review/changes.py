"""What a pull request changes besides the numbers: parameters, data, code, the contract, the gates, the factory."""

from collections.abc import Mapping

from gitops.git import git
from gitops.project import Project
from gitops.review import contract, owned
from gitops.review.record import Change, Changes, CodeArea
from gitops.review.state import MISSING, CommitState, DataVersion

AREAS = {  # by the beginning of a path; the first that fits
    "model": ("src/model/",),
    "service": ("src/serving/",),
    "factory": ("src/gitops/", ".github/"),
    "deployment": ("deploy/",),
    "contract": ("openapi.json",),
    "tests": ("tests/",),
    "pipeline": ("dvc.yaml", "data/", ".dvc/"),
    "dependencies": ("pyproject.toml", "uv.lock"),
}


def changes_since(base: CommitState, new: CommitState, project: Project) -> Changes:
    """Compare the working tree, or another commit (`new`), with a commit.

    Raises:
        CommandError: a file is not of its format.
    """
    files = _files(base.revision, new.revision)
    told = {"params.yaml", "dvc.lock", project.metrics, project.description, f"{project.data}.dvc"}
    same_packages = base.uv_lock == new.uv_lock  # parsing takes half a second
    return Changes(
        params=_differing(base.parameters, new.parameters),
        data=_data(base.data, new.data),
        dependencies=() if same_packages else _differing(base.packages, new.packages),
        code=_code({name: lines for name, lines in files.items() if name not in told}, project),
        stages=tuple(name for name, stage in new.stages.items() if stage != base.stages.get(name)),
        contract=contract.contract_change(base.contract, new.contract),
        gates_changed=base.gates not in (None, new.gates),
        owned_changes=tuple(owned.found(base.revision, new.revision)),
    )


def _files(base: str, commit: str) -> dict[str, str]:
    """Return the lines that each changed file lost and gained, by path; a renamed file is two."""
    words = ("diff", "--numstat", "--no-renames", "-z", "--end-of-options", base, *([commit] if commit else []))
    entries = [entry.split("\t", 2) for entry in git(*words).split("\0") if entry]
    return {name: f"−{gone} +{added}" for added, gone, name in entries}


def _code(files: Mapping[str, str], project: Project) -> tuple[CodeArea, ...]:
    """Return the changed files by area."""
    areas: dict[str, list[str]] = {}
    for name, lines in files.items():
        areas.setdefault(_area(name, project), []).append(f"{name} ({lines})")
    return tuple(CodeArea(area, tuple(areas[area])) for area in (*AREAS, "other files") if area in areas)


def _area(name: str, project: Project) -> str:
    if name in project.bento.files:  # what the service reads, besides code
        return "service"
    return next((area for area, starts in AREAS.items() if name.startswith(starts)), "other files")


def _differing(old: Mapping[str, object], new: Mapping[str, object]) -> tuple[Change, ...]:
    """Return the names whose values differ."""
    return tuple(
        Change(name, str(old.get(name, MISSING)), str(new.get(name, MISSING)))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _data(old: DataVersion | None, new: DataVersion | None) -> tuple[Change, ...]:
    """Return the data versions when they differ."""
    if (old.md5 if old else None) == (new.md5 if new else None):
        return ()
    known = new or old
    return (Change(known.path if known else "", _version(old), _version(new)),)


def _version(data: DataVersion | None) -> str:
    return f"{data.md5[:9]} ({data.size:,} bytes)" if data else MISSING

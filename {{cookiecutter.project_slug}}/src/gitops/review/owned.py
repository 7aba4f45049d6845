"""What a code owner must look at in a pull request: all but what a data scientist changes every day.

A list of what may pass, not of what may not: a file that no rule names (`src/sitecustomize.py`, a plugin's settings)
can change what judges, and nobody can list them all. CODEOWNERS holds the same list. pyproject.toml and uv.lock belong
to both sides: a library of the model is the data scientist's, `[tool.gitops]` and the packages of the factory and the
service are not. They come from the pull request, so they are read as data, and what can't be read must be looked at.
Standard library only.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops.git import git, show

PLAIN = (  # files, and folders with all that is in them
    "README.md",
    "data/",
    "docs/",
    "dvc.lock",
    "dvc.yaml",
    "metrics.json",
    "model.json",
    "notebooks/",
    "openapi.json",
    "params.yaml",
    "plots/",
    "src/model/",
    "tests/",
)
SETTINGS, LOCK = "pyproject.toml", "uv.lock"
FILE_MODES = {"000000", "100644", "100755"}  # a file, or none; a symbolic link or a submodule can be anything
SERVE = "serve"
OWNED = {"factory": "", "dev": "", SERVE: " (runs in production)"}  # groups that are not the model's own, and a remark
OURS = (
    {"editable": "."},
    {"virtual": "."},
)  # sources of the project's own entry in uv.lock, which pyproject.toml tells
FREE_LOCK = {"package", "resolution-markers", "revision"}  # what a library may move in uv.lock, besides single packages
FREE = {  # what a model's pull request may change in these tables: how code is checked is as free as the tests are
    "project": {"description"},
    "tool": {"coverage", "mypy", "pytest", "ruff"},
}
Table = Mapping[str, Any]


@dataclass(frozen=True)
class Side:
    """pyproject.toml and uv.lock of one commit, each as text, or None where there is none."""

    settings: str | None
    lock: str | None


def found(base: str, commit: str) -> list[str]:
    """Return what a code owner must look at, of what differs between two commits.

    Args:
        base: the older one.
        commit: the newer one; "" is the working tree.
    """
    entries = _entries(base, commit)
    names = [name for name, mode in entries.items() if name not in (SETTINGS, LOCK) and not _plain(name, mode)]
    if SETTINGS in entries or LOCK in entries:
        old, new = _side(base), _side(commit)
        names += [*settings(old.settings, new.settings), *lock(old, new)]
    return names


def _entries(base: str, commit: str) -> dict[str, str]:
    """Return the mode that each changed file has now, by path; a renamed file is two."""
    words = ("diff", "--raw", "--no-renames", "-z", "--end-of-options", base, *([commit] if commit else []))
    heads, names = (git(*words).split("\0")[start::2] for start in (0, 1))
    return {name: head.split()[1] for head, name in zip(heads, names, strict=False)}


def _plain(name: str, mode: str) -> bool:
    return mode in FILE_MODES and any(name.startswith(one) if one.endswith("/") else name == one for one in PLAIN)


def _side(commit: str) -> Side:
    if commit:
        return Side(show(commit, SETTINGS), show(commit, LOCK))
    return Side(*(_text(Path(name)) for name in (SETTINGS, LOCK)))


def settings(old: str | None, new: str | None) -> list[str]:
    """Return the parts of pyproject.toml that differ and are not the model's own: groups, tables, or the whole file."""
    try:
        before, after = (tomllib.loads(text or "") for text in (old, new))
        groups = [table.get("dependency-groups", {}) for table in (before, after)]
        found = [
            f"group {name}{note}" for name, note in OWNED.items() if _pins(groups[0], name) != _pins(groups[1], name)
        ]
        for table in sorted((before.keys() | after.keys()) - {"dependency-groups"}):
            was, now = (side.get(table, {}) for side in (before, after))
            if table in FREE:
                changed = sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))
                found += [f"[{table}.{key}]" for key in changed if key not in FREE[table]]
            elif was != now:
                found.append(f"[{table}]")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return [f"{SETTINGS} (unreadable)"]
    return [f"{SETTINGS} {part}" for part in dict.fromkeys(found)]


def lock(old: Side, new: Side) -> list[str]:
    """Return what of uv.lock differs and is not the model's own.

    That is: a package that the groups of the factory or of development name; all that the service installs; a package
    of the same version with other files; one from a place that no package came from; a setting.
    """
    try:
        before, after = (tomllib.loads(side.lock or "") for side in (old, new))
        groups = [tomllib.loads(side.settings or "").get("dependency-groups", {}) for side in (old, new)]
        was, now = (_packages(table) for table in (before, after))
        named = {_name(pin) for table in groups for group in OWNED for pin in _pins(table, group)}
        served = _installed(_pins(groups[0], SERVE), was) | _installed(_pins(groups[1], SERVE), now)
        places = [entry["source"] for entry in was.values()]
        keys = sorted((before.keys() | after.keys()) - FREE_LOCK)
        found = [f"[{key}]" for key in keys if before.get(key) != after.get(key)]
        for key in sorted(was.keys() | now.keys()):
            one, other = was.get(key, {}), now.get(key, {})
            if one == other or (other or one)["source"] in OURS:
                continue
            if key[0] in served:
                found.append(f"{key[0]}{OWNED[SERVE]}")
            elif key[0] in named:
                found.append(key[0])
            elif one and other and any(one.get(files) != other.get(files) for files in ("source", "sdist", "wheels")):
                found.append(f"{key[0]} (the same version, other files)")
            elif was and other and other["source"] not in places:
                found.append(f"{key[0]} (from another place than all packages before)")
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return [f"{LOCK} (unreadable)"]
    return [f"{LOCK} {part}" for part in dict.fromkeys(found)]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else None


def _pins(groups: Table, name: str) -> list[str]:
    """Return the requirements of a dependency group, those of the groups that it includes too."""
    found: list[str] = []
    waiting, seen = [name], set()
    while waiting:
        group = waiting.pop()
        if group not in seen:
            seen.add(group)
            for entry in groups.get(group, []):
                waiting += [entry["include-group"]] if isinstance(entry, dict) else []
                found += [entry] if isinstance(entry, str) else []
    return sorted(found)


def _name(pin: str) -> str:
    """Return the package of a requirement, by its normalised name."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", pin.strip(), maxsplit=1)[0]).lower()


def _packages(table: Table) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the entries of a uv.lock by name and version.

    Raises:
        ValueError: two entries have the same, so that one of them would hide.
    """
    entries: list[dict[str, Any]] = table.get("package", [])
    found = {(str(entry["name"]), str(entry.get("version", ""))): entry for entry in entries}
    if len(found) != len(entries):
        raise ValueError("two entries of one package and version")
    return found


def _installed(pins: Iterable[str], entries: Mapping[tuple[str, str], Table]) -> set[str]:
    """Return the names of all packages that these requirements install, extras and markers left aside."""
    needs: dict[str, set[str]] = {}
    for (name, _), entry in entries.items():
        extras = [one for group in entry.get("optional-dependencies", {}).values() for one in group]
        needs.setdefault(name, set()).update(one["name"] for one in [*entry.get("dependencies", []), *extras])
    found: set[str] = set()
    waiting = [_name(pin) for pin in pins]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += needs.get(name, set())
    return found

"""Let the champion score the challenger's rows: its own code and model, checked out beside the working tree."""

import os
import shlex
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from gitops import store
from gitops.git import git, show
from gitops.project import Project, locked
from gitops.shell import attempt, dvc, run, say


class Unpaired(Exception):
    """The champion can't be measured on the challenger's rows; the text says why."""


def score(project: Project, base: str, challenger: pd.DataFrame) -> pd.DataFrame | None:
    """Return the champion's predictions on the challenger's held-out rows; None where `base` holds no model.

    Raises:
        Unpaired: its model is gone, or its code does not take these rows.
    """
    if project.model not in locked(show(base, "dvc.lock")):
        return None
    say("› the champion scores the same rows")
    with TemporaryDirectory() as folder, _worktree(base, Path(folder, "champion")) as tree:
        if attempt(*dvc("pull", project.model), cwd=tree).returncode:
            raise Unpaired("the champion's model is not in the data remote")
        answer = Path(folder, "champion.parquet")
        settings = tomllib.loads((tree / "pyproject.toml").read_text())["tool"]["gitops"]
        names = {"rows": Path(project.rows).resolve(), "predictions": answer}
        words = [word.format_map(names) for word in shlex.split(settings["score"])]
        done = attempt(*_python(tree), *words[1:], cwd=tree, env=_environment(tree))
        if done.returncode:
            said = (done.stderr.strip() or "no message").splitlines()[-1]
            raise Unpaired(f"the champion can't score these rows ({said})")
        champion = pd.read_parquet(answer)
    if not champion[["id", "truth"]].equals(challenger[["id", "truth"]]):
        raise Unpaired("the champion reads the held-out rows' ids or targets in another way")
    return champion


@contextmanager
def _worktree(commit: str, path: Path) -> Iterator[Path]:
    """Check a commit out, with this clone's DVC cache and data remote."""
    git("worktree", "add", "--quiet", "--detach", str(path), commit)
    try:
        local = f"[cache]\n    dir = {Path('.dvc/cache').resolve()}\n"
        if store.is_git():
            local += f"['remote \"store\"']\n    url = {store.MOUNT.resolve()}\n"
        (path / ".dvc/config.local").write_text(local)
        yield path
    finally:
        run("git", "worktree", "remove", "--force", str(path))


def _python(tree: Path) -> tuple[str, ...]:
    """Return the champion's interpreter: this one when both locked environments are the same, else one of its own."""
    locks = [path.read_text() if path.exists() else None for path in (Path("uv.lock"), tree / "uv.lock")]
    if locks[0] == locks[1]:
        return (sys.executable,)
    say("› building the champion's environment: uv.lock differs")
    return ("uv", "run", "--quiet", "--locked", "--project", str(tree), "python")


def _environment(tree: Path) -> dict[str, str]:
    """The champion's package goes ahead of ours; its environment is not ours."""
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return kept | {"PYTHONPATH": str(tree / "src")}

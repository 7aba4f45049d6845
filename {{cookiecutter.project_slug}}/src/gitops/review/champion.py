"""Let the champion score the challenger's rows: its own code and model, checked out beside the working tree."""

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
from gitops.review import scoring
from gitops.shell import attempt, dvc, run, say


class Unpaired(Exception):
    """The champion can't be measured on the challenger's rows; the text says why."""


@contextmanager
def checkout(base: str, wanted: list[str]) -> Iterator[Path]:
    """Check `base` out, with this clone's DVC cache and data remote, and bring what the remote has of `wanted`."""
    with TemporaryDirectory() as folder:
        tree = Path(folder, "champion")
        git("worktree", "add", "--quiet", "--detach", str(tree), base)
        try:
            local = f"[cache]\n    dir = {Path('.dvc/cache').resolve()}\n"
            if store.is_git():
                local += f"['remote \"store\"']\n    url = {store.MOUNT.resolve()}\n"
            (tree / ".dvc/config.local").write_text(local)
            known = locked(show(base, "dvc.lock"))
            far = [path for path in wanted if not store.copy(known.get(path, ""), tree / path)]
            if far:
                attempt(*dvc("pull", *far), cwd=tree)  # what does not come is looked for by those who need it
            yield tree
        finally:
            run("git", "worktree", "remove", "--force", str(tree))


def score(project: Project, tree: Path, challenger: pd.DataFrame) -> scoring.Scored:
    """Let the champion score the challenger's held-out rows.

    Raises:
        Unpaired: its model is gone, or its code does not take these rows.
    """
    say("› the champion scores the same rows")
    if not (tree / project.model).exists():
        raise Unpaired("the champion's model is not in the data remote")
    command = tomllib.loads((tree / "pyproject.toml").read_text())["tool"]["gitops"]["score"]
    try:
        champion = scoring.score(command, Path(project.rows), tree, _python(tree))
    except scoring.Unscored as unscored:
        raise Unpaired(f"the champion can't score these rows ({unscored})") from None
    if not champion.predictions[["id", "truth"]].equals(challenger[["id", "truth"]]):
        raise Unpaired("the champion reads the held-out rows' ids or targets in another way")
    return champion


def _python(tree: Path) -> tuple[str, ...]:
    """Return the champion's interpreter: this one when both locked environments are the same, else one of its own."""
    locks = [path.read_text() if path.exists() else None for path in (Path("uv.lock"), tree / "uv.lock")]
    if locks[0] == locks[1]:
        return (sys.executable,)
    say("› building the champion's environment: uv.lock differs")
    return ("uv", "run", "--quiet", "--locked", "--project", str(tree), "python")

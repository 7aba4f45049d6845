"""Let the champion score the challenger's rows: its own code and model, checked out beside the working tree."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from gitops import store
from gitops.git import git
from gitops.project import Project
from gitops.review import scoring
from gitops.review.state import CommitState
from gitops.shell import attempt, dvc, run, say


class Unpaired(Exception):
    """The champion can't be measured on the challenger's rows; the text says why."""


@contextmanager
def checkout(champion: CommitState, project: Project, *, data: bool) -> Iterator[Path]:
    """Check the champion out, with this clone's DVC cache and data remote.

    What can be had of its model and predictions, and of its data where that is asked for, is brought there.
    """
    known = {path: champion.outputs.get(path, "") for path in (project.model, project.predictions)}
    if data and champion.data:
        known[project.data] = champion.data.md5
    with TemporaryDirectory() as folder:
        tree = Path(folder, "champion")
        git("worktree", "add", "--quiet", "--detach", str(tree), champion.revision)
        try:
            local = f"[cache]\n    dir = {Path('.dvc/cache').resolve()}\n"
            if store.is_git():
                local += f"['remote \"store\"']\n    url = {store.MOUNT.resolve()}\n"
            (tree / ".dvc/config.local").write_text(local)
            absent = [path for path, digest in known.items() if not store.copy(digest, tree / path)]
            if absent:
                attempt(*dvc("pull", *absent), cwd=tree)  # what does not come is looked for by those who need it
            yield tree
        finally:
            run("git", "worktree", "remove", "--force", str(tree))


def score_rows(champion: CommitState, project: Project, tree: Path, challenger: pd.DataFrame) -> scoring.Scored:
    """Let the champion, checked out in `tree`, score the challenger's held-out rows.

    Args:
        champion: whose command does it.
        project: the challenger's.
        tree: the champion's checkout.
        challenger: its predictions: `id`, `truth`, `score`.

    Raises:
        Unpaired: its model is gone, or its code does not take these rows.
    """
    say("› the champion scores the same rows")
    if not (tree / project.model).exists():
        raise Unpaired("the champion's model is not in the data remote")
    try:
        scored = scoring.score(champion.score_command, Path(project.rows), tree, _python(tree))
    except scoring.ScoringFailed as failed:
        raise Unpaired(f"the champion can't score these rows ({failed})") from None
    if not scored.predictions[["id", "truth"]].equals(challenger[["id", "truth"]]):
        raise Unpaired("the champion reads the held-out rows' ids or targets in another way")
    return scored


def _python(tree: Path) -> tuple[str, ...]:
    """Return the champion's interpreter: this one when both locked environments are the same, else one of its own.

    Raises:
        Unpaired: its environment can't be made.
    """
    locks = [path.read_text() if path.exists() else None for path in (Path("uv.lock"), tree / "uv.lock")]
    if locks[0] == locks[1]:
        return (sys.executable,)
    say("› building the champion's environment: uv.lock differs")
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = attempt("uv", "sync", "--quiet", "--locked", "--project", str(tree), env=environment)
    if done.returncode:
        raise Unpaired(
            f"the champion's environment can't be made ({(done.stderr.strip() or 'no message').splitlines()[-1]})"
        )
    return (str(tree / ".venv/bin/python"),)

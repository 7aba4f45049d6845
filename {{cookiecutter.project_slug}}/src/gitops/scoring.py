"""Run a project's own `score` command: the one way in which a model meets rows here."""

import os
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from gitops.shell import attempt


class Unscored(Exception):
    """The command failed; the text is the last line of what it said."""


def score(command: str, rows: Path, tree: Path, python: tuple[str, ...]) -> pd.DataFrame:
    """Return the predictions (`id`, `truth`, `score`) of the model in `tree` for a Parquet file of rows.

    Args:
        command: `[tool.gitops] score`, with the places `{rows}` and `{predictions}`; its first word is `python`.
        rows: what to score.
        tree: the checkout whose code and model do it.
        python: the interpreter, in words, that has that checkout's dependencies.

    Raises:
        Unscored: its code does not take these rows, or leaves no predictions.
    """
    # The tree's package goes ahead of ours; its environment is not ours.
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    env["PYTHONPATH"] = str(tree.resolve() / "src")
    with TemporaryDirectory() as folder:
        answer = Path(folder, "predictions.parquet")
        words = [word.format_map({"rows": rows.resolve(), "predictions": answer}) for word in shlex.split(command)]
        done = attempt(*python, *words[1:], cwd=tree, env=env)
        if done.returncode:
            raise Unscored((done.stderr.strip() or "no message").splitlines()[-1])
        try:
            return pd.read_parquet(answer)[["id", "truth", "score"]]
        except (OSError, ValueError, KeyError):
            raise Unscored("it left no table with id, truth and score") from None

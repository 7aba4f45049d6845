"""Run a project's own `score` command: the one way in which a model meets rows here."""

import json
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from gitops.shell import attempt, without_secrets


class ScoringFailed(Exception):
    """The command failed; the message is the last line of what it printed."""


@dataclass(frozen=True)
class Scored:
    """What a model said of some rows, and how long it takes.

    Attributes:
        predictions: columns `id`, `truth` and `score`, [rows].
        p95_ms: the 95th percentile of one prediction, in milliseconds; None where the model did not tell.
    """

    predictions: pd.DataFrame
    p95_ms: float | None


def score(command: str, rows: Path, tree: Path, python: tuple[str, ...]) -> Scored:
    """Let the model in `tree` score a Parquet file of rows.

    Args:
        command: `[tool.gitops] score`, with the places `{rows}`, `{predictions}` and, where it can, `{timing}` (a JSON
            file with `p95_ms`); its first word is `python`.
        rows: what to score.
        tree: the checkout whose code and model do it.
        python: the interpreter, in words, that has that checkout's dependencies.

    Raises:
        ScoringFailed: its code does not take these rows, or leaves no predictions.
    """
    # The tree's package goes ahead of ours; its environment is not ours.
    env = without_secrets()
    env.pop("VIRTUAL_ENV", None)
    env["PYTHONPATH"] = str(tree.resolve() / "src")
    with TemporaryDirectory() as folder:
        answer, timing = Path(folder, "predictions.parquet"), Path(folder, "timing.json")
        places = {"rows": rows.resolve(), "predictions": answer, "timing": timing}
        words = [word.format_map(places) for word in shlex.split(command)]
        done = attempt(*python, *words[1:], cwd=tree, env=env)
        if done.returncode:
            raise ScoringFailed((done.stderr.strip() or "no message").splitlines()[-1])
        try:
            return Scored(pd.read_parquet(answer)[["id", "truth", "score"]], _p95(timing))
        except (OSError, ValueError, KeyError):
            raise ScoringFailed("it left no table with id, truth and score") from None


def _p95(timing: Path) -> float | None:
    """Return what the model says of its time for one prediction, if that makes sense."""
    try:
        milliseconds = float(json.loads(timing.read_text())["p95_ms"])
        return milliseconds if math.isfinite(milliseconds) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None

"""What the author's files say against what is measured here: a number that was typed in convinces nobody."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gitops.gates import HoldoutGates
from gitops.project import Project
from gitops.review.record import MetricRow
from gitops.review.state import CommitState

SCORE = 1e-6  # by which a score may differ from one machine to the next
METRIC = 1e-4  # the same for a metric, of its size


def contradictions(project: Project, state: CommitState, scored: pd.DataFrame, rows: Sequence[MetricRow]) -> list[str]:
    """Return, one sentence each, what the author's files claim and the model itself does not bear out.

    Args:
        project: where the author's predictions are.
        state: the working tree's, with the author's metrics file.
        scored: what the model says of the held-out rows, in their order: `id`, `truth`, `score`.
        rows: the judged metrics, measured on `scored`.
    """
    found = _predictions(Path(project.predictions), scored)
    if state.metrics is None:
        return [*found, f"{project.metrics} is gone: `uv run dvc repro` writes it"]
    claimed = state.recorded_metrics
    if claimed is None:
        return [*found, f"{project.metrics} is not a small JSON object of numbers: `uv run dvc repro` writes it"]
    for row in rows:
        if row.challenger is None:
            continue
        claim = claimed.get(row.name, row.challenger)
        if not math.isclose(claim, row.challenger, rel_tol=METRIC, abs_tol=1e-9):
            found.append(f"{project.metrics} says {row.name} {claim:g} and the held-out rows say {row.challenger:g}")
    return found


def _predictions(path: Path, scored: pd.DataFrame) -> list[str]:
    """Compare the author's predictions with the model's own."""
    try:
        given = pd.read_parquet(path)[["id", "truth", "score"]]
        if missing := _missing(scored["id"], given["id"]):
            return [f"{path} lacks {missing:,} of the {len(scored):,} rows that are held out"]
        if len(given) != len(scored):
            return [f"{path} has {len(given):,} rows and the held-out rows are {len(scored):,}"]
        same = (given["id"].to_numpy() == scored["id"].to_numpy()) & _same(given["truth"], scored["truth"])
        same &= _same(given["score"], scored["score"])
    except (OSError, ValueError, KeyError, TypeError):
        return [f"{path} is not a table of id, truth and score"]
    return [] if same.all() else [f"{path} was not made by this model: {(~same).sum():,} of its rows differ"]


def dropped(predictions: Path, challenger: pd.DataFrame, gates: HoldoutGates) -> tuple[str, ...]:
    """Return a sentence where rows that the champion held out do not judge the challenger: it may have trained on them.

    Args:
        predictions: the champion's, of the rows that it held out.
        challenger: its predictions of the rows that judge it, with their `id`.
        gates: which share of the champion's may be missing.
    """
    if not predictions.exists():
        return ()
    held_out = pd.read_parquet(predictions)["id"]
    missing = _missing(held_out, challenger["id"])
    if missing <= gates.dropped * len(held_out):
        return ()
    words = f"{missing:,} of the {len(held_out):,} rows that the champion held out do not judge this model"
    return (f"{words}: bring them back, or raise holdout.dropped in gates.yaml",)


def _missing(wanted: "pd.Series[Any]", given: "pd.Series[Any]") -> int:
    """Return how many of the ids are not among the given ones; one that is wanted twice must be there twice."""
    return (Counter(wanted) - Counter(given)).total()


def _same(given: "pd.Series[Any]", scored: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Compare, row by row, numbers within `SCORE`, and names of classes exactly."""
    if pd.api.types.is_numeric_dtype(scored):
        close = np.isclose(given.to_numpy(float), scored.to_numpy(float), rtol=0, atol=SCORE, equal_nan=True)
    else:
        close = given.astype(object).to_numpy() == scored.astype(object).to_numpy()
    return np.asarray(close, dtype=bool)

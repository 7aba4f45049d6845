"""What the author's files say against what is measured here: a number that was typed in convinces nobody."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SIZE_LIMIT = 2**20  # characters of a metrics.json; more is not a handful of numbers
SCORE = 1e-6  # by which a score may differ from one machine to the next
METRIC = 1e-4  # the same for a metric, of its size


def doubts(predictions: Path, metrics: Path, scored: pd.DataFrame, rows: list[dict[str, Any]]) -> list[str]:
    """Return, one sentence each, what the committed files claim and the model itself does not bear out.

    Args:
        predictions: the author's predictions.
        metrics: the author's metrics.json.
        scored: what the model says of the held-out rows, in their order.
        rows: the judged metrics (`name`, `challenger`), measured on `scored`.
    """
    found = _predictions(predictions, scored)
    if not metrics.exists():
        return [*found, f"{metrics} is gone: `uv run dvc repro` writes it"]
    claimed = numbers(metrics.read_text(errors="replace"))
    if claimed is None:
        return [*found, f"{metrics} is not a small JSON object of numbers: `uv run dvc repro` writes it"]
    for row in rows:
        name, value = row["name"], row["challenger"]
        claim = claimed.get(name, value)
        if not math.isclose(claim, value, rel_tol=METRIC, abs_tol=1e-9) and math.isfinite(value):
            found.append(f"{metrics} says {name} {claim:g} and the held-out rows say {value:g}")
    return found


def numbers(text: str | None) -> dict[str, float] | None:
    """Return the numbers of a metrics.json; NaN for a value that is none, None for a file that is something else."""
    try:
        content = json.loads(text if text and len(text) <= SIZE_LIMIT else "")
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


def _predictions(path: Path, scored: pd.DataFrame) -> list[str]:
    """Compare the author's predictions with the model's own."""
    try:
        given = pd.read_parquet(path)[["id", "truth", "score"]]
        if len(given) != len(scored):
            return [f"{path} has {len(given):,} rows and the held-out rows are {len(scored):,}"]
        same = (given["id"].to_numpy() == scored["id"].to_numpy()) & _same(given["truth"], scored["truth"])
        same &= _same(given["score"], scored["score"])
    except (OSError, ValueError, KeyError, TypeError):
        return [f"{path} is not a table of id, truth and score"]
    return [] if same.all() else [f"{path} was not made by this model: {(~same).sum():,} of its rows differ"]


def _same(given: "pd.Series[Any]", scored: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Compare, row by row, numbers within `SCORE`, and names of classes exactly."""
    if pd.api.types.is_numeric_dtype(scored):
        close = np.isclose(given.to_numpy(float), scored.to_numpy(float), rtol=0, atol=SCORE, equal_nan=True)
    else:
        close = given.astype(object).to_numpy() == scored.astype(object).to_numpy()
    return np.asarray(close, dtype=bool)

"""How good one model is on its held-out rows: each metric with its interval, each segment, each kind of decision."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gitops.gates import Gates
from gitops.project import Project, locked, md5
from gitops.review import judge
from gitops.review.bootstrap import PairedComparison, compare, paired
from gitops.review.compare import with_segments
from gitops.review.metrics import Vector, Weights, find
from gitops.review.record import Comparison
from gitops.shell import CommandError

WITHIN = (0.5, 0.9)  # shares of the rows whose error a lay reader is told


def table(project: Project, gates: Gates) -> pd.DataFrame:
    """Return `id`, `truth`, `score` and the segment columns of the held-out rows, in their order.

    Raises:
        CommandError: a file is not here, or is not the one that dvc.lock names.
    """
    known = locked(Path("dvc.lock").read_text() if Path("dvc.lock").exists() else None)
    for name in (project.rows, project.predictions, project.metrics, project.description):
        if not Path(name).exists() or md5(Path(name)) != known.get(name):
            raise CommandError(f"{name} is not the one that dvc.lock names: `uv run gitops store pull` brings it")
    return with_segments(project, pd.read_parquet(project.predictions), gates.segments.columns)


def measure(rows: pd.DataFrame, gates: Gates) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Measure each gated metric, and the segments' metric in each segment, weakest first.

    Returns:
        two lists of rows with `name`, `value`, `low` and `high` (95 %, None where undefined), `rows`, and `floor` of a
        metric or `judged` of a segment: whether it has the rows that gates.yaml asks for.

    Method: percentile bootstrap as in `gitops.review.bootstrap`, with zero in the place of a champion.
    """
    task, (truth, score) = judge.numbers(rows["truth"], rows["score"])
    everything, by = np.arange(len(rows)), gates.segments.metric
    whole = [_alone(paired(find(name, task), everything, truth, score, None)) for name in gates.metrics]
    groups = judge.split(rows.set_index("id"), gates.segments.columns, min_rows=1)
    parts = [_alone(paired(find(by, task), one, truth, score, None)) for one in groups.values()]
    measured = compare([*whole, *parts], truth, stratified=task != "number")
    metrics = [
        _row(name, found) | {"floor": gate.floor}
        for (name, gate), found in zip(gates.metrics.items(), measured, strict=False)
    ]
    return metrics, _weakest_first(dict(zip(groups, measured[len(metrics) :], strict=True)), gates.segments.min_rows)


def _weakest_first(segments: dict[str, Comparison], min_rows: int) -> list[dict[str, Any]]:
    rows = [_row(name, found) for name, found in segments.items()]
    for row in rows:
        row["judged"] = row["rows"] >= min_rows and row["value"] is not None
        row["strength"] = math.inf if row["value"] is None else row["value"] * (1 if row["more_is_better"] else -1)
    return sorted(rows, key=lambda row: float(row.pop("strength")))


def _alone(one: PairedComparison) -> PairedComparison:
    return replace(one, champion=_zero)


def _zero(weights: Weights) -> Vector:
    return np.zeros(len(weights))


def _row(name: str, found: Comparison) -> dict[str, Any]:
    sign, ends = (1 if found.more_is_better else -1), found.interval
    low, high = sorted((sign * ends.low, sign * ends.high)) if ends else (None, None)
    facts = {"name": name, "rows": found.rows, "more_is_better": found.more_is_better}
    return facts | {"value": found.challenger, "low": low, "high": high}


def decisions(truth: Vector, score: Vector, threshold: float) -> dict[str, int]:
    """Count a classifier's decisions from `threshold` on: `named` rows, `happened` rows, and those in `both`."""
    named, happened = score >= threshold, truth > 0
    return {"named": int(named.sum()), "happened": int(happened.sum()), "both": int((named & happened).sum())}


def errors(truth: Vector, score: Vector) -> list[float]:
    """Return the error that half, and nine of ten, of the predictions keep within."""
    return [float(value) for value in np.quantile(np.abs(truth - score), WITHIN)]

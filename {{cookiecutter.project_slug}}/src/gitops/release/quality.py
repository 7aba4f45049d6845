"""How good one model is on its held-out rows: each metric with its interval, each segment, each kind of decision."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gitops import gates
from gitops.gates import Gates
from gitops.project import Project, locked, md5
from gitops.review import judge
from gitops.review.bootstrap import Contest, contest, measured, resample
from gitops.review.compare import with_segments
from gitops.review.metrics import Vector, Weights, find
from gitops.shell import Stop

WITHIN = (0.5, 0.9)  # shares of the rows whose error a lay reader is told


def table(project: Project, raw: dict[str, Any]) -> pd.DataFrame:
    """Return `id`, `truth`, `score` and the segment columns of the held-out rows, in their order.

    Raises:
        Stop: a file is not here, or is not the one that dvc.lock names.
    """
    known = locked(Path("dvc.lock").read_text() if Path("dvc.lock").exists() else None)
    for name in (project.rows, project.predictions, project.metrics, project.description):
        if not Path(name).exists() or md5(Path(name)) != known.get(name):
            raise Stop(f"{name} is not the one that dvc.lock names: `uv run dvc pull` or `uv run dvc repro` brings it")
    return with_segments(project, pd.read_parquet(project.predictions), raw)


def measure(rows: pd.DataFrame, raw: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Measure each gated metric, and the segments' metric in each segment, weakest first.

    Returns:
        two lists of rows with `name`, `value`, `low` and `high` (95 %, None where undefined), `rows`, and `floor` of a
        metric or `judged` of a segment: whether it has the rows that gates.yaml asks for.

    Method: percentile bootstrap as in `gitops.review.bootstrap`, with zero in the place of a champion.
    """
    checked = gates.check(raw)
    task, (truth, score) = judge.numbers(rows["truth"], rows["score"])
    everything, by = np.arange(len(rows)), checked.segments["metric"]
    whole = {name: _alone(contest(find(name, task), everything, truth, score, None)) for name in checked.metrics}
    groups = judge.split(checked.segments | {"min_rows": 1}, rows.set_index("id"))
    parts = {name: _alone(contest(find(by, task), one, truth, score, None)) for name, one in groups.items()}
    resample([*whole.values(), *parts.values()], truth, stratified=task != "number")
    metrics = [_row(name, found) | {"floor": checked.metrics[name]["floor"]} for name, found in whole.items()]
    return metrics, _weakest_first(parts, checked)


def _weakest_first(parts: dict[str, Contest], checked: Gates) -> list[dict[str, Any]]:
    rows = [_row(name, found) for name, found in parts.items()]
    for row in rows:
        row["judged"] = row["rows"] >= checked.segments["min_rows"] and row["value"] is not None
        row["strength"] = math.inf if row["value"] is None else row["value"] * (1 if row["more_is_better"] else -1)
    return sorted(rows, key=lambda row: float(row.pop("strength")))


def _alone(one: Contest) -> Contest:
    return replace(one, old=_zero)


def _zero(weights: Weights) -> Vector:
    return np.zeros(len(weights))


def _row(name: str, one: Contest) -> dict[str, Any]:
    found = measured(one)
    ends = [one.metric.sign * found.get(end, math.nan) for end in ("low", "high")]
    numbers = {"value": found["challenger"], "low": min(ends), "high": max(ends)}
    return judge.finite({"name": name, "rows": found["rows"], "more_is_better": found["more_is_better"]} | numbers)


def decisions(truth: Vector, score: Vector, threshold: float) -> dict[str, int]:
    """Count a classifier's decisions from `threshold` on: `named` rows, `happened` rows, and those in `both`."""
    named, happened = score >= threshold, truth > 0
    return {"named": int(named.sum()), "happened": int(happened.sum()), "both": int((named & happened).sum())}


def errors(truth: Vector, score: Vector) -> list[float]:
    """Return the error that half, and nine of ten, of the predictions keep within."""
    return [float(value) for value in np.quantile(np.abs(truth - score), WITHIN)]

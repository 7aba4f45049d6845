"""The few pictures of a review, as numbers: what is drawn from them is the report's business."""

from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from gitops.review.metrics import Vector

GRID = 21  # points of a curve
BINS = 10


def charts(champion: pd.DataFrame | None, challenger: pd.DataFrame) -> list[dict[str, Any]]:
    """Return charts, each with `title`, `x` and `y` (name, from, to) and at most two `series` (name -> values).

    A classifier has its ROC curve, its calibration and the distribution of its scores; a regression how its error and
    its calibration run over its predictions; with named classes, how many of each are found. Scores that are not
    numbers give no other chart.
    """
    tables = {"champion": champion, "challenger": challenger}
    if not is_numeric_dtype(challenger["truth"]):
        found = {name: _found(table) for name, table in tables.items() if table is not None}
        size = len(found["challenger"])
        return [
            _chart(
                "Right answers by class", ("class, by name", 1, size), ("share of the class that is found", 0, 1), found
            )
        ]
    models = {
        name: tuple(table[column].to_numpy(float) for column in ("truth", "score"))
        for name, table in tables.items()
        if table is not None and len(table) >= BINS and np.isfinite(table[["truth", "score"]].to_numpy(float)).all()
    }
    if "challenger" not in models:
        return []
    truth, score = models["challenger"]
    if set(np.unique(truth)) == {0.0, 1.0}:
        curves = {name: roc(*model) for name, model in models.items()}
        return [
            _chart("ROC curve", ("false positive rate", 0, 1), ("true positive rate", 0, 1), curves),
            _chart(
                "Calibration of the challenger",
                ("tenth of the rows, by rising score", 1, BINS),
                ("share of positives", 0, 1),
                calibration(truth, score),
            ),
            _distribution(truth, score),
        ]
    errors = {name: _errors(*model) for name, model in models.items()}
    top = max(max(values) for values in errors.values())
    tenths = ("tenth of the rows, by rising score", 1, BINS)
    return [
        _chart("Mean absolute error", tenths, ("error", 0, top), errors),
        _chart("Calibration of the challenger", tenths, ("mean", *_range(truth)), calibration(truth, score)),
    ]


def _found(table: pd.DataFrame) -> list[float]:
    """Return the recall of each class, by name."""
    right = table["truth"] == table["score"]
    return _round(right.groupby(table["truth"].astype(str)).mean().to_list())


def roc(truth: Vector, score: Vector) -> list[float]:
    """Return the true positive rate at `GRID` false positive rates from 0 to 1."""
    order = np.argsort(-score, kind="stable")
    positive = truth[order] > 0
    last = np.append(np.diff(score[order]) != 0, True)
    hits = np.append(0, np.cumsum(positive)[last] / positive.sum())
    alarms = np.append(0, np.cumsum(~positive)[last] / (~positive).sum())
    return _round(np.interp(np.linspace(0, 1, GRID), alarms, hits))


def calibration(truth: Vector, score: Vector) -> dict[str, list[float]]:
    """Return, for tenths of the rows by rising score, the mean score and the mean truth."""
    groups = np.array_split(np.argsort(score, kind="stable"), BINS)
    return {
        "predicted": _round([score[group].mean() for group in groups]),
        "observed": _round([truth[group].mean() for group in groups]),
    }


def _distribution(truth: Vector, score: Vector) -> dict[str, Any]:
    edges = np.linspace(0, 1, 2 * BINS + 1)
    shares = {
        name: _round(np.histogram(score[rows], edges)[0] / max(1, rows.sum()))
        for name, rows in (("negatives", truth == 0), ("positives", truth == 1))
    }
    top = max(max(values) for values in shares.values())
    return _chart("Scores of the challenger", ("score", 0, 1), ("share of the class", 0, top), shares)


def _errors(truth: Vector, score: Vector) -> list[float]:
    groups = np.array_split(np.argsort(score, kind="stable"), BINS)
    return _round([np.abs(truth[group] - score[group]).mean() for group in groups])


def _range(values: Vector) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return low, high if high > low else low + 1


def _round(values: Any) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _chart(
    title: str, x: tuple[str, float, float], y: tuple[str, float, float], series: dict[str, list[float]]
) -> dict[str, Any]:
    return {"title": title, "x": list(x), "y": [y[0], y[1], y[2] or 1], "series": series}

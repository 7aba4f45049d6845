"""The few pictures of a review, as numbers: what is drawn from them is the report's business."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from gitops.document import Axis, Chart, Series
from gitops.review.metrics import Vector

GRID = 21  # points of a curve
BINS = 10


def model_charts(champion: pd.DataFrame | None, challenger: pd.DataFrame) -> list[Chart]:
    """Return the charts of a classifier, a regression or a model of named classes; None where there is no champion.

    A classifier has its ROC curve, its calibration and the distribution of its scores; a regression how its error and
    its calibration run over its predictions; with named classes, how many of each are found. Scores that are not
    numbers, or too few rows, give no other chart.

    Args:
        champion: columns `truth` and `score`, one row per held-out row.
        challenger: the same.
    """
    tables = {"champion": champion, "challenger": challenger}
    if not is_numeric_dtype(challenger["truth"]):
        found = {name: _recall(table) for name, table in tables.items() if table is not None}
        classes = Axis("class, by name", 1, len(found["challenger"]))
        return _finite(
            [_chart("Right answers by class", classes, Axis("share of the class that is found", 0, 1), found)]
        )
    models = {
        name: (table["truth"].to_numpy(float), table["score"].to_numpy(float))
        for name, table in tables.items()
        if table is not None and len(table) >= BINS and np.isfinite(table[["truth", "score"]].to_numpy(float)).all()
    }
    if "challenger" not in models:
        return []
    binary = set(np.unique(models["challenger"][0])) == {0.0, 1.0}
    return _finite(_classifier(models) if binary else _regression(models))


Models = Mapping[str, tuple[Vector, Vector]]  # champion and challenger -> truth and score, [rows] each
TENTHS = Axis("tenth of the rows, by rising score", 1, BINS)


def _classifier(models: Models) -> list[Chart]:
    curves = {name: roc(*model) for name, model in models.items()}
    rates = Axis("false positive rate", 0, 1), Axis("true positive rate", 0, 1)
    calibrated = calibration(*models["challenger"])
    return [
        _chart("ROC curve", *rates, curves),
        _chart("Calibration of the challenger", TENTHS, Axis("share of positives", 0, 1), calibrated),
        _distribution(*models["challenger"]),
    ]


def _regression(models: Models) -> list[Chart]:
    errors = {name: _errors(*model) for name, model in models.items()}
    truth, score = models["challenger"]
    highest = max(max(values) for values in errors.values())
    return [
        _chart("Mean absolute error", TENTHS, Axis("error", 0, highest or 1), errors),
        _chart("Calibration of the challenger", TENTHS, Axis("mean", *_range(truth)), calibration(truth, score)),
    ]


def _finite(charts: list[Chart]) -> list[Chart]:
    """Leave out a chart that numbers near the largest that there are have made infinite."""
    return [
        chart
        for chart in charts
        if np.isfinite([chart.y.low, chart.y.high, *(value for line in chart.series for value in line.values)]).all()
    ]


def _recall(table: pd.DataFrame) -> list[float]:
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


def _distribution(truth: Vector, score: Vector) -> Chart:
    edges = np.linspace(0, 1, 2 * BINS + 1)
    shares = {
        name: _round(np.histogram(score[rows], edges)[0] / max(1, rows.sum()))
        for name, rows in (("negatives", truth == 0), ("positives", truth == 1))
    }
    highest = max(max(values) for values in shares.values())
    return _chart("Scores of the challenger", Axis("score", 0, 1), Axis("share of the class", 0, highest or 1), shares)


def _errors(truth: Vector, score: Vector) -> list[float]:
    """Return the mean absolute error in tenths of the rows by rising score, [BINS]."""
    groups = np.array_split(np.argsort(score, kind="stable"), BINS)
    return _round([np.abs(truth[group] - score[group]).mean() for group in groups])


def _range(values: Vector) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return low, high if high > low else low + 1


def _round(values: Any) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _chart(title: str, x: Axis, y: Axis, lines: Mapping[str, Sequence[float]]) -> Chart:
    return Chart(title, x, y, tuple(Series(name, tuple(values)) for name, values in lines.items()))

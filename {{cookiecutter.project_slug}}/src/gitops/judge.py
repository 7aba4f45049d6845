"""Champion against challenger: a pure function of two tables of predictions and the gates."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

from gitops.shell import Stop

RESAMPLES = 400
LEVEL = 0.95
SEED = 20

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]

# name -> (function of truth and score, whether more is better)
METRICS: dict[str, tuple[Callable[[Vector, Vector], float], bool]] = {
    "roc_auc": (metrics.roc_auc_score, True),
    "average_precision": (metrics.average_precision_score, True),
    "log_loss": (lambda truth, score: float(metrics.log_loss(truth, score, labels=[0, 1])), False),
    "brier": (metrics.brier_score_loss, False),
    "r2": (metrics.r2_score, True),
    "mae": (metrics.mean_absolute_error, False),
    "rmse": (metrics.root_mean_squared_error, False),
}


def judge(champion: pd.DataFrame | None, challenger: pd.DataFrame, gates: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge each metric that the gates name.

    Args:
        champion: columns `id`, `truth` and `score`, one row per held-out row; None where no champion scored these rows.
        challenger: the same columns and, when there is a champion, the same rows in any order.
        gates: metric name -> `floor` (the worst value allowed) and `tolerance` (how much worse than the
            champion is still fine).

    Returns:
        One dictionary a metric: `name`, `champion`, `challenger`, `difference` (positive is better), `low` and `high`
        (its 95 % interval from a stratified paired bootstrap, Efron & Tibshirani 1993, ch. 13), `floor`, `tolerance`,
        `verdict` (`better`, `no worse`, `undecided`, `worse`, `below floor`, `missing` or, with no champion, `meets the
        gate`) and `reason`.

    Raises:
        Stop: the two tables are not about the same rows, or the gates name a metric that we don't know.
    """
    if unknown := set(gates) - set(METRICS):
        raise Stop(f"gates.yaml names the metric {sorted(unknown)[0]!r}, which is none of {', '.join(METRICS)}")
    truth, new, old = _align(champion, challenger)
    draws = None if old is None else _draws(truth)
    return [_one(name, gate or {}, truth, new, old, draws) for name, gate in gates.items()]


def _align(champion: pd.DataFrame | None, challenger: pd.DataFrame) -> tuple[Vector, Vector, Vector | None]:
    """Bring both tables into one order: truth, the challenger's scores, the champion's scores."""
    if lacking := {"id", "truth", "score"} - set(challenger):
        raise Stop(f"the challenger's predictions have no column {sorted(lacking)[0]!r}")
    new = challenger.set_index("id").sort_index()
    truth, score = (new[column].to_numpy(float) for column in ("truth", "score"))
    if champion is None:
        return truth, score, None
    old = champion.set_index("id").sort_index()
    if not new.index.equals(old.index) or not np.array_equal(truth, old["truth"].to_numpy(float), equal_nan=True):
        raise Stop("the two models were not scored on the same rows, so their difference says nothing")
    return truth, score, old["score"].to_numpy(float)


def _draws(truth: Vector) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Draw row numbers with replacement; a class keeps its size, so that no draw lacks one."""
    random = np.random.default_rng(SEED)
    groups = (
        [np.flatnonzero(truth == value) for value in (0, 1)]
        if set(np.unique(truth)) <= {0, 1}
        else [np.arange(len(truth))]
    )
    return np.hstack([random.choice(group, (RESAMPLES, len(group))) for group in groups if len(group)])


def _measure(name: str, truth: Vector, score: Vector) -> float:
    """Return the metric, NaN where it is not defined (a score that is not a number, a single class)."""
    try:
        return float(METRICS[name][0](truth, score))
    except ValueError:
        return math.nan


def _one(
    name: str,
    gate: dict[str, float],
    truth: Vector,
    new: Vector,
    old: Vector | None,
    draws: np.ndarray[tuple[int, int], np.dtype[np.int64]] | None,
) -> dict[str, Any]:
    sign = 1 if METRICS[name][1] else -1
    row: dict[str, Any] = {"name": name, "challenger": _measure(name, truth, new), "more_is_better": sign > 0}
    row |= {"floor": gate.get("floor"), "tolerance": gate.get("tolerance", 0.0)}
    if old is not None and draws is not None:
        row["champion"] = _measure(name, truth, old)
        row["difference"] = sign * (row["challenger"] - row["champion"])
        if math.isfinite(row["difference"]):
            gains = [sign * (_measure(name, truth[i], new[i]) - _measure(name, truth[i], old[i])) for i in draws]
            row["low"], row["high"] = (float(x) for x in np.quantile(gains, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return row | decide(row)


def decide(row: dict[str, Any]) -> dict[str, str]:
    """Return the `verdict` and the `reason` of one measured metric."""
    name, value, floor, tolerance = row["name"], row["challenger"], row["floor"], row["tolerance"]
    sign = 1 if row["more_is_better"] else -1
    if value is None or not math.isfinite(value):
        return {
            "verdict": "missing",
            "reason": f"{name} has no value: scores must be numbers, of a classifier between 0 and 1",
        }
    if floor is not None and sign * (value - floor) < 0:
        side = "below its floor" if sign > 0 else "above its limit"
        return {
            "verdict": "below floor",
            "reason": f"{name} {value:.4f} is {side} {floor:g} by {abs(value - floor):.4f}",
        }
    loss = -row.get("difference", math.nan)
    if "low" not in row:
        if loss > tolerance:
            return {
                "verdict": "undecided",
                "reason": f"{name} is {loss:.4f} worse, but on other rows than the champion's",
            }
        return {"verdict": "meets the gate", "reason": ""}
    if loss > tolerance and row["high"] < 0:
        return {
            "verdict": "worse",
            "reason": f"{name} is {loss:.4f} worse than the champion (tolerance {tolerance:g}), beyond chance",
        }
    if loss > tolerance:
        return {
            "verdict": "undecided",
            "reason": f"{name} is {loss:.4f} worse than the champion, but chance could explain it",
        }
    return {"verdict": "better" if row["low"] > 0 else "no worse", "reason": ""}


BLOCKING = {"worse", "below floor", "missing"}

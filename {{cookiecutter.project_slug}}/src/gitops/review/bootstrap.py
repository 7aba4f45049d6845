"""Draw the held-out rows again and again, and measure both models on each draw: the paired bootstrap.

Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; stratified, so that no draw lacks a class.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gitops.review.metrics import Measure, Metric, Undefined, Vector, Weights

LEVEL = 0.95  # of the interval of a difference
POWER = 0.8  # share of reviews in which the smallest visible difference is seen
RESAMPLES = (200, 1000)  # at least and at most, within WORK
WORK = 2 * 10**8  # drawn rows of one review
CHUNK = 2 * 10**6  # drawn rows in memory at a time
SEED = 20


@dataclass(frozen=True)
class Contest:
    """One metric on one set of rows: both models' measures, and what the challenger gained in each resample."""

    metric: Metric
    rows: NDArray[np.intp]
    new: Measure | None
    old: Measure | None
    gains: list[Vector] = field(default_factory=list)

    def value(self, measure: Measure | None) -> float:
        """Return the metric on the rows as they are; NaN where it is not defined."""
        return math.nan if measure is None else float(measure(np.ones((1, len(self.rows))))[0])


def contest(metric: Metric, rows: NDArray[np.intp], truth: Vector, new: Vector, old: Vector | None) -> Contest:
    """Prepare a metric on some of the rows; a measure is None where the metric has no value or there is no model."""

    def measure(score: Vector | None) -> Measure | None:
        if score is None or not np.isfinite([truth[rows], score[rows]]).all():
            return None
        try:
            return metric.prepare(truth[rows], score[rows])
        except Undefined:
            return None

    return Contest(metric, rows, measure(new), measure(old))


def resample(contests: list[Contest], truth: Vector, *, stratified: bool) -> None:
    """Draw all rows again and again, and note what each contest gains; `stratified`: each class keeps its size."""
    random = np.random.default_rng(SEED)
    groups = [np.flatnonzero(truth == value) for value in np.unique(truth)] if stratified else [np.arange(len(truth))]
    total = int(np.clip(WORK // len(truth), *RESAMPLES))
    step = max(1, CHUNK // len(truth))
    for start in range(0, total, step):
        weights = _draw(random, groups, (min(step, total - start), len(truth)))
        for contest in contests:
            if contest.new and contest.old:
                drawn = weights if len(contest.rows) == len(truth) else weights[:, contest.rows]
                contest.gains.append(contest.metric.sign * (contest.new(drawn) - contest.old(drawn)))


def _draw(random: np.random.Generator, groups: list[NDArray[np.intp]], shape: tuple[int, int]) -> Weights:
    """Return how often each row is drawn, with replacement, in each resample."""
    weights = np.zeros(shape, np.uint8)  # small, so that picking rows stays in the cache; no row is drawn 256 times
    for group in groups:
        for row in weights:
            row[group] = (
                np.bincount(random.integers(0, len(group), len(group)), minlength=len(group)) if len(group) else 0
            )
    return weights


def measured(contest: Contest) -> dict[str, Any]:
    """Return both models' values and what the draws say of their difference.

    `difference` (positive is better), and where there is a champion `low` and `high` (95 % interval), `error` (standard
    error) and `visible` (the smallest difference that these rows show in 80 % of reviews).
    """
    row: dict[str, Any] = {"rows": len(contest.rows), "more_is_better": contest.metric.sign > 0}
    row |= {"challenger": contest.value(contest.new), "champion": contest.value(contest.old)}
    row["difference"] = contest.metric.sign * (row["challenger"] - row["champion"])
    gains = np.concatenate(contest.gains) if contest.gains else np.array([])
    gains = gains[np.isfinite(gains)]
    if len(gains) and math.isfinite(row["difference"]):
        row["low"], row["high"] = np.quantile(gains, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
        row["error"] = float(gains.std())
        row["visible"] = (NormalDist().inv_cdf((1 + LEVEL) / 2) + NormalDist().inv_cdf(POWER)) * row["error"]
    return row

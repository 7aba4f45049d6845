"""The paired bootstrap: draw the held-out rows with replacement, many times, and measure both models on each draw.

Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13 (percentile interval); stratified by
class, so that no draw lacks one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gitops.review.metrics import Measure, Metric, Undefined, Vector, Weights
from gitops.review.record import Comparison, Interval

CONFIDENCE = 0.95  # of the interval of a difference
POWER = 0.8  # share of reviews in which the minimum detectable effect is seen
RESAMPLES = (200, 1000)  # at least and at most, within WORK
WORK = 2 * 10**8  # drawn rows of one review
CHUNK = 2 * 10**6  # drawn rows in memory at a time
SEED = 20


@dataclass(frozen=True)
class PairedComparison:
    """One metric on some of the held-out rows, prepared for both models.

    Attributes:
        metric: what is measured.
        rows: indices of the rows, [rows].
        challenger: its measure; None where the metric has no value on these rows.
        champion: the same; None also where there is no champion.
    """

    metric: Metric
    rows: NDArray[np.intp]
    challenger: Measure | None
    champion: Measure | None

    @property
    def measures(self) -> tuple[Measure, Measure] | None:
        """Challenger's and champion's measure where both have one."""
        return (self.challenger, self.champion) if self.challenger and self.champion else None


def paired(
    metric: Metric, rows: NDArray[np.intp], truth: Vector, challenger: Vector, champion: Vector | None
) -> PairedComparison:
    """Prepare a metric on some of the rows.

    Args:
        metric: what to measure.
        rows: indices into the other arrays.
        truth: of all held-out rows, [all rows].
        challenger: its scores, [all rows].
        champion: its scores, [all rows], or None.
    """

    def measure(score: Vector | None) -> Measure | None:
        if score is None or not np.isfinite([truth[rows], score[rows]]).all():
            return None
        try:
            return metric.prepare(truth[rows], score[rows])
        except Undefined:
            return None

    return PairedComparison(metric, rows, measure(challenger), measure(champion))


def compare(comparisons: Sequence[PairedComparison], truth: Vector, *, stratified: bool) -> list[Comparison]:
    """Measure the comparisons on the rows as they are, and on the same draws of all rows.

    Args:
        comparisons: what to measure.
        truth: of all held-out rows, [all rows].
        stratified: each class keeps its number of rows in a draw.
    """
    drawn = _differences(comparisons, truth, stratified=stratified)
    return [_summary(one, found) for one, found in zip(comparisons, drawn, strict=True)]


def _differences(comparisons: Sequence[PairedComparison], truth: Vector, *, stratified: bool) -> list[Vector]:
    """Return for each comparison the challenger's value less the champion's, positive where it is better, [resamples].

    Empty where one of the two has no value; NaN in a draw on which the metric has none.
    """
    chunks: list[list[Vector]] = [[] for _ in comparisons]
    measurable = [(one, one.measures, chunk) for one, chunk in zip(comparisons, chunks, strict=True) if one.measures]
    random = np.random.default_rng(SEED)
    groups = [np.flatnonzero(truth == value) for value in np.unique(truth)] if stratified else [np.arange(len(truth))]
    total = int(np.clip(WORK // len(truth), *RESAMPLES)) if measurable else 0
    step = max(1, CHUNK // len(truth))
    for start in range(0, total, step):
        weights = _draw(random, groups, (min(step, total - start), len(truth)))
        for one, (challenger, champion), chunk in measurable:
            drawn = weights if len(one.rows) == len(truth) else weights[:, one.rows]
            chunk.append(one.metric.sign * (challenger(drawn) - champion(drawn)))
    return [np.concatenate(chunk) if chunk else np.array([]) for chunk in chunks]


def _draw(random: np.random.Generator, groups: list[NDArray[np.intp]], shape: tuple[int, int]) -> Weights:
    """Return how often each row is drawn, with replacement, in each resample."""
    weights = np.zeros(shape, np.uint8)  # small, so that picking rows stays in the cache; no row is drawn 256 times
    for group in groups:
        for row in weights:
            row[group] = (
                np.bincount(random.integers(0, len(group), len(group)), minlength=len(group)) if len(group) else 0
            )
    return weights


def _summary(comparison: PairedComparison, differences: Vector) -> Comparison:
    """Return both models' values on the rows as they are, and what the draws say of their difference, [resamples].

    The p-value and the minimum detectable effect use the normal approximation, with the draws' standard deviation as
    standard error: (z of the confidence + z of the power) standard errors (Cohen, Statistical Power Analysis, 1988).
    """
    sign, everything = comparison.metric.sign, np.ones((1, len(comparison.rows)))
    challenger, champion = (
        None if measure is None else finite(measure(everything)[0])
        for measure in (comparison.challenger, comparison.champion)
    )
    difference = None if challenger is None or champion is None else finite(sign * (challenger - champion))
    known = differences[np.isfinite(differences)]
    values = Comparison(
        rows=len(comparison.rows),
        more_is_better=sign > 0,
        champion=champion,
        challenger=challenger,
        difference=difference,
    )
    if not len(known) or difference is None:
        return values
    low, high = (float(end) for end in np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    error, normal = float(known.std()), NormalDist()
    effect = (normal.inv_cdf((1 + CONFIDENCE) / 2) + normal.inv_cdf(POWER)) * error
    p_value = normal.cdf(difference / error) if error else 1.0
    interval = Interval(low=low, high=high, standard_error=error, p_value=p_value, minimum_detectable_effect=effect)
    return replace(values, interval=interval)


def finite(value: float) -> float | None:
    """Return a number for a record, which has None in the place of NaN and infinity."""
    return float(value) if math.isfinite(value) else None

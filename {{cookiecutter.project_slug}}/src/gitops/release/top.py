"""What the rows with the highest scores hold, since people work through a list from its top: 100 rows, and a tenth."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from gitops.review.metrics import Vector

LIST = 100  # rows that a person calls or looks at; the other length is a tenth of the rows
LEVEL = 0.95
DRAWS = 2000
SEED = 0


@dataclass(frozen=True)
class Top:
    """What the `rows` highest scores hold, with the ends of 95 % intervals, against as many rows picked at random.

    For a binary truth the values are numbers of positive rows, for a number they are means of the truth.
    """

    name: str
    rows: int
    value: float
    low: float
    high: float
    chance: float
    chance_low: float
    chance_high: float


def tops(truth: Vector, score: Vector, *, binary: bool) -> list[Top]:
    """Measure the top of n rows, [n] each; a list that would be all of the rows is left out."""
    tenth = math.ceil(len(score) / 10)
    lists = {f"the {LIST} highest": LIST, "the highest tenth": tenth}
    measure = _positives if binary else _mean
    return [measure(name, size, truth, score) for name, size in lists.items() if size < len(score)]


def _positives(name: str, size: int, truth: Vector, score: Vector) -> Top:
    """Count positives; rows with the score at the list's end count in part, as the mean over all orders of them.

    The interval is Wilson's for a share of `size` rows: Wilson, Probable Inference (1927); Brown, Cai & DasGupta,
    Interval Estimation for a Binomial Proportion (2001). Rows picked at random hold positives as the hypergeometric
    distribution says: its mean, and its middle 95 %.
    """
    edge = np.partition(score, -size)[-size]
    above, at = score > edge, score == edge
    found = truth[above].sum() + truth[at].mean() * (size - above.sum())
    ends = stats.binomtest(round(found), size).proportion_ci(LEVEL, method="wilson")
    chance = stats.hypergeom(len(truth), int(truth.sum()), size)
    low, high = chance.interval(LEVEL)
    return Top(
        name, size, float(found), size * ends.low, size * ends.high, float(chance.mean()), float(low), float(high)
    )


def _mean(name: str, size: int, truth: Vector, score: Vector) -> Top:
    """Take the mean of the truth; of equal scores the first rows are taken.

    The interval is a percentile bootstrap of these rows: Efron & Tibshirani, An Introduction to the Bootstrap (1993),
    chapter 13. The mean of rows picked at random lies within 1.96 standard errors of a draw without replacement:
    Cochran, Sampling Techniques (1977), section 2.6.
    """
    own = truth[np.argsort(-score, kind="stable")[:size]]
    draws = np.random.default_rng(SEED).choice(own, (DRAWS, size)).mean(axis=1)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    error = stats.norm.ppf((1 + LEVEL) / 2) * truth.std(ddof=1) * math.sqrt((1 - size / len(truth)) / size)
    chance = float(truth.mean())
    return Top(name, size, float(own.mean()), float(low), float(high), chance, chance - error, chance + error)

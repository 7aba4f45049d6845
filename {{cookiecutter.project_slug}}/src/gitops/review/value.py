"""What a classifier's decisions are worth: the best threshold, and the gain per 1,000 rows."""

import math

import numpy as np

from gitops.gates import Gains
from gitops.review.metrics import Vector


def best_threshold(truth: Vector, score: Vector, gains: Gains) -> tuple[float, float]:
    """Return the threshold with the highest gain on these rows, and the gain per 1,000 rows there.

    A row counts as positive from the threshold on. Infinity is a threshold too: doing nothing can be the best.

    Args:
        truth: 0 or 1, [rows].
        score: the probability of 1, [rows].
        gains: what each outcome of one row gains.
    """
    order = np.argsort(-score, kind="stable")
    hits, ranked = np.cumsum(truth[order] > 0), score[order]
    chosen = np.arange(1, len(truth) + 1)
    last = np.append(ranked[1:] != ranked[:-1], True)  # rows of one score are decided alike
    positives, rows = int(hits[-1]), len(truth)
    true_positives, predicted = np.append(0, hits[last]), np.append(0, chosen[last])
    false_positives = predicted - true_positives
    total = (
        true_positives * gains.true_positive
        + false_positives * gains.false_positive
        + (positives - true_positives) * gains.false_negative
        + (rows - positives - false_positives) * gains.true_negative
    )
    place = int(np.argmax(total))
    thresholds = np.append(math.inf, ranked[last])
    return float(thresholds[place]), float(total[place]) * 1000 / rows

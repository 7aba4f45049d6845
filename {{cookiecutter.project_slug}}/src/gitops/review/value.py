"""What a classifier's decisions are worth: the best threshold, and the gain per 1,000 rows."""

import math

import numpy as np

from gitops.review.metrics import Vector


def best(truth: Vector, score: Vector, gain: dict[str, float]) -> dict[str, float]:
    """Return the `threshold` with the highest gain on these rows, and the gain `per_1000` rows there.

    A row counts as positive from the threshold on. Infinity is a threshold too: doing nothing can be the best.
    """
    order = np.argsort(-score, kind="stable")
    hits, ranked = np.cumsum(truth[order] > 0), score[order]
    taken = np.arange(1, len(truth) + 1)
    last = np.append(ranked[1:] != ranked[:-1], True)  # rows of one score are decided alike
    positives, rows = int(hits[-1]), len(truth)
    tp, n = np.append(0, hits[last]), np.append(0, taken[last])
    total = (
        tp * gain["true_positive"]
        + (n - tp) * gain["false_positive"]
        + (positives - tp) * gain["false_negative"]
        + (rows - positives - (n - tp)) * gain["true_negative"]
    )
    place = int(np.argmax(total))
    thresholds = np.append(math.inf, ranked[last])
    return {"threshold": float(thresholds[place]), "per_1000": float(total[place]) * 1000 / rows}

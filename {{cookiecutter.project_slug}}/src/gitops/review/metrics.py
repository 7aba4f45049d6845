"""Metrics that can be measured on many resamples at once, since a review measures each one a thousand times.

A measure takes weights, [resamples, rows], how often each row was drawn, and returns a value for each resample. Those
that reviews mostly use are vectorised; any other scikit-learn scorer, and a project's own metric, runs row by row.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gitops.shell import CommandError

Vector = NDArray[np.float64]
Weights = NDArray[np.float64] | NDArray[np.uint8]
Measure = Callable[[Weights], Vector]
THRESHOLD = 0.5  # of scorers that want a label
LABELS = "accuracy, balanced_accuracy or f1_macro"


@dataclass(frozen=True)
class Metric:
    """A named metric: `prepare(truth, score)` returns its measure on these rows; `sign` is -1 where less is better."""

    name: str
    sign: int
    prepare: Callable[[Vector, Vector], Measure]


def find(name: str, task: str = "binary") -> Metric:
    """Return a metric by its name, that of a scikit-learn scorer, or `package.module:function`.

    Args:
        name: of the metric.
        task: what the truth is: `binary` (0 and 1, scored by a probability), `number`, or `classes` (numbered, and the
            score is the number of the class that the model answers).

    Raises:
        CommandError: there is no such metric, or it does not suit the task.
    """
    if ":" in name:
        return _own(name)
    if name in FAST:
        if task == "classes":
            raise CommandError(
                f"gates.yaml: {name} needs a number as score, and these are names of classes: use {LABELS}"
            )
        if task == "number" and name not in NUMBERS:
            raise CommandError(
                f"gates.yaml: {name} needs a truth of 0 and 1, and here it is a number: use {', '.join(NUMBERS)}"
            )
        sign, prepare = FAST[name]
        return Metric(name, sign, prepare)
    from sklearn import metrics  # slow to import, and most reviews do without

    try:
        scorer = metrics.get_scorer(name)
    except ValueError:
        known = f"{', '.join(FAST)}, no scikit-learn scorer, and no module:function"
        raise CommandError(f"gates.yaml names the metric {name!r}, which is none of {known}") from None
    labels = scorer._response_method == "predict" and "classif" in (scorer._score_func.__module__ or "")
    if labels and task == "number":
        raise CommandError(
            f"gates.yaml: {name} compares classes, and here the truth is a number: use {', '.join(NUMBERS)}"
        )
    if not labels and task == "classes":
        raise CommandError(f"gates.yaml: {name} needs a number as score, and these are names of classes: use {LABELS}")

    def function(truth: Vector, score: Vector, weight: Vector) -> float:
        given = (score >= THRESHOLD).astype(float) if labels and task == "binary" else score
        return float(scorer._sign * scorer._score_func(truth, given, sample_weight=weight, **scorer._kwargs))

    return Metric(name, 1, _one_by_one(function))


def _own(name: str) -> Metric:
    """Load a project's `f(truth, score, sample_weight) -> float`; more is better, unless it has `less_is_better`."""
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise CommandError(f"gates.yaml names the metric {name!r}, which can't be imported ({error})") from None
    if len(inspect.signature(function).parameters) < 3:
        raise CommandError(f"the metric {name} must take (truth, score, sample_weight)")
    return Metric(name, -1 if getattr(function, "less_is_better", False) else 1, _one_by_one(function))


def _one_by_one(function: Callable[[Vector, Vector, Vector], float]) -> Callable[[Vector, Vector], Measure]:
    def prepare(truth: Vector, score: Vector) -> Measure:
        def measure(weights: Weights) -> Vector:
            return np.array([_defined(function, truth, score, row.astype(float)) for row in weights])

        return measure

    return prepare


def _defined(function: Callable[..., float], *arguments: Vector) -> float:
    """Return NaN where scikit-learn finds that the metric has no value (a single class, a score that is no number)."""
    try:
        return float(function(*arguments))
    except ValueError:
        return float("nan")


def _mean(loss: Callable[[Vector, Vector], Vector]) -> Callable[[Vector, Vector], Measure]:
    """Return the metric that is the mean of a loss of each row."""

    def prepare(truth: Vector, score: Vector) -> Measure:
        losses = loss(truth, score)
        return lambda weights: _divide(weights @ losses, weights.sum(axis=1))

    return prepare


def _root(prepare: Callable[[Vector, Vector], Measure]) -> Callable[[Vector, Vector], Measure]:
    def rooted(truth: Vector, score: Vector) -> Measure:
        measure = prepare(truth, score)
        return lambda weights: np.sqrt(measure(weights))

    return rooted


def _roc_auc(truth: Vector, score: Vector) -> Measure:
    """Return the area under the ROC curve: the share of pairs in the right order, ties counting half."""
    positives, negatives = _by_score(truth, score)
    first, last = (np.searchsorted(score[negatives], score[positives], side) for side in ("left", "right"))

    def measure(weights: Weights) -> Vector:
        drawn, below = weights[:, positives], _running(weights[:, negatives])
        right = [(row * sums[first]).sum() + (row * sums[last]).sum() for row, sums in zip(drawn, below, strict=True)]
        return _divide(np.array(right) / 2, drawn.sum(axis=1) * below[:, -1])

    return measure


def _average_precision(truth: Vector, score: Vector) -> Measure:
    """Return the mean of the precision at each found positive (scikit-learn's definition, no interpolation)."""
    positives, negatives = _by_score(truth, -score)
    hits, alarms = (np.searchsorted(-score[part], -score[positives], "right") for part in (positives, negatives))

    def measure(weights: Weights) -> Vector:
        drawn = weights[:, positives]
        found, false = _running(drawn)[:, hits], _running(weights[:, negatives])[:, alarms]
        precision = np.divide(found, found + false, out=np.zeros_like(found), where=found > 0)
        return _divide((precision * drawn).sum(axis=1), drawn.sum(axis=1))

    return measure


def _by_score(truth: Vector, score: Vector) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of the positives and those of the negatives, each by rising score."""
    order = np.argsort(score, kind="stable")
    return order[truth[order] > 0], order[truth[order] <= 0]


def _running(weights: Weights) -> NDArray[np.float64]:
    """Return the sums of the first 0, 1, 2, ... weights of each resample."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _r2(truth: Vector, score: Vector) -> Measure:
    errors, centred = ((truth - score) ** 2), truth - truth.mean()

    def measure(weights: Weights) -> Vector:
        rows = weights.sum(axis=1)
        spread = weights @ centred**2 - (weights @ centred) ** 2 / rows
        return 1 - _divide(weights @ errors, spread)

    return measure


class Undefined(ValueError):
    """The metric has no value on these rows."""


def _probability(score: Vector) -> Vector:
    if not ((score >= 0) & (score <= 1)).all():
        raise Undefined
    return np.clip(score, 1e-15, 1 - 1e-15)


def _log_losses(truth: Vector, score: Vector) -> Vector:
    p = _probability(score)
    return -np.log(np.where(truth > 0, p, 1 - p))


def _divide(a: Vector, b: Vector) -> Vector:
    shares: Vector = np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b) > 0)
    return shares


FAST: dict[str, tuple[int, Callable[[Vector, Vector], Measure]]] = {
    "roc_auc": (1, _roc_auc),
    "average_precision": (1, _average_precision),
    "log_loss": (-1, _mean(_log_losses)),
    "brier": (-1, _mean(lambda truth, score: (truth - _probability(score)) ** 2)),
    "r2": (1, _r2),
    "mae": (-1, _mean(lambda truth, score: np.abs(truth - score))),
    "rmse": (-1, _root(_mean(lambda truth, score: (truth - score) ** 2))),
}
NUMBERS = ("r2", "mae", "rmse")

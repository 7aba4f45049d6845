"""Champion against challenger: a pure function of two tables of predictions and the gates."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gitops import gates as rules
from gitops.gates import Gains, Gates
from gitops.markdown import markdown
from gitops.review import bootstrap, codec, tables
from gitops.review.decide import decide_metric, decide_segments, ended, waive
from gitops.review.metrics import Vector, find
from gitops.review.record import Judgement, MetricRow, Side, ValueRow
from gitops.review.value import best_threshold
from gitops.shell import CommandError, say

SMALL = 50  # rows; below, an interval is only a hint
RARE = 20  # rows of the rarer class, likewise
LEAK = 0.995  # of ROC AUC: no honest table is that easy
JUMP = 0.1  # gain of ROC AUC that asks for a second look


def judge_predictions(
    champion: pd.DataFrame | None, challenger: pd.DataFrame, gates: Gates, today: date | None = None
) -> Judgement:
    """Judge a challenger by gates.

    Args:
        champion: columns `id`, `truth` and `score`, one row per held-out row; None where no champion scored these rows.
            The truth is 0 or 1 and the score a probability, or both are numbers, or both are names of classes (text).
        challenger: the same, in any order, and the segment columns that the gates name.
        gates: what to judge by.
        today: the day on which waivers are looked at; by default the real one.

    Raises:
        CommandError: the tables are not about the same rows, or a gate does not suit them.
    """
    day = today or date.today()
    table, old_scores = _align(champion, challenger)
    task, (truth, new, *others) = numbers(table["truth"], table["score"], *([] if old_scores is None else [old_scores]))
    old = others[0] if others else None
    parts = {} if old is None else split(table, gates.segments.columns, gates.segments.min_rows)
    whole = np.arange(len(truth))
    comparisons = [bootstrap.paired(find(name, task), whole, truth, new, old) for name in gates.metrics]
    comparisons += [
        bootstrap.paired(find(gates.segments.metric, task), rows, truth, new, old) for rows in parts.values()
    ]
    measured = bootstrap.compare(comparisons, truth, stratified=task != "number")
    metrics = [
        decide_metric(name, gate, one, champion=old is not None)
        for (name, gate), one in zip(gates.metrics.items(), measured, strict=False)
    ]
    segments = decide_segments(dict(zip(parts, measured[len(metrics) :], strict=True)), gates.segments)
    return Judgement(
        rows=len(truth),
        metrics=waive(metrics, gates.waivers, day),
        segments=waive(segments, gates.waivers, day),
        value=_values(truth, {"champion": old, "challenger": new}, gates.value, task),
        remarks=(*_remarks(task, truth, metrics), *ended(gates.waivers, day)),
    )


def _align(champion: pd.DataFrame | None, challenger: pd.DataFrame) -> tuple[pd.DataFrame, "pd.Series[Any] | None"]:
    """Return the challenger's table by id, and the champion's scores in the same order."""
    for who, table in (("challenger", challenger), ("champion", champion)):
        if table is None:
            continue
        if lacking := {"id", "truth", "score"} - set(table):
            raise CommandError(f"the {who}'s predictions have no column {sorted(lacking)[0]!r}")
        if table["id"].duplicated().any():
            raise CommandError(
                f"the {who}'s predictions have the id {table['id'][table['id'].duplicated()].iloc[0]!r} twice"
            )
        if not len(table):
            raise CommandError(f"the {who}'s predictions have no row")
    new = challenger.set_index("id").sort_index()
    if champion is None:
        return new, None
    old = champion.set_index("id").sort_index()
    if not new["truth"].astype(object).equals(old["truth"].astype(object)):
        raise CommandError("the two models were not scored on the same rows, so their difference says nothing")
    return new, old["score"]


def numbers(*columns: "pd.Series[Any]") -> tuple[str, list[Vector]]:
    """Return the task (see `metrics.find`), and truth and scores as numbers; a class is its place by name.

    Raises:
        CommandError: some of them are names and some are numbers.
    """
    named = [not pd.api.types.is_numeric_dtype(column) for column in columns]
    if not any(named):
        found = [column.to_numpy(np.float64) for column in columns]
        truth = found[0]
        return "binary" if set(np.unique(truth[np.isfinite(truth)])) <= {0.0, 1.0} else "number", found
    if not all(named):
        raise CommandError("truth and score are not of one kind: both are names of classes (text), or both are numbers")
    names = sorted({str(name) for column in columns for name in column.dropna().unique()})
    places = {name: float(place) for place, name in enumerate(names)}
    return "classes", [np.array([places.get(name, np.nan) for name in column]) for column in columns]


def split(table: pd.DataFrame, columns: Sequence[str], min_rows: int) -> dict[str, NDArray[np.intp]]:
    """Return the row numbers of each segment, by `column = value`, [rows of the segment].

    Args:
        table: with `id` as index, in the order of the row numbers.
        columns: whose values are segments.
        min_rows: of a segment that is large enough to be looked at.

    Raises:
        CommandError: there is no such column.
    """
    parts: dict[str, NDArray[np.intp]] = {}
    for column in columns:
        if column not in table:
            raise CommandError(f"gates.yaml: segments.columns names {column!r}, which the predictions don't have")
        for value, rows in table.reset_index().groupby(column, sort=True, dropna=False).indices.items():
            if len(rows) >= min_rows:
                parts[f"{column} = {value}"] = np.asarray(rows)
    return parts


def _remarks(task: str, truth: Vector, metrics: Sequence[MetricRow]) -> list[str]:
    """Say what these rows can't tell, and what is too good to be true."""
    remarks = []
    rarest = int(np.unique(truth, return_counts=True)[1].min())
    if task != "number" and rarest < RARE <= SMALL <= len(truth):
        remarks.append(f"the rarest class has only {rarest} held-out rows: hold out more, or read intervals as a hint")
    if len(truth) < SMALL:
        few = f"{len(truth)} held-out rows are too few to compare models"
        remarks.append(f"{few}: hold out more, or read this as a hint")
    for row in metrics:
        gain = row.difference or 0.0
        if row.name == "roc_auc" and row.challenger is not None and (row.challenger > LEAK or gain > JUMP):
            than = f"better than the champion's {row.champion:.4f}" if gain > 0 else "good"
            remarks.append(f"roc_auc {row.challenger:.4f} is suspiciously {than}: does a column know the answer?")
    return remarks


def _values(truth: Vector, scores: dict[Side, Vector | None], gains: Gains | None, task: str) -> tuple[ValueRow, ...]:
    """Return what each model's best threshold gains, when the gates say what outcomes are worth."""
    if gains is None:
        return ()
    if task != "binary":
        raise CommandError("gates.yaml: value is about a classifier with two outcomes, and the truth here is another")
    known = {who: score for who, score in scores.items() if score is not None and np.isfinite(score).all()}
    found = {who: best_threshold(truth, score, gains) for who, score in known.items()}
    return tuple(ValueRow(who, bootstrap.finite(threshold), per_1000) for who, (threshold, per_1000) in found.items())


def judge_files(champion: Path, challenger: Path, gates: Path, out: Path | None) -> int:
    """Judge two files and print the tables; 0 when nothing blocks, 1 when something does."""
    try:
        checked = rules.read(gates.read_text())
        judgement = judge_predictions(pd.read_parquet(champion), pd.read_parquet(challenger), checked)
    except (OSError, ValueError) as error:
        raise CommandError(f"can't be read: {' '.join(str(error).split())}") from None
    if out:
        out.write_text(codec.dumps(judgement))
    say(markdown(tables.metrics(judgement.metrics)))
    blocking = [row for row in (*judgement.metrics, *judgement.segments) if row.verdict.blocks]
    for sentence in [*(row.reason for row in blocking), *judgement.remarks]:
        say(f"  {sentence}")
    return int(bool(blocking))

"""Champion against challenger: a pure function of two tables of predictions and the gates."""

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gitops import gates as rules
from gitops.markdown import markdown
from gitops.review import tables
from gitops.review.bootstrap import contest, measured, resample
from gitops.review.decide import decide, decide_segments, waive
from gitops.review.metrics import Vector, find
from gitops.review.tables import BLOCKING
from gitops.review.value import best
from gitops.shell import Stop, say

SMALL = 50  # rows; below, an interval is only a hint
RARE = 20  # rows of the rarer class, likewise
LEAK = 0.995  # of ROC AUC: no honest table is that easy
JUMP = 0.1  # gain of ROC AUC that asks for a second look


def judge(
    champion: pd.DataFrame | None, challenger: pd.DataFrame, gates: dict[str, Any], today: date | None = None
) -> dict[str, Any]:
    """Judge a challenger by gates.

    Args:
        champion: columns `id`, `truth` and `score`, one row per held-out row; None where no champion scored these rows.
            The truth is 0 or 1 and the score a probability, or both are numbers, or both are names of classes (text).
        challenger: the same, in any order, and the segment columns that the gates name.
        gates: the content of gates.yaml: `metrics`, and optionally `segments`, `value` and `waivers`.
        today: the day on which waivers are looked at; by default the real one.

    Returns:
        `rows`, `metrics` and `segments` (a list of rows each), `value` (what the best threshold gains, by model; see
        `value`) and `notes`, sentences on what these rows can't tell. A row has `name`, `champion`,
        `challenger`, `difference` (positive is better), its interval (see `bootstrap`), the gate's `floor`,
        `tolerance` and `require`, `verdict` and `reason`.

    Raises:
        Stop: the tables are not about the same rows, or the gates are not gates.
    """
    checked = rules.check(gates)
    table, old_scores = _align(champion, challenger)
    task, (truth, new, *others) = numbers(table["truth"], table["score"], *([] if old_scores is None else [old_scores]))
    old = others[0] if others else None
    parts = {} if old is None else split(checked.segments, table)
    everything = np.arange(len(truth))
    contests = {name: contest(find(name, task), everything, truth, new, old) for name in checked.metrics}
    metric = checked.segments["metric"]
    segments = {name: contest(find(metric, task), rows, truth, new, old) for name, rows in parts.items()}
    if old is not None:
        resample([*contests.values(), *segments.values()], truth, stratified=task != "number")
    metrics = [{"name": name} | gate | measured(contests[name]) for name, gate in checked.metrics.items()]
    metrics = [row | decide(row) for row in metrics]
    gate = rules.GATE | {"tolerance": checked.segments["tolerance"]}
    found = decide_segments([{"name": name} | gate | measured(entry) for name, entry in segments.items()])
    result = {"rows": len(truth), "metrics": metrics, "segments": found, "notes": _notes(task, truth, metrics)}
    waive(result, checked.waivers, today or date.today())
    return result | {"value": _values(truth, {"champion": old, "challenger": new}, checked.value, task)}


def _align(champion: pd.DataFrame | None, challenger: pd.DataFrame) -> tuple[pd.DataFrame, "pd.Series[Any] | None"]:
    """Return the challenger's table by id, and the champion's scores in the same order."""
    for who, table in (("challenger", challenger), ("champion", champion)):
        if table is None:
            continue
        if lacking := {"id", "truth", "score"} - set(table):
            raise Stop(f"the {who}'s predictions have no column {sorted(lacking)[0]!r}")
        if table["id"].duplicated().any():
            raise Stop(f"the {who}'s predictions have the id {table['id'][table['id'].duplicated()].iloc[0]!r} twice")
        if not len(table):
            raise Stop(f"the {who}'s predictions have no row")
    new = challenger.set_index("id").sort_index()
    if champion is None:
        return new, None
    old = champion.set_index("id").sort_index()
    if not new["truth"].astype(object).equals(old["truth"].astype(object)):
        raise Stop("the two models were not scored on the same rows, so their difference says nothing")
    return new, old["score"]


def numbers(*columns: "pd.Series[Any]") -> tuple[str, list[Vector]]:
    """Return the task (see `metrics.find`), and truth and scores as numbers; a class is its place by name.

    Raises:
        Stop: some of them are names and some are numbers.
    """
    named = [not pd.api.types.is_numeric_dtype(column) for column in columns]
    if not any(named):
        found = [column.to_numpy(np.float64) for column in columns]
        truth = found[0]
        return "binary" if set(np.unique(truth[np.isfinite(truth)])) <= {0.0, 1.0} else "number", found
    if not all(named):
        raise Stop("truth and score are not of one kind: both are names of classes (text), or both are numbers")
    names = sorted({str(name) for column in columns for name in column.dropna().unique()})
    places = {name: float(place) for place, name in enumerate(names)}
    return "classes", [np.array([places.get(name, np.nan) for name in column]) for column in columns]


def split(groups: dict[str, Any], table: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    """Return `column = value` -> its row numbers, for every segment that is large enough to judge."""
    parts: dict[str, NDArray[np.intp]] = {}
    for column in groups["columns"]:
        if column not in table:
            raise Stop(f"gates.yaml: segments.columns names {column!r}, which the predictions don't have")
        for value, rows in table.reset_index().groupby(column, sort=True, dropna=False).indices.items():
            if len(rows) >= groups["min_rows"]:
                parts[f"{column} = {value}"] = np.asarray(rows)
    return parts


def _notes(task: str, truth: Vector, metrics: list[dict[str, Any]]) -> list[str]:
    """Say what these rows can't tell, and what is too good to be true."""
    notes = []
    rarest = int(np.unique(truth, return_counts=True)[1].min())
    if task != "number" and rarest < RARE <= SMALL <= len(truth):
        notes.append(f"the rarest class has only {rarest} held-out rows: hold out more, or read intervals as a hint")
    if len(truth) < SMALL:
        notes.append(f"{len(truth)} held-out rows are too few to compare models: hold out more, or read this as a hint")
    for row in metrics:
        if row["name"] == "roc_auc" and (row["challenger"] > LEAK or row["difference"] > JUMP):
            than = f"better than the champion's {row['champion']:.4f}" if row["difference"] > 0 else "good"
            notes.append(f"roc_auc {row['challenger']:.4f} is suspiciously {than}: does a column know the answer?")
    return notes


def _values(
    truth: Vector, scores: dict[str, Vector | None], gain: dict[str, float] | None, task: str
) -> dict[str, dict[str, float]]:
    """Return what each model's best threshold gains, when the gates say what outcomes are worth."""
    if gain is None:
        return {}
    if task != "binary":
        raise Stop("gates.yaml: value is about a classifier with two outcomes, and the truth here is another")
    known = {who: score for who, score in scores.items() if score is not None and np.isfinite(score).all()}
    return {who: best(truth, score, gain) for who, score in known.items()}


def compare(champion: Path, challenger: Path, gates: Path, out: Path | None) -> int:
    """Judge two files and print the tables; 0 when nothing blocks, 1 when something does."""
    try:
        result = judge(pd.read_parquet(champion), pd.read_parquet(challenger), rules.read(gates.read_text()))
    except (OSError, ValueError) as error:
        raise Stop(f"can't be read: {' '.join(str(error).split())}") from None
    for part in ("metrics", "segments"):
        result[part] = [finite(row) for row in result[part]]
    if out:
        out.write_text(json.dumps(result, indent=2, allow_nan=False, default=str) + "\n")
    say(markdown(tables.metrics(result["metrics"])))
    blocking = [row for row in result["metrics"] + result["segments"] if row["verdict"] in BLOCKING]
    for sentence in [*(row["reason"] for row in blocking), *result["notes"]]:
        say(f"  {sentence}")
    return int(bool(blocking))


def finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for JSON, which has no NaN and no infinity."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}

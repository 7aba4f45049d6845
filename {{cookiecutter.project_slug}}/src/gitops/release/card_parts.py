"""The tables of the model card: how good the model is, where it is weak, which data and settings made it."""

from pathlib import Path
from typing import Any

import pandas as pd

from gitops.document import Block, Bullets, Fold, Footer, Paragraph, Table, Text
from gitops.document import Untrusted as Said
from gitops.gates import Gates
from gitops.goal import Goal
from gitops.project import Project, locked, md5
from gitops.prose import prose
from gitops.review import drift
from gitops.review.state import flatten
from gitops.shell import Stop

MEANING = {
    "roc_auc": "of two {rows}, one of which {happened}, how often that one has the higher score (0.5: guessing)",
    "average_precision": "how pure the list of {rows} stays from the highest score down (1: perfectly)",
    "log_loss": "how far the scores are from what happened, great errors weighing most; less is better",
    "brier": "how far the scores are from what happened, squared; less is better",
    "r2": "share of the differences between {rows} that the model explains (1: all, 0: none)",
    "mae": "mean error, in the unit of what is predicted; less is better",
    "rmse": "the same with large errors weighing more; less is better",
}


def _meaning(metric: str, aim: Goal) -> str:
    words = {"happened": "happened"} | {name: prose(word) for name, word in aim.words.items()}
    return MEANING.get(metric, "").format_map(words)


def quality(aim: Goal, metrics: list[dict[str, Any]], rows: pd.DataFrame) -> list[Block]:
    cells: list[list[Text]] = [
        [
            [Said(row["name"])],
            [_number(row["value"])],
            [_interval(row)],
            _floor(row),
            [_meaning(row["name"], aim)],
        ]
        for row in metrics
    ]
    how = (
        f"Measured on the {len(rows):,} held-out {prose(aim.words['rows'])}, which judge the model and never train it. "
    )
    what = "The interval tells how far chance in the choice of these rows can move a value (bootstrap)."
    return [
        Table(["metric", "value", "95 % interval", "must reach", "what it says"], cells, numbers=3),
        Paragraph([how + what]),
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(row: dict[str, Any]) -> str:
    return "–" if row["low"] is None else f"{row['low']:.4f} … {row['high']:.4f}"


def _floor(row: dict[str, Any]) -> Text:
    return ["–" if row["floor"] is None else f"{'≥' if row['more_is_better'] else '≤'} {row['floor']:g}"]


def weakness(aim: Goal, segments: list[dict[str, Any]], gates: Gates, said: list[str]) -> list[Block]:
    """Return the segments, weakest first, then what these rows can't tell and what the review said."""
    limits: list[Text] = [[Said(sentence)] for sentence in said]
    if small := [row for row in segments if not row["judged"]]:
        names = [piece for row in small for piece in (", ", Said(row["name"]))][1:]
        limits.append(["Too few rows, or no value, to say how good it is for ", *names, "."])
    if not segments:
        return [Bullets([["gates.yaml names no segments, so nobody looked at groups of rows."], *limits])]
    cells: list[list[Text]] = [
        [[Said(row["name"])], [f"{row['rows']:,}"], [_number(row["value"])], [_interval(row)]] for row in segments
    ]
    metric = gates.segments.metric
    what = f": {_meaning(metric, aim)}" if metric in MEANING else ""
    head = ["segment, weakest first", "rows", "value", "95 % interval"]
    intro = Paragraph([Said(metric), f" inside each segment{what}."])
    return [intro, Table(head, cells, numbers=3), *([Bullets(limits)] if limits else [])]


def data(project: Project, schema: dict[str, Any]) -> list[Block]:
    path = Path(project.data)
    if not path.exists():
        raise Stop(f"{path} is not here, and the model card tells about it: `uv run gitops store pull` brings it")
    facts: Text = [Said(path), ", version ", Said(md5(path)), f", {path.stat().st_size:,} bytes"]
    dates = [name for name, column in schema["columns"].items() if column["type"] == "date"]
    try:
        frame = drift.read(path)
        facts.append(f", {len(frame):,} rows of {len(frame.columns)} columns")
        facts += [
            piece for name in dates for piece in (", ", Said(name), f" from {frame[name].min()} to {frame[name].max()}")
        ]
    except (OSError, ValueError, KeyError):
        facts.append(", not a table in CSV or Parquet")
    target, columns = schema["target"], schema["columns"]
    predicted: Text = [" The model predicts ", Said(_target(target)), f" from these {len(columns)} columns:"]
    cells: list[list[Text]] = [
        [[Said(name)], [Said(column["type"])], _range(column)] for name, column in columns.items()
    ]
    ignored: list[Text] = [[Said(name), " is left out: ", Said(why)] for name, why in schema.get("ignored", {}).items()]
    table = Fold("Columns", [Table(["column", "type", "values"], cells), *([Bullets(ignored)] if ignored else [])])
    return [Paragraph([*facts, ".", *predicted]), table]


def _target(target: dict[str, Any]) -> str:
    return f"{target['name']} = {target['positive']}" if target["task"] == "binary" else target["name"]


def _range(column: dict[str, Any]) -> Text:
    values = [piece for value in column.get("values", []) for piece in (", ", Said(value))][1:]
    ends = [
        f"{word} {column[end]:g}" for end, word in (("min", "from"), ("max", "up to")) if column.get(end) is not None
    ]
    told: Text = values or [", ".join(ends) or "any"]
    return [*told, *([", may be missing"] if column.get("nullable") else [])]


def made(params: dict[str, Any]) -> Table:
    """Return every number of the model, without those of the kinds that were not chosen."""
    model = params.get("model")
    if isinstance(model, dict):
        other = {key for key, value in model.items() if isinstance(value, dict) and key != model.get("kind")}
        params = params | {"model": {key: value for key, value in model.items() if key not in other}}
    return Table(["parameter", "value"], [[[Said(name)], [Said(value)]] for name, value in flatten(params)])


def footer(project: Project, version: str, commit: str) -> Footer:
    model = locked(Path("dvc.lock").read_text())[project.model]
    return Footer([f"{project.name} {version} · commit ", Said(commit[:9]), " · model ", Said(model), " (MD5)"])

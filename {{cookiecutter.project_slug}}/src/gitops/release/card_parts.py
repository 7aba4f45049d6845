"""The tables of the model card: how good the model is, where it is weak, which data and settings made it."""

from pathlib import Path
from typing import Any

import pandas as pd

from gitops.description import Description, Feature, Target
from gitops.document import Block, Bullets, Fold, Footer, Paragraph, Table, Text, Untrusted, joined
from gitops.erase import record
from gitops.gates import Gates
from gitops.goal import ClassifierWords, Goal, Words
from gitops.project import Project, locked, md5
from gitops.prose import prose
from gitops.release.top import Top
from gitops.review import drift
from gitops.review.state import flatten
from gitops.shell import CommandError

Aim = Goal[Words] | Goal[ClassifierWords]
DAY = r"\d{4}-\d{2}-\d{2}(?:[T ].*)?"  # ISO 8601, with a time or without
MEANING = {
    "roc_auc": "of two {rows}, one of which {happened}, how often that one has the higher score (0.5: guessing)",
    "average_precision": "how pure the list of {rows} stays from the highest score down (1: perfectly)",
    "log_loss": "how far the scores are from what happened, great errors weighing most; less is better",
    "brier": "how far the scores are from what happened, squared; less is better",
    "r2": "share of the differences between {rows} that the model explains (1: all, 0: none)",
    "mae": "mean error, in the unit of what is predicted; less is better",
    "rmse": "the same with large errors weighing more; less is better",
}


def _meaning(metric: str, aim: Aim) -> str:
    happened = aim.words.happened if isinstance(aim.words, ClassifierWords) else "happened"
    return MEANING.get(metric, "").format(rows=prose(aim.words.rows), happened=prose(happened))


def quality(aim: Aim, metrics: list[dict[str, Any]], rows: pd.DataFrame) -> list[Block]:
    """Return the table of metrics, as `gitops.release.quality.measure` returns them, and how they were measured."""
    cells: list[list[Text]] = [
        [
            [Untrusted(row["name"])],
            [_number(row["value"])],
            [_interval(row)],
            _floor(row),
            [_meaning(row["name"], aim)],
        ]
        for row in metrics
    ]
    how = f"Measured on the {len(rows):,} held-out {prose(aim.words.rows)}, which judge the model and never train it. "
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


def highest(aim: Aim, tops: list[Top]) -> list[Block]:
    """Return the table of what the highest scores hold, as `gitops.release.top` measures it, and how to read it."""
    if not tops:
        return []
    if isinstance(aim.words, ClassifierWords):
        intro = f"How many of the {prose(aim.words.rows)} with the highest scores {prose(aim.words.happened)}:"
        value_head, form = "found", "{:.0f}"
        how = "The interval is Wilson's for a share of so many rows; picked at random: the mean, and 95 of 100 choices."
    else:
        intro = f"What the {prose(aim.words.rows)} with the highest predictions had in truth, on average:"
        value_head, form = "mean", "{:.4g}"
        how = "The interval is a bootstrap of these rows; picked at random: the mean, and 95 of 100 choices."
    cells: list[list[Text]] = []
    for top in tops:
        value, low, high, chance, least, most = (
            form.format(number)
            for number in (top.value, top.low, top.high, top.chance, top.chance_low, top.chance_high)
        )
        cells.append([[top.name], [f"{top.rows:,}"], [value], [f"{low} … {high}"], [f"{chance} ({least} … {most})"]])
    head = ["scores", "rows", value_head, "95 % interval", "picked at random"]
    return [Paragraph([intro]), Table(head, cells, numbers=4), Paragraph([how])]


def weakness(aim: Aim, segments: list[dict[str, Any]], gates: Gates, said: list[str]) -> list[Block]:
    """Return the segments, weakest first, then what these rows can't tell and what the review said."""
    limits: list[Text] = [[Untrusted(sentence)] for sentence in said]
    if small := [row for row in segments if not row["judged"]]:
        names = joined(row["name"] for row in small)
        limits.append(["Too few rows, or no value, to say how good it is for ", *names, "."])
    if not segments:
        return [Bullets([["gates.yaml names no segments, so nobody looked at groups of rows."], *limits])]
    cells: list[list[Text]] = [
        [[Untrusted(row["name"])], [f"{row['rows']:,}"], [_number(row["value"])], [_interval(row)]] for row in segments
    ]
    metric = gates.segments.metric
    what = f": {_meaning(metric, aim)}" if metric in MEANING else ""
    head = ["segment, weakest first", "rows", "value", "95 % interval"]
    intro = Paragraph([Untrusted(metric), f" inside each segment{what}."])
    return [intro, Table(head, cells, numbers=3), *([Bullets(limits)] if limits else [])]


def data(project: Project, model: Description) -> list[Block]:
    """Return which data there is and which days it covers, what is predicted, and the table of columns.

    Raises:
        CommandError: the data is not here.
    """
    path = Path(project.data)
    if not path.exists():
        raise CommandError(
            f"{path} is not here, and the model card tells about it: `uv run gitops store pull` brings it"
        )
    facts: Text = [Untrusted(path), ", version ", Untrusted(md5(path)), f", {path.stat().st_size:,} bytes"]
    erased = record.erased_data().get(md5(path))
    try:
        frame = drift.read(path)
        facts += [f", {len(frame):,} rows of {len(frame.columns)} columns", *_period(frame, model)]
    except (OSError, ValueError):
        facts.append(", not a table in CSV or Parquet.")
    predicted: Text = [
        " The model predicts ",
        Untrusted(_target(model.target)),
        f" from these {len(model.features)} columns:",
    ]
    cells: list[list[Text]] = [
        [[Untrusted(feature.name)], [Untrusted(feature.type)], _range(feature)] for feature in model.features
    ]
    ignored: list[Text] = [[Untrusted(name), " is left out: ", Untrusted(why)] for name, why in model.ignored.items()]
    table = Fold("Columns", [Table(["column", "type", "values"], cells), *([Bullets(ignored)] if ignored else [])])
    since = f" Rows of this version were erased since, on {erased.day}." if erased else ""
    return [Paragraph([*facts, since, *predicted]), table]


def _period(frame: pd.DataFrame, model: Description) -> Text:
    """Return the first and the last day in each column of days, also of those that the model does not read."""
    names = [feature.name for feature in model.features if feature.type == "date"]
    found: Text = []
    for name in [*names, *model.ignored]:
        days = frame[name].dropna().astype("str").str.strip() if name in frame else pd.Series(dtype="str")
        days = days[days.str.fullmatch(DAY)] if name in names else days
        if len(days) and days.str.fullmatch(DAY).all():
            found += [", ", Untrusted(name), f" from {days.min()[:10]} to {days.max()[:10]}"]
    if found:
        return [*found, "."]
    return [". No column of it holds dates, so it does not say which period its rows are from."]


def _target(target: Target) -> str:
    return f"{target.name} = {target.labels[1]}" if target.task == "binary" else target.name


def _range(feature: Feature) -> Text:
    values = joined(feature.values)
    limits = (("from", feature.min), ("up to", feature.max))
    ends = [f"{word} {limit:g}" for word, limit in limits if limit is not None]
    told: Text = values or [", ".join(ends) or "any"]
    return [*told, *([", may be missing"] if feature.nullable else [])]


def made(model: Description) -> Table:
    """Return the parameters that made the model, by dotted name, and what kind of model and of file came of it."""
    facts: list[tuple[Text, object]] = [
        (["kind of model"], model.model.kind),
        (["format of the model file"], model.model.file_format),
    ]
    if model.threshold is not None:
        facts.append((["score from which on a row gets the positive label"], model.threshold))
    parameters: list[tuple[Text, object]] = [([Untrusted(name)], value) for name, value in flatten(model.parameters)]
    return Table(["parameter", "value"], [[name, [Untrusted(value)]] for name, value in [*facts, *parameters]])


def footer(project: Project, version: str, commit: str) -> Footer:
    """Return which release, commit and model file the card is about."""
    model = locked(Path("dvc.lock").read_text())[project.model]
    return Footer(
        [f"{project.name} {version} · commit ", Untrusted(commit[:9]), " · model ", Untrusted(model), " (MD5)"]
    )

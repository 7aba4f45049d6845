"""Both models on the challenger's held-out rows: the gates' verdict, and whether the author's files are true."""

import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from gitops.git import show
from gitops.project import Project, locked
from gitops.review import champion, charts, claims, drift, history, scoring
from gitops.review.decide import decide
from gitops.review.judge import finite, judge
from gitops.shell import Stop, say

FIRST = "this is the first model: there is no champion to beat, only the floors of gates.yaml"


def compare(project: Project, base: str, rules: dict[str, Any], data_changes: bool) -> dict[str, Any]:
    """Score the rows with both models and judge; fall back to an unpaired table, and say why.

    Args:
        project: the challenger's, in the working tree.
        base: the commit that holds the champion.
        rules: the content of gates.yaml.
        data_changes: compare the two data versions too.

    Returns:
        the judgement (see `judge`), `champion` (`state` and `note`), `charts`, `claims` (what the author's
        files say and the model does not), `model_format`, `moved` (what differs in the data, where it changes) and
        `takes`, what each model takes (see `budgets`).
    """
    scored = _challenger(project)
    challenger = with_segments(project, scored.predictions, rules)
    takes = {"challenger": _takes(Path(project.model), scored), "champion": dict[str, float | None]()}
    old, state, note, moved, lost = None, "none", FIRST, list[dict[str, str]](), list[str]()
    if project.model in locked(show(base, "dvc.lock")):
        data = [project.data] if data_changes and show(base, f"{project.data}.dvc") else []
        with champion.checkout(base, [project.model, project.predictions, *data]) as tree:
            if data:
                moved, lost = drift.compare(tree / project.data, Path(project.data))
            try:
                measured = champion.score(project, tree, challenger)
                old, state = measured.predictions, "paired"
                takes["champion"] = _takes(tree / project.model, measured)
                note = _seen(tree / project.predictions, challenger)
            except champion.Unpaired as unpaired:
                state, note = "unpaired", str(unpaired)
    judgement = judge(old, challenger, rules)
    if state == "unpaired":
        committed = claims.numbers(show(base, project.metrics)) or {}
        judgement["metrics"] = [_beside(row, committed.get(row["name"], math.nan)) for row in judgement["metrics"]]
    judgement["notes"] += lost
    doubts = claims.doubts(Path(project.predictions), Path(project.metrics), scored.predictions, judgement["metrics"])
    for part in ("metrics", "segments"):
        judgement[part] = [finite(row) for row in judgement[part]]
    judgement["value"] = {who: finite(found) for who, found in judgement["value"].items()}
    drawn = charts.charts(old, challenger) + history.charts(project, judgement["metrics"])
    facts = {"champion": {"state": state, "note": note}, "charts": drawn, "takes": takes, "model_format": scored.format}
    return facts | {"claims": doubts, "moved": moved} | judgement


def _takes(model: Path, scored: scoring.Scored) -> dict[str, float | None]:
    return {"model_mb": model.stat().st_size / 1e6, "p95_ms": scored.p95_ms}


def _challenger(project: Project) -> scoring.Scored:
    """Score the held-out rows once more: the predictions file may be anything, the model can't lie about itself."""
    say("› the challenger scores its held-out rows")
    try:
        return scoring.score(project.score, Path(project.rows), Path(), (sys.executable,))
    except scoring.Unscored as unscored:
        raise Stop(f"the model can't score its own held-out rows ({unscored})") from None


def with_segments(project: Project, predictions: pd.DataFrame, rules: dict[str, Any]) -> pd.DataFrame:
    """Put the segment columns of the held-out rows beside the predictions, which are in the same order."""
    columns = [name for name in (rules.get("segments") or {}).get("columns", []) if name not in predictions]
    rows = pd.read_parquet(project.rows)
    if len(rows) != len(predictions):
        raise Stop(f"the model gives {len(predictions):,} scores for the {len(rows):,} rows of {project.rows}")
    return predictions.assign(**{name: rows[name].to_numpy() for name in columns if name in rows})


def _seen(predictions: Path, challenger: pd.DataFrame) -> str:
    """Say how many of the rows the champion did not hold out: it may know their answers."""
    if not predictions.exists():
        return ""
    seen = int((~challenger["id"].isin(pd.read_parquet(predictions)["id"])).sum())
    told = "were not held out from the champion, which may have trained on them and then looks better than it is"
    return f"{seen:,} of these rows {told}" if seen else ""


def _beside(row: dict[str, Any], committed: float) -> dict[str, Any]:
    """Put the champion's committed metric beside the challenger's."""
    if not math.isfinite(committed):
        return row
    sign = 1 if row["more_is_better"] else -1
    row |= {"champion": committed, "difference": sign * (row["challenger"] - committed)}
    return row | decide(row)

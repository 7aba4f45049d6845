"""Both models on the challenger's held-out rows: the gates' verdict, and whether the author's files are true."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from gitops.document import Chart
from gitops.gates import Gates, HoldoutGates
from gitops.project import Project
from gitops.review import champion as champions
from gitops.review import charts, claims, drift, history, scoring
from gitops.review.bootstrap import finite
from gitops.review.budgets import Resources
from gitops.review.decide import beside
from gitops.review.judge import judge_predictions
from gitops.review.record import Judgement, State
from gitops.review.state import CommitState
from gitops.shell import CommandError, say

FIRST = "this is the first model: there is no champion to beat, only the floors of gates.yaml"


class Unscorable(CommandError):
    """The model can't score the held-out rows; the text says why."""


@dataclass(frozen=True)
class ModelComparison:
    """Both models on the challenger's rows.

    Attributes:
        state, note: how the champion was compared, and what is to be known about that.
        judgement: what the gates say.
        charts: of both models, and of the releases.
        claims: what the author's files say and the model does not, a sentence each.
        data: how the two data versions differ, where that was asked for.
        challenger, champion: the resources that each takes, as far as they were measured.
    """

    state: State
    note: str
    judgement: Judgement
    charts: tuple[Chart, ...]
    claims: tuple[str, ...]
    data: drift.DataChanges
    challenger: Resources
    champion: Resources


@dataclass(frozen=True)
class _ChampionScores:
    """What the champion made of the rows: `predictions` where it is `paired`."""

    state: State
    note: str
    predictions: pd.DataFrame | None = None
    resources: Resources = field(default_factory=dict)
    data: drift.DataChanges = drift.DataChanges()
    claims: tuple[str, ...] = ()


def compare_models(
    project: Project, champion: CommitState, challenger: CommitState, gates: Gates, *, data_changes: bool
) -> ModelComparison:
    """Score the rows with both models and judge; fall back to an unpaired table, and say why.

    Args:
        project: the challenger's, in the working tree.
        champion: the commit that holds it.
        challenger: the working tree's state.
        gates: what to judge by.
        data_changes: compare the two data versions too.

    Raises:
        Unscorable: the challenger can't score its own rows.
        CommandError: a gate does not suit them.
    """
    scored = _score_challenger(project)
    predictions = with_segments(project, scored.predictions, gates.segments.columns)
    old = _score_champion(project, champion, predictions, gates.holdout, data_changes=data_changes)
    judgement = judge_predictions(old.predictions, predictions, gates)
    if old.state == "unpaired":
        committed = champion.recorded_metrics or {}
        rows = (beside(row, finite(committed.get(row.name, math.nan))) for row in judgement.metrics)
        judgement = replace(judgement, metrics=tuple(rows))
    judgement = replace(judgement, remarks=(*judgement.remarks, *old.data.lost))
    return ModelComparison(
        state=old.state,
        note=old.note,
        judgement=judgement,
        charts=(
            *charts.model_charts(old.predictions, predictions),
            *history.release_charts(project, judgement.metrics),
        ),
        claims=(
            *old.claims,
            *claims.contradictions(project, challenger, scored.predictions, judgement.metrics),
        ),
        data=old.data,
        challenger=_resources(Path(project.model), scored),
        champion=old.resources,
    )


def _score_challenger(project: Project) -> scoring.Scored:
    """Score the held-out rows once more: the predictions file may be anything, the model can't lie about itself."""
    say("› the challenger scores its held-out rows")
    try:
        return scoring.score(project.score, Path(project.rows), Path(), (sys.executable,))
    except scoring.ScoringFailed as failed:
        raise Unscorable(f"the model can't score its own held-out rows ({failed})") from None


def _score_champion(
    project: Project, champion: CommitState, challenger: pd.DataFrame, gates: HoldoutGates, *, data_changes: bool
) -> _ChampionScores:
    """Check the champion out and let it score the challenger's rows."""
    if project.model not in champion.outputs:
        return _ChampionScores("none", FIRST)
    data = data_changes and champion.data is not None
    with champions.checkout(champion, project, data=data) as tree:
        changes = drift.data_changes(tree / project.data, Path(project.data)) if data else drift.DataChanges()
        gone = claims.dropped(tree / project.predictions, challenger, gates)
        try:
            scored = champions.score_rows(champion, project, tree, challenger)
        except champions.Unpaired as unpaired:
            return _ChampionScores("unpaired", str(unpaired), data=changes, claims=gone)
        note = _trained_on(tree / project.predictions, challenger)
        resources = _resources(tree / project.model, scored)
        return _ChampionScores("paired", note, scored.predictions, resources, changes, gone)


def _resources(model: Path, scored: scoring.Scored) -> Resources:
    return {"model_mb": model.stat().st_size / 1e6, "p95_ms": scored.p95_ms}


def with_segments(project: Project, predictions: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Put the segment columns of the held-out rows beside the predictions, which are in the same order.

    Raises:
        CommandError: there are more or fewer predictions than rows.
    """
    rows = pd.read_parquet(project.rows)
    if len(rows) != len(predictions):
        raise CommandError(f"the model gives {len(predictions):,} scores for the {len(rows):,} rows of {project.rows}")
    wanted = [name for name in columns if name not in predictions and name in rows]
    return predictions.assign(**{name: rows[name].to_numpy() for name in wanted})


def _trained_on(predictions: Path, challenger: pd.DataFrame) -> str:
    """Say how many of the rows the champion did not hold out: it may know their answers."""
    if not predictions.exists():
        return "which rows the champion held out is not known: its predictions are not in the data remote"
    seen = int((~challenger["id"].isin(pd.read_parquet(predictions)["id"])).sum())
    words = "were not held out from the champion, which may have trained on them and then looks better than it is"
    return f"{seen:,} of these rows {words}" if seen else ""

"""Make the review of a model, for a pull request and for a release alike: the one place that does."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gitops import description, goal
from gitops.gates import Gates
from gitops.project import Project
from gitops.release import serve_check
from gitops.review import state
from gitops.review.budgets import check_budgets
from gitops.review.changes import changes_since
from gitops.review.conclude import review_of
from gitops.review.record import Champion, Changes, Facts, Judgement, LockState, Review
from gitops.review.state import CommitState
from gitops.shell import CommandError

SAME = "the model is the champion's, byte for byte"
NOT_JUDGED = Judgement(rows=0, metrics=(), segments=(), value=(), remarks=())


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What is reviewed, against what, and by what.

    Attributes:
        project: whose files are in the working tree.
        commit: the one that is reviewed.
        base: what the changes are told against.
        champion: whom the model has to match; often the base.
        where: where the champion stands, in words.
        challenger: the working tree's state.
        gates: what the model is judged by.
        lock: whether dvc.lock describes the commit.
        fork: a fork's pull request is reviewed.
        released: code owners have accepted gates and factory as they are, so a change in them is no warning.
    """

    project: Project
    commit: str
    base: CommitState
    champion: CommitState
    where: str
    challenger: CommitState
    gates: Gates
    lock: LockState
    fork: bool = False
    released: bool = False


@dataclass(frozen=True)
class Obtained:
    """How the model, its predictions and its rows got here; `training_seconds` is None where nothing was trained."""

    training_seconds: float | None = None


def assess(given: Assignment, obtain: Callable[[Changes], Obtained] = lambda changes: Obtained()) -> Review:
    """Review the working tree.

    Args:
        given: what to review.
        obtain: brings the model here, by training where it must; called only when the model differs.

    Raises:
        CommandError: a file is not of its format, the pipeline fails, or the model can't score its own rows.
    """
    changes = changes_since(given.base, given.challenger, given.project)
    if given.released:
        changes = replace(changes, gates_changed=False, owned_changes=())
    facts = begin(given, changes)
    if given.lock.stale or not same_model(given.project, given.champion, given.challenger):
        facts = compared(given, facts, obtain(changes))
    claims = [*facts.claims, *goal.problems(given.project)]
    if not given.released:  # a release tries it whether anything changed or not
        claims += serve_check.faults(given.project, given.base.revision)
    facts = replace(facts, claims=tuple(dict.fromkeys(claims)))
    return review_of(facts)


def begin(given: Assignment, changes: Changes) -> Facts:
    """Return the facts of a review in which no model has scored anything yet."""
    return Facts(
        commit=given.commit,
        base=given.base.revision,
        fork=given.fork,
        released=given.released,
        trained=False,
        lock=given.lock,
        champion=Champion(given.champion.revision, given.where, "same", SAME),
        changes=changes,
        judgement=NOT_JUDGED,
        budgets=(),
        charts=(),
        claims=(),
        model_format=None,
    )


def same_model(project: Project, old: CommitState, new: CommitState) -> bool:
    """Tell whether both locks name one model, one set of held-out rows, and the same results."""
    files = (project.model, project.rows, project.predictions, project.metrics)
    return project.model in new.outputs and all(old.outputs.get(path) == new.outputs.get(path) for path in files)


def compared(given: Assignment, facts: Facts, obtained: Obtained) -> Facts:
    """Return the facts with what champion and challenger do on the same rows, which lie in the current folder.

    Raises:
        Unscorable: the code in the current folder can't score the rows with the challenger's model.
        CommandError: a gate does not suit the rows.
    """
    from gitops.review.compare import compare_models  # pandas: slow to import, and most pull requests change no model

    project, data_changes = given.project, bool(facts.changes.data)
    trained = obtained.training_seconds is not None
    challenger = state.of_working_tree(project) if trained else given.challenger  # training rewrites lock and metrics
    found = compare_models(project, given.champion, challenger, given.gates, data_changes=data_changes)
    resources = {**found.challenger, "training_seconds": obtained.training_seconds}
    return replace(
        facts,
        trained=trained,
        champion=replace(facts.champion, state=found.state, note=found.note),
        changes=replace(facts.changes, data=(*facts.changes.data, *found.data.changes)),
        judgement=found.judgement,
        budgets=check_budgets(given.gates.budgets, resources, found.champion),
        charts=found.charts,
        claims=found.claims,
        model_format=_file_format(project),
    )


def _file_format(project: Project) -> str | None:
    """Return the model file's format in its side's own word; None where the description can't be read."""
    try:
        return description.load(project).model.file_format
    except CommandError:  # `goal.problems` says it
        return None

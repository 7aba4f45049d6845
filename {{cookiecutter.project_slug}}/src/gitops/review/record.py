"""The review as a typed record, which `review.json` holds: what was measured, what changes, and what follows.

Standard library only: the jobs that may write read it, and install nothing. Names, reasons and notes are untrusted
text, whoever made the record.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias

from gitops.document import Chart

FORMAT = 3  # of review.json; a job from another version of the factory refuses what it does not know


class Outcome(Enum):
    """What a review says of the merge."""

    PASSES = "pass"
    WARNS = "warn"
    BLOCKS = "block"


class Verdict(Enum):
    """What is said of one row; `blocks` tells whether that row stops the merge. docs/review.md explains each."""

    blocks: bool

    def __new__(cls, words: str, blocks: bool) -> "Verdict":
        """Make a member whose value is its words alone, by which JSON names it."""
        made = object.__new__(cls)
        made._value_ = words
        made.blocks = blocks
        return made

    BETTER = "better", False
    NO_WORSE = "no worse", False
    WITHIN_THE_TOLERANCE = "within the tolerance", False
    MEETS_THE_GATE = "meets the gate", False
    MAY_BE_CHANCE = "may be chance", False
    CANNOT_TELL = "can't tell", False
    WAIVED = "waived", False
    WORSE = "worse", True
    BELOW_FLOOR = "below floor", True
    NOT_SHOWN = "not shown", True
    MISSING = "missing", True
    OVER_THE_BUDGET = "over the budget", True
    WITHIN_THE_BUDGET = "within the budget", False
    NO_LIMIT = "no limit", False
    NOT_MEASURED = "not measured here", False


Requirement: TypeAlias = Literal["not_worse", "non_inferior", "better"]
State: TypeAlias = Literal["paired", "unpaired", "none", "same"]
ContractChange: TypeAlias = Literal["none", "compatible", "breaking"]
Side: TypeAlias = Literal["champion", "challenger"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """What the paired bootstrap says of a difference, in the metric's unit.

    Attributes:
        low: end of the 95 % interval.
        high: the other end.
        standard_error: of the difference.
        p_value: one-sided: how often an equal model loses as much.
        minimum_detectable_effect: the difference that these rows show in 80 % of reviews.
    """

    low: float
    high: float
    standard_error: float
    p_value: float
    minimum_detectable_effect: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of both models on one set of rows, in the metric's unit; None where it has no value.

    Attributes:
        rows: how many.
        more_is_better: False of an error.
        champion: its value, on these rows unless the comparison is unpaired.
        challenger: its value.
        difference: positive where the challenger is better, whatever the metric.
        interval: of the difference; None where the champion was not measured on these rows.
    """

    rows: int
    more_is_better: bool
    champion: float | None
    challenger: float | None
    difference: float | None
    interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class SegmentRow(Comparison):
    """A comparison inside one segment (`name`: `column = value`), and how it was judged."""

    name: str
    tolerance: float
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class MetricRow(SegmentRow):
    """A comparison on all held-out rows, by one gate of gates.yaml."""

    floor: float | None
    require: Requirement


@dataclass(frozen=True, kw_only=True)
class BudgetRow:
    """One resource that a model takes, in the unit that its name says; None where it was not measured."""

    name: str
    champion: float | None
    challenger: float | None
    limit: float | None
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class ValueRow:
    """What a model's decisions gain per 1,000 rows at its best threshold; None: best to act on no row."""

    model: Side
    threshold: float | None
    per_1000: float


@dataclass(frozen=True)
class Judgement:
    """What the gates say of `rows` held-out rows; `remarks`: what these rows can't tell, and what looks too good."""

    rows: int
    metrics: tuple[MetricRow, ...]
    segments: tuple[SegmentRow, ...]
    value: tuple[ValueRow, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A parameter, package or fact of the data that differs, in words."""

    name: str
    champion: str
    challenger: str


@dataclass(frozen=True)
class CodeArea:
    """Changed files of one part of the repository, each with the lines taken and added."""

    area: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Contract:
    """How the service's contract changes, and one sentence for each thing that breaks its callers."""

    change: ContractChange
    breaks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a commit changes besides the numbers.

    `stages` of the pipeline ran again, in its order; `owned_changes` are what a code owner must look at.
    """

    params: tuple[Change, ...]
    data: tuple[Change, ...]
    dependencies: tuple[Change, ...]
    code: tuple[CodeArea, ...]
    stages: tuple[str, ...]
    contract: Contract
    gates_changed: bool
    owned_changes: tuple[str, ...]


@dataclass(frozen=True)
class LockState:
    """Whether dvc.lock describes the commit (`stale`: why not), and which files the data remote lacks.

    What it lacks is `missing`, unless this is a laptop that has the file: then it is only `unpushed` yet.
    """

    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unpushed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Champion:
    """Whom the challenger is compared with: a commit and `where` it stands, how it was compared, and a note on that."""

    commit: str
    where: str
    state: State
    note: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a review found, before anything follows from it.

    `claims` are sentences, each of which blocks. `unjudged` says why the base's own code could not score the model, so
    that the numbers are the pull request's word: "" where it could, and in a review outside of a pull request.
    """

    commit: str
    base: str
    fork: bool
    released: bool
    trained: bool
    lock: LockState
    champion: Champion
    changes: Changes
    judgement: Judgement
    budgets: tuple[BudgetRow, ...]
    charts: tuple[Chart, ...]
    claims: tuple[str, ...]
    model_format: str | None
    unjudged: str = ""


@dataclass(frozen=True)
class Conclusion:
    """What follows from the facts: sentences that block, that warn, and that are only good to know."""

    verdict: Outcome
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Review(Conclusion):
    """What `review.json` holds: the facts, and what follows from them."""

    format: int
    facts: Facts

"""What a report is made of, apart from its form; `markdown` writes it as a comment and `page` as a page.

A text is a list of pieces. A plain `str` is our own wording; all that a pull request can choose is `Untrusted`, which
each form shows in its own harmless way. Standard library only: the jobs that may write render reports, and install
nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

VALUE_LIMIT = 160  # characters of one untrusted value
METRICS = {"roc_auc", "average_precision", "log_loss", "brier", "r2", "mae", "rmse"}
WORDS = METRICS | {  # all that may stand in a chart: the words are ours, the numbers are numbers
    *("ROC curve", "false positive rate", "true positive rate", "champion", "challenger"),
    *("Calibration of the challenger", "predicted", "observed", "share of positives", "mean"),
    *("Scores of the challenger", "score", "share of the class", "negatives", "positives"),
    *("Mean absolute error", "error", "tenth of the rows, by rising score"),
    *("Right answers by class", "class, by name", "share of the class that is found"),
    *("The last releases, and this model", "release, this model last", "metric", "releases"),
}


class Untrusted(str):
    """A piece that others wrote, or a command to copy: shown as it is, and never as markup."""


class Strong(str):
    """A piece that must not be overlooked."""


Text: TypeAlias = list[str]


def joined(values: Iterable[object], separator: str = ", ") -> Text:
    """Return untrusted values one after the other, with a separator between them."""
    pieces: Text = []
    for value in values:
        pieces += [*([separator] if pieces else []), Untrusted(value)]
    return pieces


@dataclass(frozen=True)
class Axis:
    """One axis of a chart: its name, and the values at its two ends."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """One line of a chart: finite values at equal distances along the x axis."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """At most two lines over one pair of axes.

    Raises:
        ValueError: it has more lines, or a word that is not one of `WORDS`: a drawing has no harmless form for others.
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]

    def __post_init__(self) -> None:
        names = {self.title, self.x.name, self.y.name, *(line.name for line in self.series)}
        if len(self.series) > 2 or not names <= WORDS:
            raise ValueError("not a chart of ours")


@dataclass(frozen=True)
class Headline:
    """What the report decides (`kind`: pass, warn or block), why, and further reasons."""

    kind: str
    mark: str
    title: str
    why: Text
    rest: list[Text]


@dataclass(frozen=True)
class Paragraph:
    """Sentences without a line end between them."""

    text: Text


@dataclass(frozen=True)
class Bullets:
    """A list without an order, one text an entry."""

    items: list[Text]


@dataclass(frozen=True)
class Table:
    """A table; `numbers` of its columns, after the first, hold numbers."""

    head: list[str]
    rows: list[list[Text]]
    numbers: int = 0


@dataclass(frozen=True)
class Charts:
    """Charts, one below or beside the other."""

    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Fold:
    """Blocks that are hidden below a title until somebody opens them."""

    title: str
    blocks: "list[Block]"


@dataclass(frozen=True)
class Footer:
    """The small print."""

    text: Text


Block: TypeAlias = Headline | Paragraph | Bullets | Table | Charts | Fold | Footer


def clean(value: object) -> str:
    """Return an untrusted value as one short line of printable characters, none of which turns the direction."""
    return "".join(character if character.isprintable() else " " for character in str(value)[:VALUE_LIMIT])

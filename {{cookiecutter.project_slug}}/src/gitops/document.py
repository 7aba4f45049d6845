"""What a report is made of, apart from its form; `markdown` writes it as a comment and `page` as a page.

A text is a list of pieces. A plain `str` is our own wording; all that a pull request can choose is `Said`, which each
form shows in its own harmless way.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

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


class Said(str):
    """A piece that others wrote, or a command to copy."""


class Strong(str):
    """A piece that must not be overlooked."""


Text: TypeAlias = list[str]


@dataclass(frozen=True)
class Headline:
    """What the report decides (`verdict`: pass, warn or block), why, and further reasons."""

    verdict: str
    mark: str
    title: str
    why: Text
    rest: list[Text]


@dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    text: Text


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: list[Text]


@dataclass(frozen=True)
class Table:
    """A table; `numbers` of its columns, after the first, hold numbers."""

    head: list[str]
    rows: list[list[Text]]
    numbers: int = 0


@dataclass(frozen=True)
class Charts:
    """Charts as `gitops.review.charts` makes them; a word that is not ours raises a ValueError."""

    charts: list[dict[str, Any]]

    def __post_init__(self) -> None:
        for chart in self.charts:
            names = list(chart["series"])
            if len(names) > 2 or not {chart["title"], chart["x"][0], chart["y"][0], *names} <= WORDS:
                raise ValueError("not a chart of ours")


@dataclass(frozen=True)
class Fold:
    """What not everybody has to read."""

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

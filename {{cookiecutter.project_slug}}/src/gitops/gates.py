"""gates.yaml: what a model must reach. A misspelt key is refused, since a gate that is not read can't block."""

from datetime import date
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from gitops.shell import CommandError

BUDGETS = ("training_seconds", "model_mb", "p95_ms", "memory_mb", "image_mb")
Number = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    """A mapping of known keys. Its values are taken as they stand: "0.8" is a text, and an empty one is a slip."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _no_blanks(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for key, value in given.items():
                if value is None:
                    raise ValueError(f"has an empty {key}: give it a value, or take the line out")
        return given


class Gate(_Section):
    """What one metric must reach, in its own unit."""

    floor: Number | None = None
    tolerance: Annotated[Number, Field(ge=0)] = 0.0
    require: Literal["not_worse", "non_inferior", "better"] = "not_worse"


class SegmentGates(_Section):
    """Groups of rows that are compared too: each value of these columns that has `min_rows` rows."""

    columns: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    metric: Name = "roc_auc"
    tolerance: Annotated[Number, Field(ge=0)] = 0.0
    min_rows: Annotated[int, Field(ge=1)] = 100


class Gains(_Section):
    """What each outcome of one row gains; a cost is negative."""

    true_positive: Number
    false_positive: Number
    false_negative: Number
    true_negative: Number


class HoldoutGates(_Section):
    """Which share of the rows that main holds out may be missing from those that judge another model."""

    dropped: Annotated[Number, Field(ge=0, le=1)] = 0.0


class Waiver(_Section):
    """A known loss that a code owner lets pass until a day, of a metric or of a segment."""

    metric: Name
    reason: Name
    who: Name
    until: date


class Gates(_Section):
    """The checked content; `budgets` are the most that a model may take, each in the unit in its name."""

    metrics: Annotated[dict[str, Gate], Field(min_length=1)]
    baseline: Literal["main", "production"] = "main"
    segments: SegmentGates = SegmentGates()
    holdout: HoldoutGates = HoldoutGates()
    budgets: dict[str, Number] = {}
    value: Gains | None = None
    waivers: Annotated[tuple[Waiver, ...], Field(strict=False)] = ()

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Any) -> Any:
        """A part that is left empty is none, and a metric without settings has the default ones."""
        if not isinstance(given, dict):
            return given
        made = {part: value for part, value in given.items() if value is not None}
        if isinstance(metrics := made.get("metrics"), dict):
            made["metrics"] = {str(name): {} if gate is None else gate for name, gate in metrics.items()}
        return made

    @field_validator("budgets", mode="before")
    @classmethod
    def _known_budgets(cls, given: Any) -> Any:
        if isinstance(given, dict) and (odd := [name for name in given if name not in BUDGETS]):
            raise ValueError(f"has no {odd[0]!r}; it knows {', '.join(BUDGETS)}")
        return given


def read(text: str | None) -> Gates:
    """Parse gates.yaml.

    Raises:
        CommandError: it is not YAML, or a key or value is none that we know; the sentence says where.
    """
    try:
        content = yaml.safe_load(text or "")
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a day like 2027-02-31
        raise CommandError(f"gates.yaml is not valid YAML: {' '.join(str(error).split())}") from None
    return check(content)


def check(content: Any) -> Gates:
    """Check the parsed content of gates.yaml and complete it with the defaults.

    Raises:
        CommandError: a key or value is none that we know; the sentence says where.
    """
    if not isinstance(content, dict):
        raise CommandError("gates.yaml must be a mapping with `metrics:`")
    try:
        return Gates.model_validate(content)
    except ValidationError as invalid:
        raise CommandError(f"gates.yaml: {_sentence(invalid.errors()[0])}") from None


def _sentence(error: ErrorDetails) -> str:
    """Say what is wrong, where, and what is known there."""
    where, given = [str(part) for part in error["loc"]], error["input"]
    name, section = ".".join(where), ".".join(where[:-1]) or "the file"
    match error["type"]:
        case "missing" | "too_short" if where == ["metrics"]:
            return "names no metric under `metrics`, so nothing would be judged"
        case "extra_forbidden" | "invalid_key":
            return f"{section} has no {where[-1]!r}; it knows {_keys(where[:-1])}"
        case "missing":
            return f"{section} needs {_keys(where[:-1])}, and has no {where[-1]}"
        case "model_type" | "dict_type":
            return f"{name} is not a mapping of {_keys(where)}"
        case "float_type" | "finite_number":
            return f"{name} is {given!r}, which is not a number"
        case "int_type" | "int_from_float":
            return f"{name} is {given!r}, which is not a whole number"
        case "greater_than_equal":
            return f"{name} is {given!r}, and the least that it can be is {error['ctx']['ge']:g}"
        case "literal_error":
            return f"{name} is {given!r}, which is none of {', '.join(_choices(where))}"
        case "string_type" | "string_too_short":
            return f"{name} is {given!r}, which is not a text: write one, in quotes if it looks like a number"
        case "tuple_type":
            return f"{name} is {given!r}, which is not a list"
        case "date_type" | "date_from_datetime_inexact":
            return f"{name} is {given!r}, which is no day like 2027-01-31"
        case "value_error":  # our own validators'
            return f"{name} {error['ctx']['error']}"
    return f"{name} is {given!r}: {error['msg']}"


def _keys(where: list[str]) -> str:
    """Return the keys that a part of the file knows, in words."""
    free: dict[tuple[str, ...], tuple[str, ...]] = {("metrics",): ("names of metrics",), ("budgets",): BUDGETS}
    return ", ".join(free.get(tuple(where)) or _section(where).model_fields)


def _choices(where: list[str]) -> tuple[str, ...]:
    return get_args(_section(where[:-1]).model_fields[where[-1]].annotation)


def _section(where: list[str]) -> type[_Section]:
    """Return the model of a part of the file."""
    kinds: dict[str, type[_Section]] = {
        "metrics": Gate,
        "segments": SegmentGates,
        "holdout": HoldoutGates,
        "value": Gains,
        "waivers": Waiver,
    }
    return kinds[where[0]] if where else Gates

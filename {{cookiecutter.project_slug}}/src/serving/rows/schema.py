"""What a row is: read from schema.yaml, it checks the training table and types the service's requests alike.

The service runs without pandas, so nothing here may import it at the top.
"""

from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from serving.rows.errors import ModelError
from serving.rows.parameters import read_yaml

PATH = Path("schema.yaml")
# What a request may hold where schema.yaml has no limit: an integer that every JSON reader keeps exact, and a number
# that a model can add and multiply without leaving float32.
WIDEST = {"integer": 2**53 - 1, "number": 1e30}
# What a file may hold: an integer that is the same as float64, and a number that is not infinite as float32.
LARGEST = {"integer": 2**53 - 1, "number": 3.4028234e38}
TOO_LARGE = {
    "integer": f"beyond ±{2**53 - 1:,}, where an integer is not exact any more",
    "number": "beyond ±3.4e+38, the largest number that a model reads",
}


def _whole(value: Any) -> Any:
    """JSON knows no integers: 3.0 is one, and what pandas sends where a column has gaps."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
# column type -> Python type in a request
TYPES: dict[str, Any] = {"number": float, "integer": int, "boolean": bool, "date": date, "category": str}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Column(_Part):
    """One feature; `min` and `max` are allowed values, `nullable` allows a missing one."""

    type: Literal["number", "integer", "boolean", "date", "category"]
    min: Any = None
    max: Any = None
    nullable: bool = False
    values: list[str] = []

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.type == "category") != bool(self.values):
            raise ValueError("a category lists its values, and no other type does")
        if len(set(self.values)) < len(self.values) or not all(self.values):
            raise ValueError("each value is listed once, and an empty one is `nullable: true` instead")
        limits = [limit for limit in (self.min, self.max) if limit is not None]
        if limits and self.type not in ("number", "integer"):
            raise ValueError("only a number or an integer has min and max")
        if not all(type(limit) in (int, float) for limit in limits):
            raise ValueError("min and max are numbers, written out like 1000000")
        if len(limits) == 2 and self.min > self.max:
            raise ValueError("min is above max")
        return self


class Target(_Part):
    """What the model predicts. Binary: the probability of `positive`. Regression: the number itself."""

    name: str
    task: Literal["binary", "regression"]
    positive: str = ""
    negative: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.task == "binary" and not (self.positive and self.negative and self.positive != self.negative):
            raise ValueError("a binary target names its positive and its negative value, in quotes")
        return self


class Schema(_Part):
    """The whole of schema.yaml. Without an `id` a row is known by its number; `ignored` maps a column to the reason."""

    id: str | None = None
    target: Target
    columns: dict[str, Column] = Field(min_length=1)
    ignored: dict[str, str] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [*filter(None, [self.id]), self.target.name, *self.columns, *self.ignored]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} has two roles, but a column is the id, the target, a feature or ignored")
        return self

    @property
    def numbers(self) -> list[str]:
        """The columns of the model's input `numbers`, in its order."""
        return [name for name, column in self.columns.items() if column.type != "category"]

    @property
    def categories(self) -> list[str]:
        """The columns of the model's input `categories`, in its order."""
        return [name for name, column in self.columns.items() if column.type == "category"]

    @cached_property
    def fields(self) -> tuple[list[str], list[str]]:
        """What `row_model` calls the columns of `numbers` and those of `categories`."""
        called = {name: f"c{i}" for i, name in enumerate(self.columns)}
        return [called[name] for name in self.numbers], [called[name] for name in self.categories]

    def row_model(self, *, unknown_is_missing: bool = False) -> type[BaseModel]:
        """Return the type of a request's record: `c0` is the first column, which callers know by its own name.

        A category outside its values is refused, or with `unknown_is_missing` taken for a missing one.
        """
        fields = [_field(name, column, unknown_is_missing) for name, column in self.columns.items()]
        rows: dict[str, Any] = {f"c{i}": field for i, field in enumerate(fields)}
        if self.id:
            rows["id"] = (Annotated[str, Field(min_length=1)], Field(alias=self.id))
        return create_model("Row", __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False), **rows)


def _field(name: str, column: Column, unknown_is_missing: bool) -> tuple[Any, Any]:
    """Return pydantic's annotation and default of a column."""
    kind: Any = Literal.__getitem__(tuple(column.values)) if column.values else TYPES[column.type]
    if column.values and unknown_is_missing:
        known = Field(description="Unknown values count as missing", examples=column.values)
        kind = Annotated[str, known, AfterValidator(lambda value: value if value in column.values else None)]
    if column.type in ("integer", "number"):
        widest = WIDEST[column.type]
        low = column.min if column.min is not None else -widest
        high = column.max if column.max is not None else widest
        kind = Annotated[kind, Field(ge=low, le=high)]
    if column.type == "integer":
        kind = Annotated[kind, WHOLE]  # ahead of the limits, which the contract would not show otherwise
    return (kind | None, Field(alias=name, default=None)) if column.nullable else (kind, Field(alias=name))


def load_schema(path: Path = PATH) -> Schema:
    """Read schema.yaml.

    Raises:
        ModelError: it is missing, is not YAML or breaks a rule; the sentence says where.
    """
    try:
        return Schema.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None

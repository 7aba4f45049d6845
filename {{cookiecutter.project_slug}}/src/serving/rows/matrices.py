"""From rows to the model's two input matrices: one path for training, evaluation, service and batch.

The service runs without pandas, so nothing here may import it at the top.
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from serving.rows.errors import ModelError
from serving.rows.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

EPOCH = date(1970, 1, 1).toordinal()

Matrices = dict[str, NDArray[Any]]


def from_frame(schema: Schema, frame: "pd.DataFrame") -> Matrices:
    """Return the inputs for a table of n rows with the schema's columns; others are left alone.

    Returns:
        `numbers`, float32 [n, numeric columns], a date in days since 1970-01-01, missing as NaN, and `categories`,
        object [n, text columns], missing as "". An input without columns is left out.

    Raises:
        ModelError: a column is missing or holds another kind of values; a category that nobody has seen is fine.
    """
    if lacking := [name for name in schema.columns if name not in frame]:
        raise ModelError(f"the rows have no column {lacking[0]!r}, which schema.yaml lists")
    numbers = [typed_numbers(frame[name], schema.columns[name].type) for name in schema.numbers]
    categories = [_categories(frame[name]) for name in schema.categories]
    count = len(frame)
    return stack(
        np.array(numbers, np.float64).reshape(len(numbers), count).T,
        np.array(categories, object).reshape(len(categories), count).T,
    )


def from_records(schema: Schema, records: Sequence[BaseModel]) -> Matrices:
    """Return the same inputs for n records of `Schema.row_model`."""
    rows = [record.__dict__ for record in records]
    numeric, textual = schema.fields
    numbers = [row[field] for row in rows for field in numeric]  # None becomes NaN
    numbers = [_days(value) if isinstance(value, date) else value for value in numbers]
    categories = [row[field] or "" for row in rows for field in textual]
    return stack(
        np.array(numbers, np.float64).reshape(len(rows), len(numeric)),
        np.array(categories, object).reshape(len(rows), len(textual)),
    )


def named(schema: Schema, matrices: Matrices) -> "pd.DataFrame":
    """Return the inputs of n rows as a data frame with the columns' names: the values that the service will see."""
    import pandas as pd

    names = {"numbers": schema.numbers, "categories": schema.categories}
    return pd.concat([pd.DataFrame(x, columns=names[kind]) for kind, x in matrices.items()], axis=1)


def stack(numbers: NDArray[np.float64], categories: NDArray[Any]) -> Matrices:
    """Return matrices as the model's inputs; float64 first, so that a frame and a record round to float32 alike."""
    matrices: Matrices = {}
    if numbers.shape[1]:
        with np.errstate(over="ignore"):  # infinity then, which the caller sees in the score
            matrices["numbers"] = numbers.astype(np.float32)
    if categories.shape[1]:
        matrices["categories"] = categories
    return matrices


def _days(value: date | None) -> float:
    """Return a date as a feature."""
    return np.nan if value is None else float(value.toordinal() - EPOCH)


def typed_numbers(column: "pd.Series[Any]", kind: str) -> NDArray[np.float64]:
    """Return a typed column of a frame as features, [n], missing as NaN.

    Raises:
        ModelError: its values are of another kind.
    """
    if kind == "date":
        try:
            return np.array([_days(None if x is None else date.fromisoformat(x)) for x in _texts(column)])
        except ValueError as error:
            raise ModelError(f"column {column.name!r} should hold dates like 2024-01-31: {error}") from None
    if column.dtype.kind not in "iufb" and column.notna().any():
        raise ModelError(f"column {column.name!r} holds {column.dtype} values, and schema.yaml says {kind}")
    values: NDArray[np.float64] = column.to_numpy(np.float64, na_value=np.nan)
    return values


def _categories(column: "pd.Series[Any]") -> list[str]:
    return [text or "" for text in _texts(column)]


def _texts(column: "pd.Series[Any]") -> list[str | None]:
    values = column.astype(object).where(column.notna(), None).tolist()
    if odd := [value for value in values if not isinstance(value, str | None)]:
        raise ModelError(f"column {column.name!r} holds {odd[0]!r}, and schema.yaml says text")
    return values

"""From an Arrow batch to the model's inputs, and which row breaks which rule of schema.yaml: whole columns at a time.

Of a column of text each different cell is looked at once, and it means what it means in the training table.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from serving.rows.errors import ModelError
from serving.rows.matrices import Matrices, typed_numbers
from serving.rows.schema import LARGEST, TOO_LARGE, Column, Schema

Mask = NDArray[np.bool_]
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # in a second, by the unit of a time stamp


class Fault(NamedTuple):
    """A broken rule: in which column, which rule, and by which rows, bool [n]."""

    column: str
    reason: str
    rows: Mask


def check(schema: Schema, batch: pa.RecordBatch, *, reject_unknown: bool) -> tuple[Matrices, list[Fault]]:
    """Return the model's inputs for n rows, the bad ones among them, and what is wrong.

    A category that schema.yaml doesn't list is a fault with `reject_unknown`, and else a missing value.

    Raises:
        ModelError: a column's type can't hold what schema.yaml says.
    """
    # Filled column by column: to copy columns that are all held at once costs more than to compute them.
    numbers = np.empty((len(schema.numbers), batch.num_rows), np.float32)
    categories = np.empty((len(schema.categories), batch.num_rows), object)
    numeric, textual = iter(numbers), iter(categories)
    faults: list[Fault] = []
    for name, rule in schema.columns.items():
        array = batch[name]
        try:
            if rule.type == "category":
                next(textual)[:], broken = _category(rule, array, reject_unknown=reject_unknown)
            else:
                with np.errstate(over="ignore"):
                    next(numeric)[:], broken = _number(rule, array)
        except pa.ArrowException:
            raise ModelError(f"column {name!r} holds {array.type}, and schema.yaml says {rule.type}") from None
        faults += [Fault(name, reason, rows) for reason, rows in broken.items() if rows.any()]
    return {name: x.T for name, x in (("numbers", numbers), ("categories", categories)) if len(x)}, faults


def texts(array: pa.Array) -> pa.Array:
    """Return a column as trimmed text, null where a value is missing or empty."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    trimmed = pc.utf8_trim_whitespace(array.cast(pa.large_string()))
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _category(rule: Column, array: pa.Array, *, reject_unknown: bool) -> tuple[NDArray[Any], dict[str, Mask]]:
    """Return the texts, object [n], missing as "", and the rows that break each rule."""
    if pa.types.is_null(array.type):
        array = array.cast(pa.string())
    codes, cells = _coded(array)
    unknown = np.array([bool(cell) and cell not in rule.values for cell in cells])
    if not reject_unknown:
        cells = ["" if odd else cell for cell, odd in zip(cells, unknown, strict=True)]
    empty = np.array([not cell for cell in cells])
    broken = {}
    if reject_unknown and unknown.any():
        broken["none of its listed values"] = unknown[codes]
    if not rule.nullable and empty.any():
        broken["missing"] = empty[codes]
    return np.array(cells, object)[codes], broken


def _number(rule: Column, array: pa.Array) -> tuple[NDArray[np.float64], dict[str, Mask]]:
    """Return the numbers, float64 [n], missing as NaN, and the rows that break each rule."""
    if _is_text(array.type):
        codes, cells = _coded(array)
        values, odd, large = (x[codes] for x in _parsed(rule.type, cells))
    else:
        values = _native(rule.type, array)
        sure = pa.types.is_boolean(array.type) or (rule.type != "boolean" and pa.types.is_integer(array.type))
        odd = np.zeros(len(values), bool) if sure else _odd(rule.type, values)
        large = _large(rule.type, values)
    broken = {f"no {rule.type}": odd & ~large, TOO_LARGE.get(rule.type, ""): large}
    odd |= large
    if not rule.nullable:
        broken["missing"] = np.isnan(values) & ~odd
    if rule.min is not None:
        broken[f"below its min {rule.min:g}"] = (values < rule.min) & ~odd
    if rule.max is not None:
        broken[f"above its max {rule.max:g}"] = (values > rule.max) & ~odd
    return values, broken


def _native(kind: str, array: pa.Array) -> NDArray[np.float64]:
    """Return the numbers of a column that has a type; a day counts from 1970-01-01."""
    if (kind == "date") != pa.types.is_temporal(array.type) and not pa.types.is_null(array.type):
        raise pa.ArrowTypeError(kind)
    if kind == "date" and not pa.types.is_null(array.type):
        return _days(array)
    values: NDArray[np.float64] = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _days(array: pa.Array) -> NDArray[np.float64]:
    """Return the days of dates or time stamps; infinite where they are more than 32 bits hold."""
    days: NDArray[np.float64] = array.cast(pa.date32(), safe=False).cast(pa.int32()).to_numpy(zero_copy_only=False)
    if not pa.types.is_date32(array.type):
        ticks = array.cast(pa.int64()).to_numpy(zero_copy_only=False)
        a_day = 86400 * TICKS[getattr(array.type, "unit", "ms")]
        wrapped = np.abs(ticks / a_day - days) > 2  # a time zone moves it by one at most
        days = np.where(wrapped, np.inf, days)
    return days.astype(np.float64)


def _odd(kind: str, values: NDArray[np.float64]) -> Mask:
    """Tell which numbers are none of a kind."""
    odd = np.isinf(values)
    if kind == "boolean":
        odd = ~(np.isnan(values) | (values == 0) | (values == 1))
    elif kind == "integer":
        with np.errstate(invalid="ignore"):  # of infinity
            odd |= ~np.isnan(values) & (values % 1 != 0)
    return odd


def _parsed(kind: str, cells: list[str]) -> tuple[NDArray[np.float64], Mask, Mask]:
    """Return the numbers that texts stand for, as in the training table, which for none, and which are `_large`."""
    import pandas as pd

    from serving.rows.table import numbers, parse, present  # slow to import, and typed files do without

    column = pd.Series(cells, dtype="str")
    values = typed_numbers(parse(kind, column), kind)
    large = _large(kind, np.asarray(numbers(column), np.float64)) if kind in LARGEST else np.zeros(len(cells), bool)
    return values, np.isnan(values) & present(column, kind).notna().to_numpy(), large


def _large(kind: str, values: NDArray[np.float64]) -> Mask:
    """Tell which numbers are, or may have become, others in the reading of them."""
    return (np.abs(values) > LARGEST.get(kind, np.inf)) & np.isfinite(values)


def _coded(array: pa.Array) -> tuple[NDArray[np.integer[Any]], list[str]]:
    """Return for each row the place of its text in the list of different texts, which are trimmed; "" if missing.

    Raises:
        ArrowInvalid: the column holds something else.
    """
    if not _is_text(array.type):
        raise pa.ArrowTypeError(str(array.type))
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    cells, codes = [(cell or "").strip() for cell in array.dictionary.to_pylist()], array.indices
    if codes.null_count:
        cells, codes = [*cells, ""], codes.fill_null(len(cells))
    return codes.to_numpy(zero_copy_only=False), cells


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))

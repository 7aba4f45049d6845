"""From rows to scores: the model's two input matrices, and the model file. Training, evaluation and service pass here.

The service runs without pandas, and with ONNX without scikit-learn, so nothing here may import them at the top.
"""

import json
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import BaseModel

from model.schema import ModelError, Schema, cause

if TYPE_CHECKING:
    import pandas as pd

MODEL = Path("build/model.bin")
SKOPS = b"PK"  # how a skops file starts: it is a zip archive
EPOCH = date(1970, 1, 1).toordinal()

Matrices = dict[str, NDArray[Any]]


class Model(Protocol):
    """An open model file; `format` is `onnx` or `skops`."""

    format: str

    def score(self, matrices: Matrices) -> NDArray[np.float64]:
        """Return a score for each row, [n]: the positive value's probability, or the predicted number."""

    def noted(self) -> str | None:
        """Return what training noted in the file, as JSON."""


class OnnxModel:
    """An ONNX file, on one thread: a service's parallelism is its processes."""

    format = "onnx"

    def __init__(self, content: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.last = self.session.get_outputs()[-1].name  # a classifier's first output are its labels

    def score(self, matrices: Matrices) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = self.session.run([self.last], matrices)[0][:, -1].astype(np.float64)
        return scores

    def noted(self) -> str | None:
        note: str | None = self.session.get_modelmeta().custom_metadata_map.get("reference")
        return note


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


def open_model(path: Path = MODEL) -> Model:
    """Open the model file.

    Raises:
        ModelError: there is no such file, or it is not a model.
    """
    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"there is no {path}: `uv run dvc repro` trains it, `uv run dvc pull` brings it") from None
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except Exception as error:  # those of onnxruntime and skops have no common class
        raise ModelError(f"{path} is not a model that can be opened: {cause(error)}") from None


@cache
def load(content: bytes) -> Model:
    """Open a model file's content, which tells its format; once for each content.

    Raises:
        ModelError: a skops file holds a type that is not trusted, or this environment can't open one.
    """
    if not content.startswith(SKOPS):
        return OnnxModel(content)
    try:
        from model.skops_model import SkopsModel
    except ImportError as error:
        raise ModelError(f"a skops file needs {error.name}: the `serve` group in pyproject.toml says how") from None
    return SkopsModel(content)


def reference(model: Model) -> dict[str, Any]:
    """Return what training noted in the model file: each column's `typical` value and the scores' `deciles`.

    Raises:
        ModelError: it noted nothing.
    """
    noted = model.noted()
    if noted is None:
        raise ModelError("the model file holds no `reference`, which `train` writes into it: run `uv run dvc repro`")
    return dict(json.loads(noted))


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

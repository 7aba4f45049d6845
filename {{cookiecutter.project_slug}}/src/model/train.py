"""Fit the pipeline of `pipeline.py`, and write all of it, preprocessing included, to the model file."""

from typing import Any

import numpy as np
import pandas as pd

from model import data
from model.pipeline import build, fit
from serving.model_file.export import chosen_format, faithful, predicted
from serving.model_file.opening import MODEL
from serving.rows.errors import ModelError, run_stage
from serving.rows.matrices import from_frame, named
from serving.rows.parameters import params
from serving.rows.schema import Schema, load_schema


def train() -> None:
    """Write build/model.bin, once it is shown to score the held-out rows as the fitted pipeline does.

    Raises:
        ModelError: params.yaml, the rows or a step of the pipeline is at fault, and how to mend it.
    """
    schema, given, form = load_schema(), params(), chosen_format()
    rows, holdout = (data.read_rows(path) for path in (data.TRAIN, data.HOLDOUT))
    features = named(schema, from_frame(schema, rows))
    pipeline = build(schema, given)
    try:
        fit(pipeline, features, data.truth(schema, rows), given)
    except ValueError as error:
        raise ModelError(f"training failed with model.{given['model']['kind']} of params.yaml: {error}") from None
    noted = reference(schema, rows, predicted(pipeline, features))
    content, difference = faithful(pipeline, schema, from_frame(schema, holdout), noted, form)
    MODEL.write_bytes(content)
    print(f"{MODEL}: {form}, {len(content):,} bytes; on the held-out rows within {difference:.1e} of the pipeline")


def reference(schema: Schema, rows: pd.DataFrame, scores: "np.typing.NDArray[np.float64]") -> dict[str, Any]:
    """Return what the service needs to know of the training rows: it goes into the model file.

    `typical` is each column's median, or its most frequent value; `deciles` are the nine that part the scores.
    """
    typical = {name: _typical(column.type, rows[name].dropna()) for name, column in schema.columns.items()}
    return {"typical": typical, "deciles": np.unique(np.quantile(scores, np.arange(1, 10) / 10)).tolist()}


def _typical(kind: str, values: "pd.Series[Any]") -> Any:
    if values.empty or kind in ("category", "boolean"):
        return values.mode().tolist()[0] if len(values) else None
    return sorted(values.tolist())[len(values) // 2]  # the upper median: a value that occurs, of dates too


if __name__ == "__main__":
    run_stage(train)

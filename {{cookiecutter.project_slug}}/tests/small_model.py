"""A small model of fixed columns, for the tests of serving: they hold whatever src/model/ and schema.yaml say."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from conftest import made_up
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from serving.model_file.export import export
from serving.model_file.opening import load_model
from serving.rows.matrices import Matrices, from_frame, named
from serving.rows.schema import Column, Schema, Target
from serving.rows.table import typed

ROWS = 80
SCHEMA = Schema(
    id="key",
    target=Target(name="left", task="binary", positive="Yes", negative="No"),
    columns={
        "age": Column(type="integer", min=0, max=120),
        "fee": Column(type="number", nullable=True),
        "plan": Column(type="category", values=["a", "b"]),
        "since": Column(type="date", nullable=True),
        "ok": Column(type="boolean"),
    },
)
PARAMS = "model:\n  format: onnx\nthreshold: 0.5\n"


def rows() -> pd.DataFrame:
    """Return made-up rows, typed."""
    return typed(SCHEMA, made_up(SCHEMA, ROWS))


def truth(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return the target of n rows, [n]."""
    return (frame["left"] == "Yes").to_numpy(np.float64)


def inputs() -> Matrices:
    """Return the rows as a model gets them."""
    return from_frame(SCHEMA, rows())


def fitted() -> Pipeline:
    """Return a logistic regression on the rows."""
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = [("numbers", scaled, SCHEMA.numbers), ("categories", one_hot, SCHEMA.categories)]
    return make_pipeline(ColumnTransformer(columns), LogisticRegression()).fit(named(SCHEMA, inputs()), truth(rows()))


def write(folder: Path) -> None:
    """Write the files of a project that has evaluated this model."""
    (folder / "build").mkdir()
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "schema.yaml").write_text(yaml.safe_dump(SCHEMA.model_dump(exclude_defaults=True), sort_keys=False))
    frame = rows()
    frame.to_parquet(folder / "build/holdout.parquet")
    typical = json.loads(frame[list(SCHEMA.columns)].iloc[[0]].to_json(orient="records"))[0]
    content = export(fitted(), SCHEMA, {"typical": typical, "deciles": [0.5]})
    (folder / "build/model.bin").write_bytes(content)
    scores = load_model(content).score(inputs())
    evaluated = pd.DataFrame({"id": frame["key"], "truth": truth(frame), "score": scores})
    evaluated.to_parquet(folder / "build/predictions.parquet", index=False)

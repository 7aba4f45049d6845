"""The model file is the pipeline that was fitted, with this project's own pipeline.py, parameters and columns."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest

from model import data
from model.pipeline import build, fit
from model.train import train
from serving.model_file import export
from serving.model_file.export import chosen_format, parity
from serving.model_file.opening import MODEL, open_model, reference
from serving.rows.errors import ModelError
from serving.rows.matrices import from_frame, named
from serving.rows.parameters import params
from serving.rows.schema import load_schema


def test_the_same_rows_give_the_same_bytes(project: Path) -> None:
    first = MODEL.read_bytes()
    MODEL.unlink()
    train()
    assert MODEL.read_bytes() == first, "pass `seed` of params.yaml to what draws random numbers in pipeline.py"


def test_the_file_has_the_chosen_format_and_scores_as_the_pipeline_does(project: Path) -> None:
    schema, rows = load_schema(), pd.read_parquet(data.TRAIN)
    matrices = from_frame(schema, rows)
    fitted = build(schema, params())
    fit(fitted, named(schema, matrices), data.truth(schema, rows), params())
    assert parity(fitted, MODEL.read_bytes(), schema, matrices) < export.PARITY
    assert open_model().format == chosen_format()
    if chosen_format() == "onnx":
        domains = [opset.domain for opset in onnx.load(MODEL).opset_import]
        assert domains == sorted(domains)  # else another process would write other bytes


def test_what_training_noted_is_of_the_training_rows(project: Path) -> None:
    schema, rows, noted = load_schema(), pd.read_parquet(data.TRAIN), reference(open_model())
    assert list(noted["typical"]) == list(schema.columns)
    for name, value in noted["typical"].items():
        assert value in rows[name].tolist() or (value is None and rows[name].isna().all())
    scores = open_model().score(from_frame(schema, rows))
    assert scores.min() - 1e-5 <= noted["deciles"][0] <= noted["deciles"][-1] <= scores.max() + 1e-5
    assert (np.diff(noted["deciles"]) > 0).all()


def test_a_model_that_differs_from_its_pipeline_is_not_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MODEL.unlink()
    monkeypatch.setattr(export, "PARITY", -1.0)
    with pytest.raises(ModelError, match="differs from the pipeline"):
        train()
    assert not MODEL.exists()

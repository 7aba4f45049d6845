"""Both formats of the model file hold the fitted pipeline; what can't be written or served is refused in words."""

import os
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from conftest import run_pipeline
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer

from model.evaluate import evaluate
from model.pipeline import fit
from model.train import train
from serving.model_file.export import chosen_format, export, to_skops
from serving.model_file.opening import MODEL, SKOPS, load_model, open_model, reference
from serving.rows.errors import ModelError
from serving.rows.schema import Schema

COLUMNS = "{x: {type: number, nullable: true}, k: {type: category, values: [a, b], nullable: true}}"
TARGETS = ["{name: y, task: binary, positive: p, negative: n}", "{name: y, task: regression}"]
SERVED = '[dependency-groups]\nserve = [{include-group = "skops"}, "numpy"]\n'
UNSERVED = '[dependency-groups]\nserve = ["numpy"]\n'


def choose(**settings: str) -> None:
    path = Path("params.yaml")
    for name, value in settings.items():
        path.write_text(re.sub(rf"(?m)^  {name}: \w+", f"  {name}: {value}", path.read_text(), count=1))


def scores() -> "pd.Series[float]":
    return pd.read_parquet("build/predictions.parquet")["score"]


@pytest.mark.parametrize("kind", ["linear", "gradient_boosting"])
@pytest.mark.parametrize("target", TARGETS, ids=["binary", "regression"])
def test_both_formats_score_alike_and_skops_repeats_its_bytes(project: Path, kind: str, target: str) -> None:
    Path("schema.yaml").write_text(f"target: {target}\ncolumns: {COLUMNS}\n")
    choose(kind=kind)
    run_pipeline()
    onnx, noted = scores(), reference(open_model())
    choose(format="skops")
    train()
    first = MODEL.read_bytes()
    train()  # its objects lie elsewhere in memory, and it is later
    assert MODEL.read_bytes() == first and first.startswith(SKOPS)
    with ZipFile(MODEL) as parts:
        assert {part.date_time for part in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    evaluate()
    np.testing.assert_allclose(scores(), onnx, rtol=1e-5, atol=1e-5)
    assert open_model().format == "skops" and reference(open_model()) == noted


ONE = Schema.model_validate({"target": {"name": "y", "task": "regression"}, "columns": {"x": {"type": "number"}}})


def fitted(*steps: Any) -> Pipeline:
    rows = pd.DataFrame({"x": np.arange(20, dtype=np.float32)})
    return make_pipeline(*steps, LogisticRegression()).fit(rows, np.arange(20) > 9)


def test_an_infinite_number_has_no_score_and_leaves_the_others_theirs() -> None:
    model = load_model(to_skops(fitted(), ONE, None))
    found = model.score({"numbers": np.array([[2.0], [np.inf], [15.0]], np.float32)})
    assert np.isnan(found[1]) and found[0] < 0.5 < found[2]
    many = model.score({"numbers": np.full((10_000, 1), 2, np.float32)})
    assert len(many) == 10_000 and (many == found[0]).all()


def test_rows_that_the_pipeline_refuses_are_told() -> None:
    with pytest.raises(ModelError, match="can't score these rows: Input X contains NaN"):
        load_model(to_skops(fitted(), ONE, None)).score({"numbers": np.array([[np.nan]], np.float32)})


def test_a_step_without_onnx_form_is_named_with_both_ways_out() -> None:
    with pytest.raises(ModelError) as error:
        export(fitted(SplineTransformer()), ONE)
    assert str(error.value).startswith(
        "the step SplineTransformer can't be written as onnx: register a converter for it, as docs/own-model.md shows, "
        "or choose `format: skops` under `model` in params.yaml (the converter says: Unable to find a shape calculator"
    )


def test_a_file_with_a_foreign_type_is_refused_by_name(project: Path) -> None:
    MODEL.write_bytes(to_skops(FunctionTransformer(os.removedirs), ONE, "{}"))
    with pytest.raises(ModelError, match=r"build/model\.bin: it holds a os\.removedirs, and only sklearn\."):
        open_model()


def test_a_broken_file_is_told(project: Path) -> None:
    MODEL.write_bytes(to_skops(fitted(), ONE, "{}")[:-100])
    with pytest.raises(ModelError, match=r"build/model\.bin is not a model that can be opened"):
        open_model()


def test_the_modules_of_this_project_that_a_file_needs_are_told() -> None:
    assert load_model(to_skops(FunctionTransformer(fit), ONE, None)).code() == ["model.pipeline"]
    assert load_model(to_skops(fitted(), ONE, None)).code() == []


def test_skops_needs_a_line_and_onnx_does_not(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pyproject.toml").write_text(SERVED)
    assert chosen_format() == "onnx"
    assert capsys.readouterr().out.startswith(
        'note: an ONNX model needs no {include-group = "skops"} in pyproject.toml'
    )
    choose(format="skops")
    assert chosen_format() == "skops" and not capsys.readouterr().out
    Path("pyproject.toml").write_text(UNSERVED)
    with pytest.raises(
        ModelError, match=r"take the first # off the line `# \{include-group = .skops.\}` and run `uv lock`"
    ):
        train()
    choose(format="pickle")
    with pytest.raises(ModelError, match="the model format 'pickle' is neither onnx nor skops"):
        train()

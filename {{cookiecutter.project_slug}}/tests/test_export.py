"""Both formats of the model file hold the fitted pipeline; what can't be written or served is refused in words."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small_model
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer

from model.pipeline import fit
from model.train import train
from serving.model_file.export import PARITY, chosen_format, export, faithful, parity, to_skops
from serving.model_file.opening import MODEL, OnnxModel, load_model, open_model
from serving.rows.errors import ModelError
from serving.rows.schema import Schema

SERVED = '[dependency-groups]\nserve = [{include-group = "skops"}, "numpy"]\n'
UNSERVED = '[dependency-groups]\nserve = ["numpy"]\n'


def choose(**settings: str) -> None:
    path = Path("params.yaml")
    for name, value in settings.items():
        path.write_text(re.sub(rf"(?m)^  {name}: \w+", f"  {name}: {value}", path.read_text(), count=1))


ONE = Schema.model_validate({"target": {"name": "y", "task": "regression"}, "columns": {"x": {"type": "number"}}})


def fitted(*steps: Any) -> Pipeline:
    rows = pd.DataFrame({"x": np.arange(20, dtype=np.float32)})
    return make_pipeline(*steps, LogisticRegression()).fit(rows, np.arange(20) > 9)


def test_parity_is_the_distance_between_two_models() -> None:
    pipeline, inputs = small_model.fitted(), small_model.inputs()
    for form in ("onnx", "skops"):
        content = export(pipeline, small_model.SCHEMA, form=form)
        assert parity(pipeline, content, small_model.SCHEMA, inputs) < PARITY
        pipeline[-1].coef_ += 0.5
        assert parity(pipeline, content, small_model.SCHEMA, inputs) > PARITY


def test_a_file_that_scores_otherwise_than_its_pipeline_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, inputs = small_model.fitted(), small_model.inputs()
    _, difference = faithful(pipeline, small_model.SCHEMA, inputs, {}, "onnx")
    assert 0 <= difference <= PARITY
    honest = OnnxModel.score
    monkeypatch.setattr(OnnxModel, "score", lambda self, matrices: honest(self, matrices) * (1 + 3 * PARITY))
    with pytest.raises(ModelError, match="the onnx file differs from the pipeline by"):
        faithful(pipeline, small_model.SCHEMA, inputs, {}, "onnx")


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


def test_a_file_with_a_foreign_type_is_refused_by_name(small: Path) -> None:
    MODEL.write_bytes(to_skops(FunctionTransformer(os.removedirs), ONE, "{}"))
    with pytest.raises(ModelError, match=r"build/model\.bin: it holds a os\.removedirs, and only sklearn\."):
        open_model()


def test_a_broken_file_is_told(small: Path) -> None:
    MODEL.write_bytes(to_skops(fitted(), ONE, "{}")[:-100])
    with pytest.raises(ModelError, match=r"build/model\.bin is not a model that can be opened"):
        open_model()


def test_the_modules_of_this_project_that_a_file_needs_are_told() -> None:
    assert load_model(to_skops(FunctionTransformer(fit), ONE, None)).code() == ["model.pipeline"]
    assert load_model(to_skops(fitted(), ONE, None)).code() == []


def test_skops_needs_a_line_and_onnx_does_not(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
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

"""The model file is the pipeline that was fitted, in either format."""

import re
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from conftest import run_pipeline

from model import data
from model.pipeline import build, fit
from model.train import train
from serving.model_file.export import PARITY, export, parity
from serving.model_file.opening import MODEL, OnnxModel, open_model
from serving.rows.errors import ModelError
from serving.rows.matrices import from_frame, named
from serving.rows.schema import load_schema

TASKS = {"binary": "{name: y, task: binary, positive: p, negative: n}", "regression": "{name: y, task: regression}"}
LINEAR = {"seed": 1, "model": {"kind": "linear", "linear": {"alpha": 1.0}}}
COLUMNS = {
    "both": "{x: {type: number, min: -100000, nullable: true}, d: {type: date}, k: {type: category, values: [a, b]}}",
    "numbers": "{x: {type: number}, stamp: {type: integer, min: 1700000000, max: 1700009999}}",
    "categories": "{k: {type: category, values: [a, b], nullable: true}}",
}


def set_kind(kind: str) -> None:
    path = Path("params.yaml")
    path.write_text(re.sub(r"(?m)^  kind: \w+", f"  kind: {kind}", path.read_text()))


@pytest.mark.parametrize("kind", ["linear", "gradient_boosting"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("columns", COLUMNS)
def test_every_kind_is_exported_faithfully(project: Path, kind: str, task: str, columns: str) -> None:
    Path("schema.yaml").write_text(f"target: {TASKS[task]}\ncolumns: {COLUMNS[columns]}\n")
    set_kind(kind)
    run_pipeline()
    first = MODEL.read_bytes()
    train()
    assert MODEL.read_bytes() == first
    domains = [opset.domain for opset in onnx.load_from_string(first).opset_import]
    assert domains == sorted(domains)  # else another process would write other bytes
    assert pd.read_parquet("build/predictions.parquet")["score"].std() > 0
    assert {x.name for x in OnnxModel(first).session.get_inputs()} == (
        {"numbers", "categories"} if columns == "both" else {columns}
    )


def test_a_model_that_differs_from_its_pipeline_is_not_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MODEL.unlink()
    honest = OnnxModel.score
    monkeypatch.setattr(OnnxModel, "score", lambda self, matrices: honest(self, matrices) * (1 + 3 * PARITY))
    with pytest.raises(ModelError, match="differs from the pipeline"):
        train()
    assert not MODEL.exists()


def test_parity_is_the_distance_between_two_models(project: Path) -> None:
    schema, rows = load_schema(), pd.read_parquet(data.TRAIN)
    matrices, truth = from_frame(schema, rows), data.truth(schema, rows)
    fitted = build(schema, LINEAR)
    fit(fitted, named(schema, matrices), truth, LINEAR)
    content = export(fitted, schema)
    assert parity(fitted, content, schema, matrices) < PARITY
    fitted[-1].coef_ += 0.5
    assert parity(fitted, content, schema, matrices) > PARITY


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (r"kind: \w+", "kind: forest", r"the model kind 'forest' is none of linear, gradient_boosting"),
        (r"alpha: [\d.]+", "alpha: -1.0", "training failed"),
        (r"alpha:", "beta:", r"no model\.linear\.alpha"),
    ],
)
def test_a_mistake_in_the_parameters_is_told_in_one_sentence(project: Path, old: str, new: str, sentence: str) -> None:
    set_kind("linear")
    path = Path("params.yaml")
    path.write_text(re.sub(old, new, path.read_text(), count=1))
    with pytest.raises(ModelError, match=sentence):
        train()


def test_training_learns_what_the_rows_say(project: Path) -> None:
    Path("schema.yaml").write_text("target: {name: y, task: regression}\ncolumns: {x: {type: number}}\n")
    set_kind("linear")
    params = Path("params.yaml")  # whose own alpha may hold the line flat
    params.write_text(re.sub(r"alpha: [\d.]+", "alpha: 1.0", params.read_text()))
    x = np.arange(200.0)
    Path("build").mkdir(exist_ok=True)
    pd.DataFrame({"y": 3 * x + 5, "x": x}).to_parquet(data.TABLE)
    data.split()
    train()
    scores = open_model().score({"numbers": np.array([[1.0], [100.0]], np.float32)})
    np.testing.assert_allclose(scores, [8, 305], atol=5)

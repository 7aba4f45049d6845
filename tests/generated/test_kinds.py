"""The kinds that the template ships in src/model/pipeline.py, and a table of another kind with them.

The template's tests put this file into a generated project and run it there. Whoever replaces pipeline.py has no use
for it: the project's own tests are about their pipeline.
"""

import json
import re
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import onnx
import pandas as pd
import pytest
import yaml
from conftest import run_pipeline
from test_adopt import empty, table

from model import data
from model.evaluate import evaluate
from model.train import train
from serving.adopt.adopt import adopt
from serving.model_file.opening import MODEL, SKOPS, OnnxModel, open_model, reference
from serving.rows.errors import ModelError

__all__ = ["empty"]  # a fixture

TASKS = {"binary": "{name: y, task: binary, positive: p, negative: n}", "regression": "{name: y, task: regression}"}
COLUMNS = {
    "both": "{x: {type: number, min: -100000, nullable: true}, d: {type: date}, k: {type: category, values: [a, b]}}",
    "numbers": "{x: {type: number}, stamp: {type: integer, min: 1700000000, max: 1700009999}}",
    "categories": "{k: {type: category, values: [a, b], nullable: true}}",
}
PARAMS = """\
seed: 20
split:
  holdout: 0.2
model:
  format: onnx
  kind: linear
  linear:
    alpha: 1.0
  gradient_boosting:
    learning_rate: 0.05
    max_iter: 10
    max_leaf_nodes: 15
    min_samples_leaf: 20
threshold: 0.5
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with parameters; the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    return tmp_path


def choose(**settings: str) -> None:
    """Set values of params.yaml."""
    path = Path("params.yaml")
    for name, value in settings.items():
        path.write_text(re.sub(rf"(?m)^( +){name}: .*", rf"\g<1>{name}: {value}", path.read_text(), count=1))


def scores() -> "pd.Series[float]":
    """Return the scores of the held-out rows."""
    return pd.read_parquet("build/predictions.parquet")["score"]


@pytest.mark.parametrize("kind", ["linear", "gradient_boosting"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("columns", COLUMNS)
def test_every_kind_is_exported_faithfully(bare: Path, kind: str, task: str, columns: str) -> None:
    Path("schema.yaml").write_text(f"target: {TASKS[task]}\ncolumns: {COLUMNS[columns]}\n")
    choose(kind=kind)
    run_pipeline()
    first = MODEL.read_bytes()
    train()
    assert MODEL.read_bytes() == first
    domains = [opset.domain for opset in onnx.load_from_string(first).opset_import]
    assert domains == sorted(domains)  # else another process would write other bytes
    assert scores().std() > 0
    assert {x.name for x in OnnxModel(first).session.get_inputs()} == (
        {"numbers", "categories"} if columns == "both" else {columns}
    )


@pytest.mark.parametrize("kind", ["linear", "gradient_boosting"])
@pytest.mark.parametrize("task", TASKS)
def test_both_formats_score_alike_and_skops_repeats_its_bytes(bare: Path, kind: str, task: str) -> None:
    columns = "{x: {type: number, nullable: true}, k: {type: category, values: [a, b], nullable: true}}"
    Path("schema.yaml").write_text(f"target: {TASKS[task]}\ncolumns: {columns}\n")
    choose(kind=kind)
    run_pipeline()
    onnx_scores, noted = scores(), reference(open_model())
    choose(format="skops")
    train()
    first = MODEL.read_bytes()
    train()  # its objects lie elsewhere in memory, and it is later
    assert MODEL.read_bytes() == first and first.startswith(SKOPS)
    with ZipFile(MODEL) as parts:
        assert {part.date_time for part in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    evaluate()
    np.testing.assert_allclose(scores(), onnx_scores, rtol=1e-5, atol=1e-5)
    assert open_model().format == "skops" and reference(open_model()) == noted


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (r"kind: \w+", "kind: forest", r"the model kind 'forest' is none of linear, gradient_boosting"),
        (r"alpha: [\d.]+", "alpha: -1.0", "training failed"),
        (r"alpha:", "beta:", r"no model\.linear\.alpha"),
    ],
)
def test_a_mistake_in_the_parameters_is_told_in_one_sentence(bare: Path, old: str, new: str, sentence: str) -> None:
    Path("schema.yaml").write_text(f"target: {TASKS['binary']}\ncolumns: {COLUMNS['both']}\n")
    run_pipeline()
    path = Path("params.yaml")
    path.write_text(re.sub(old, new, path.read_text(), count=1))
    with pytest.raises(ModelError, match=sentence):
        train()


def test_training_learns_what_the_rows_say(bare: Path) -> None:
    Path("schema.yaml").write_text("target: {name: y, task: regression}\ncolumns: {x: {type: number}}\n")
    x = np.arange(200.0)
    Path("build").mkdir()
    pd.DataFrame({"y": 3 * x + 5, "x": x}).to_parquet(data.TABLE)
    data.split()
    train()
    found = open_model().score({"numbers": np.array([[1.0], [100.0]], np.float32)})
    np.testing.assert_allclose(found, [8, 305], atol=5)


@pytest.mark.parametrize(("target", "other", "gated"), [("left", "price", "roc_auc"), ("price", "left", "r2")])
def test_an_adopted_table_trains_and_serves_with_no_code_changed(
    empty: Path,  # noqa: F811
    target: str,
    other: str,
    gated: str,
) -> None:
    table().drop(columns=other).to_csv("mine.csv", index=False)
    adopt(Path("mine.csv"), target, None, None, dry_run=False)
    assert Path("data/table.csv").read_bytes() == Path("mine.csv").read_bytes()
    assert yaml.safe_load(Path("data/table.csv.dvc").read_text())["outs"][0]["size"] == Path("mine.csv").stat().st_size
    data.validate()
    data.split()
    train()
    evaluate()
    assert gated in yaml.safe_load(Path("gates.yaml").read_text())["metrics"]
    assert gated in json.loads(Path("metrics.json").read_text())
    row = json.loads(Path("openapi.json").read_text())["components"]["schemas"]["Row"]
    assert {"Kunden-Nr", "größe in m", "город: где"} < set(row["properties"])

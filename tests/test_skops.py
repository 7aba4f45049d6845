"""A model that is a skops file: it scores, explains, is reviewed and served like an ONNX one, and is refused in words."""

import json
from pathlib import Path

import pandas as pd
import pytest
from gitops.bento import EXPORT
from harness import SLUG, Failed
from laptop import Laptop

pytestmark = pytest.mark.slow

FORMAT = ("params.yaml", "format: onnx ", "format: skops ")
LINE = ("pyproject.toml", '# {include-group = "skops"},', '{include-group = "skops"},')
SPLINE = (
    "src/model/train.py",
    "StandardScaler())",
    'StandardScaler(), __import__("sklearn").preprocessing.SplineTransformer())',
)
SERVICE = """
import json, sys
sys.modules["pandas"] = None  # the service has none
from starlette.testclient import TestClient
from model.predict import predictor
from model.service import Model
records = json.load(open("records.json"))
with TestClient(Model.to_asgi()) as client:
    assert predictor().ready()
    print(client.post("/predict", json={"records": records, "reasons": 2}).text)
"""
FOREIGN = """
import os, skops.io
from sklearn.preprocessing import FunctionTransformer
skops.io.dump({"pipeline": FunctionTransformer(os.removedirs), "reference": "{}"}, "build/model.bin")
"""


@pytest.fixture(scope="module")
def project(champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """Return the champion's project, trained anew as skops and reviewed; its files are only for reading."""
    made = Laptop(champion, tmp_path_factory.mktemp("skops"))
    made.replace(*FORMAT)
    made.replace(*LINE)
    made.run("uv lock --quiet", "dvc repro --quiet")
    made.review()
    return made


def scores(folder: Path) -> "pd.Series[float]":
    return pd.read_parquet(folder / "build/predictions.parquet").set_index("id")["score"]


def test_it_scores_as_the_onnx_model_does(project: Laptop, champion: Path) -> None:
    assert (project.path / "build/model.bin").read_bytes()[:2] == b"PK"
    pd.testing.assert_series_equal(scores(project.path), scores(champion / SLUG), rtol=0, atol=1e-5)
    assert "metrics.json" not in project.run("git diff --name-only main"), "no metric moves"


def test_two_trainings_write_the_same_bytes(project: Laptop) -> None:
    before = (project.path / "build/model.bin").read_bytes()
    said = project.run("env PYTHONHASHSEED=1 python -m model train")
    assert (project.path / "build/model.bin").read_bytes() == before
    assert said.startswith(f"build/model.bin: skops, {len(before):,} bytes; on the held-out rows within ")


def test_the_report_says_what_the_service_needs(project: Laptop) -> None:
    report, review = project.read("review/report.md"), json.loads(project.read("review/review.json"))
    line = "Format of the model file: `skops`: the service needs scikit-learn."
    assert line in report.splitlines() and "Size and speed" not in report, "in sight, not folded"
    assert "the service needs scikit-learn" in project.read("review/report.html")
    assert review["champion"] == {"state": "paired", "note": ""}, "an ONNX champion is compared with it"


def test_the_service_gets_what_it_needs_and_no_more(project: Laptop) -> None:
    names = {line.partition("==")[0] for line in project.run(" ".join(EXPORT)).splitlines()}
    assert {"scikit-learn", "skops", "onnxruntime"} <= names and not {"pandas", "skl2onnx", "dvc"} & names


def test_the_service_answers_with_reasons(project: Laptop) -> None:
    rows = pd.read_parquet(project.path / "build/holdout.parquet").drop(columns="churn").head(50)
    project.write("records.json", rows.to_json(orient="records"))
    project.write("ask.py", SERVICE)
    answers = json.loads(project.run("python ask.py").splitlines()[-1])["predictions"]
    reviewed = scores(project.path)
    assert [row["score"] for row in answers] == pytest.approx([reviewed[row["id"]] for row in answers], abs=1e-9)
    assert all(row["reasons"] for row in answers) and "typical is" in answers[0]["reasons"][0]["text"]


def test_a_file_is_scored_but_for_a_number_that_is_too_large(project: Laptop) -> None:
    rows = pd.read_parquet(project.path / "build/holdout.parquet")
    rows.loc[3, "total_charges"] = 1e39  # infinite as float32, which scikit-learn refuses
    rows.to_parquet(project.path / "rows.parquet")
    project.run("python -m model score rows.parquet scored.csv")
    found, errors = (pd.read_csv(project.path / name) for name in ("scored.csv", "scored.csv.errors.csv"))
    assert errors["reason"].tolist() == ["a number is too large to score"]
    assert found["id"].tolist() == rows["customer_id"].drop(3).tolist()
    assert found["score"].to_numpy() == pytest.approx(scores(project.path)[found["id"]].to_numpy(), abs=1e-9)


def test_a_file_with_a_foreign_type_is_refused_by_name(on_laptop: Laptop) -> None:
    on_laptop.write("foreign.py", FOREIGN)
    on_laptop.run("python foreign.py")
    with pytest.raises(Failed, match=r"error: build/model\.bin: it holds a os\.removedirs, and only sklearn\."):
        on_laptop.run("python -m model evaluate")


def test_a_step_without_onnx_form_is_named_with_both_ways_out(on_laptop: Laptop) -> None:
    on_laptop.replace(*SPLINE)
    with pytest.raises(Failed) as failed:
        on_laptop.run("python -m model train")
    sentence = (
        "the step SplineTransformer can't be written as onnx: choose another step, or `format: skops` under `model`"
    )
    assert str(failed.value).splitlines()[-1] == f"error: {sentence} in params.yaml"
    on_laptop.replace(*FORMAT)
    with pytest.raises(
        Failed, match=r"take the first # off the line `# \{include-group = \"skops\"\}` and run `uv lock`"
    ):
        on_laptop.run("python -m model train")


def test_a_step_whose_code_the_service_does_not_get_is_refused(on_laptop: Laptop) -> None:
    own = '__import__("sklearn").preprocessing.FunctionTransformer(own, validate=True), StandardScaler())'
    on_laptop.replace("src/model/train.py", "StandardScaler())", own)
    on_laptop.write(
        "src/model/train.py", on_laptop.read("src/model/train.py") + "\n\ndef own(x: Any) -> Any:\n    return x\n"
    )
    on_laptop.replace(*FORMAT)
    on_laptop.replace(*LINE)
    with pytest.raises(Failed, match=r"uses model\.train\.own, and the service gets no src/model/train\.py: move it"):
        on_laptop.run("python -m model train")


def test_onnx_with_scikit_learn_in_the_service_is_a_note(on_laptop: Laptop) -> None:
    on_laptop.replace(*LINE)
    said = on_laptop.run("python -m model train")
    assert said.startswith("note: an ONNX model needs no {include-group") and "build/model.bin: onnx" in said

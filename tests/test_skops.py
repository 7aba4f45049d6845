"""A model that is a skops file: it scores, explains, is reviewed and served like an ONNX one."""

import json
from pathlib import Path

import pandas as pd
import pytest
from gitops.release.bento import EXPORT
from harness import SLUG
from laptop import Laptop

pytestmark = pytest.mark.slow

FORMAT = ("params.yaml", "format: onnx ", "format: skops ")
LINE = ("pyproject.toml", '# {include-group = "skops"},', '{include-group = "skops"},')
SERVICE = """
import json
from starlette.testclient import TestClient
from serving.api.predict import predictor
from serving.service import Model
records = json.load(open("records.json"))
with TestClient(Model.to_asgi()) as client:
    assert predictor().ready()
    print(client.post("/predict", json={"records": records, "reasons": 2}).text)
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


def test_the_report_says_the_unusual_format_in_sight(project: Laptop) -> None:
    report, review = project.read("review/report.md"), json.loads(project.read("review/review.json"))
    line = "Format of the model file: `skops`."
    assert line in report.splitlines() and "Size and speed" not in report, "in sight, not folded"
    assert "Format of the model file: <code>skops</code>." in project.read("review/report.html")
    assert review["facts"]["champion"]["state"] == "paired", "an ONNX champion is compared with it"


def test_the_service_gets_what_it_needs_and_no_more(project: Laptop) -> None:
    names = {line.partition("==")[0] for line in project.run(" ".join(EXPORT)).splitlines()}
    assert {"pandas", "scikit-learn", "skops", "onnxruntime"} <= names and not {"skl2onnx", "pyarrow", "dvc"} & names


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
    place = rows.index[3]
    rows.loc[place, "total_charges"] = 1e39  # infinite as float32, which scikit-learn refuses
    rows.to_parquet(project.path / "rows.parquet")
    project.run("python -m model score rows.parquet scored.csv")
    found, errors = (pd.read_csv(project.path / name) for name in ("scored.csv", "scored.csv.errors.csv"))
    assert errors["reason"].tolist() == ["beyond ±3.4e+38, the largest number that a model reads"]
    assert found["id"].tolist() == rows["customer_id"].drop(place).tolist()
    assert found["score"].to_numpy() == pytest.approx(scores(project.path)[found["id"]].to_numpy(), abs=1e-9)

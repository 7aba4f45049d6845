"""Evaluation measures the model file, and lets it score the rows of another version."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from model import data
from model.__main__ import main
from model.evaluate import calibration, distribution, evaluate, measure
from serving.model_file.opening import open_model
from serving.rows.errors import ModelError
from serving.rows.matrices import from_frame
from serving.rows.schema import load_schema

OTHER = Path("other/predictions.parquet")


def test_each_held_out_row_gets_its_truth_and_the_model_files_score(project: Path) -> None:
    schema, holdout = load_schema(), pd.read_parquet(data.HOLDOUT)
    found = pd.read_parquet("build/predictions.parquet")
    assert found.dtypes.astype(str).to_dict() == {"id": "str", "truth": "float64", "score": "float64"}
    ids = holdout[schema.id] if schema.id else holdout.index.astype(str)
    assert found["id"].tolist() == ids.tolist()
    target = holdout[schema.target.name]
    expected = target == schema.target.positive if schema.target.task == "binary" else target
    assert found["truth"].tolist() == expected.astype(float).tolist()
    scores = open_model().score(from_frame(schema, holdout))
    np.testing.assert_array_equal(found["score"], scores)


def test_metrics_and_plots_describe_the_predictions(project: Path) -> None:
    found, binary = pd.read_parquet("build/predictions.parquet"), load_schema().target.task == "binary"
    numbers = json.loads(Path("metrics.json").read_text())
    assert numbers == measure(found["truth"].to_numpy(), found["score"].to_numpy(), binary=binary)
    assert numbers["rows"] == len(found)
    for name, counts in (("calibration", ["rows"]), ("scores", ["truth_low", "truth_high"])):
        assert pd.read_csv(f"plots/{name}.csv")[counts].to_numpy().sum() == len(found)


def test_the_metrics_are_those_of_scikit_learn() -> None:
    truth, scores = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.8])
    found = measure(truth, scores, binary=True)
    assert found["roc_auc"] == metrics.roc_auc_score(truth, scores) == 0.75
    assert found["brier"] == pytest.approx(((truth - scores) ** 2).mean())
    found = measure(truth, scores, binary=False)
    assert found["mae"] == pytest.approx(np.abs(truth - scores).mean())
    assert found["rmse"] == pytest.approx(np.sqrt(((truth - scores) ** 2).mean()))


def test_calibration_compares_means_by_rising_score() -> None:
    scores = np.arange(20) / 20
    found = calibration((scores > 0.5).astype(float), scores)
    assert found["rows"].tolist() == [2] * 10
    assert found["observed"].tolist() == [0] * 5 + [0.5] + [1] * 4
    assert found["predicted"].tolist() == pytest.approx(scores.reshape(10, 2).mean(axis=1))


def test_the_distribution_counts_both_halves() -> None:
    found = distribution(np.array([0.0, 0, 1]), np.array([0.0, 0.1, 1.0]))
    assert (found["truth_low"].iloc[0], found["truth_high"].iloc[-1]) == (1, 1)
    assert (found["truth_low"].sum(), found["truth_high"].sum()) == (2, 1)


def test_other_rows_are_scored_without_touching_this_versions_files(project: Path) -> None:
    own = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    rows = pd.read_parquet(data.HOLDOUT).iloc[:5].assign(added=1)
    rows.to_parquet("rows.parquet")
    evaluate(Path("rows.parquet"), OTHER)
    pd.testing.assert_frame_equal(pd.read_parquet(OTHER), pd.read_parquet("build/predictions.parquet").iloc[:5])
    assert own == {path: path.read_bytes() for path in own}


@pytest.fixture
def rows(small: Path) -> pd.DataFrame:
    """Rows of the small model, which is in the current folder."""
    return pd.read_parquet(data.HOLDOUT).iloc[:3]


def test_a_category_that_the_model_never_saw_is_scored_like_none(rows: pd.DataFrame) -> None:
    scores = []
    for value in ("new", None, "a"):
        rows.assign(plan=pd.array([value] * 3, dtype="str")).to_parquet("rows.parquet")
        evaluate(Path("rows.parquet"), OTHER)
        scores.append(pd.read_parquet(OTHER)["score"].tolist())
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fee": None}, "the rows have no column 'fee'"),
        ({"key": None}, "the rows have no column 'key'"),
        ({"left": None}, "the rows have no column 'left'"),
        ({"fee": ["1", "2", "3"]}, "column 'fee' holds str values, and schema.yaml says number"),
        ({"plan": [1, 2, 3]}, "column 'plan' holds 1, and schema.yaml says text"),
        ({"since": ["2024-01-01", "soon", None]}, "column 'since' should hold dates like 2024-01-31"),
        ({"left": ["a", "b", "c"]}, "the target 'left' holds 'a'"),
    ],
)
def test_rows_that_the_model_can_not_read_are_refused(
    rows: pd.DataFrame, change: dict[str, list[object]], sentence: str
) -> None:
    gone = [name for name, values in change.items() if values is None]
    rows.drop(columns=gone).assign(**{k: v for k, v in change.items() if v is not None}).to_parquet("rows.parquet")
    with pytest.raises(ModelError, match=sentence):
        evaluate(Path("rows.parquet"), OTHER)
    assert not OTHER.exists()


def test_the_command_ends_with_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rows.parquet").write_text("no parquet")
    monkeypatch.setattr("sys.argv", ["model", "evaluate", "--rows", "rows.parquet", "--predictions", str(OTHER)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: rows.parquet is not a readable Parquet file")
    assert (printed.err.count("\n"), printed.out) == (1, "")

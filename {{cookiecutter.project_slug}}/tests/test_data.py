"""What doesn't fit schema.yaml is refused in one sentence, and the split is the same for everyone."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import ROWS, made_up

from model import data
from serving.rows.errors import ModelError
from serving.rows.schema import TOO_LARGE, Column, Schema, Target, load_schema
from serving.rows.table import read_csv, typed

SCHEMA = Schema(
    id="key",
    target=Target(name="left", task="binary", positive="Yes", negative="No"),
    columns={
        "age": Column(type="integer", min=0, nullable=True),
        "plan": Column(type="category", values=["a", "b"]),
        "since": Column(type="date"),
        "ok": Column(type="boolean"),
        "fee": Column(type="number", max=100),
    },
    ignored={"note": "free text"},
)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a table in CSV (UTF-8, commas, as many cells in each row): Empty CSV file"),
        (b"a,b\n", "a header and no rows"),
        (b"a;b\n1;2\n", "a single column, 'a;b'"),
        (b"a,b\n1,2,3\n", "Expected 2 columns, got 3"),
        (b"a,b\n1\n", "Expected 2 columns, got 1"),
        (b"a,b\n1,\xff\n", "not a table in CSV"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not a table in CSV"),
        (b"a,a\n1,2\n", "'a' is empty or used twice"),
        (b"a,\n1,2\n", "'' is empty or used twice"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        read_csv(path)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        read_csv(tmp_path / "table.csv")


def test_a_stage_whose_input_is_missing_says_what_makes_it(project: Path) -> None:
    data.TABLE.unlink()
    with pytest.raises(ModelError, match=r"there is no build/table\.parquet: `uv run dvc repro`"):
        data.split()


def test_cells_are_read_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes('\ufeffgröße in m, name \r\n007,"a, ""b""\nc"\r\n NA ,\r\n'.encode())
    assert read_csv(path).to_dict("list") == {"größe in m": ["007", "NA"], "name": ['a, "b"\nc', ""]}


@pytest.mark.parametrize(
    ("column", "cell", "sentence"),
    [
        ("age", "-3", "column 'age': in 1 rows the value is below its min 0, for example row 3: '-3'"),
        ("age", "old", "column 'age': in 1 rows the value is no integer, for example row 3: 'old'"),
        ("age", "1.5", "column 'age': in 1 rows the value is no integer, for example row 3: '1.5'"),
        (
            "age",
            "99999999999999999999",
            f"column 'age': in 1 rows the value is {TOO_LARGE['integer']}, for example row 3: '99999999999999999999'",
        ),
        ("fee", "1e39", f"column 'fee': in 1 rows the value is {TOO_LARGE['number']}, for example row 3: '1e39'"),
        ("plan", "c", "column 'plan': in 1 rows the value is none of its listed values, for example row 3: 'c'"),
        ("plan", "", "column 'plan': in 1 rows the value is missing, for example row 3"),
        ("since", "31.12.2024", "column 'since': in 1 rows the value is no date, for example row 3: '31.12.2024'"),
        ("ok", "maybe", "column 'ok': in 1 rows the value is no boolean, for example row 3: 'maybe'"),
        ("fee", "101", "column 'fee': in 1 rows the value is above its max 100, for example row 3: '101.0'"),
        ("fee", "inf", "column 'fee': in 1 rows the value is no number, for example row 3: 'inf'"),
        (
            "left",
            "Perhaps",
            "column 'left': in 1 rows the value is neither 'Yes' nor 'No', for example row 3: 'Perhaps'",
        ),
        ("left", "", "column 'left': in 1 rows the value is missing, for example row 3"),
        ("key", "row 0", "column 'key': in 2 rows the value is used more than once, for example row 1: 'row 0'"),
        ("extra", "1", "the table's column 'extra' is not in schema.yaml: describe or ignore it there"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_an_example(column: str, cell: str, sentence: str) -> None:
    texts = made_up(SCHEMA, 20)
    texts.loc[2, column] = cell
    with pytest.raises(ModelError) as error:
        typed(SCHEMA, texts)
    assert str(error.value) == sentence


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ModelError, match="no column 'plan'"):
        typed(SCHEMA, made_up(SCHEMA, 20).drop(columns="plan"))


def test_the_split_is_complete_and_the_same_every_time(project: Path) -> None:
    first = [pd.read_parquet(path) for path in (data.TRAIN, data.HOLDOUT)]
    data.split()
    for before, path in zip(first, (data.TRAIN, data.HOLDOUT), strict=True):
        pd.testing.assert_frame_equal(before, pd.read_parquet(path))
    assert sorted(first[0].index.append(first[1].index)) == list(range(ROWS))
    pd.testing.assert_frame_equal(pd.concat(first).sort_index(), pd.read_parquet(data.TABLE))


def test_the_split_keeps_the_share_of_positives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("build").mkdir()
    Path("schema.yaml").write_text(
        "target: {name: y, task: binary, positive: p, negative: n}\ncolumns: {x: {type: integer}}\n"
    )
    Path("params.yaml").write_text("seed: 1\nsplit: {holdout: 0.25}\n")
    rows = pd.DataFrame({"y": ["p"] * 20 + ["n"] * 80, "x": range(100)})
    typed(load_schema(), rows.astype("str")).to_parquet(data.TABLE)
    data.split()
    assert (pd.read_parquet(data.HOLDOUT)["y"] == "p").sum() == 5
    Path("params.yaml").write_text("seed: 1\nsplit: {holdout: 2.5}\n")
    with pytest.raises(ModelError, match=r"split\.holdout"):
        data.split()

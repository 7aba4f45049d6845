"""What doesn't fit schema.yaml is refused in one sentence, and the split is the same for everyone."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import ROWS, made_up

from model import data
from serving.rows.errors import ModelError
from serving.rows.schema import TOO_LARGE, Column, Schema, Target, load_schema
from serving.rows.split import held_out, row_keys
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


def test_other_rows_never_move_a_row() -> None:
    ids = [f"customer {i}" for i in range(5000)]
    held = dict(zip(ids, held_out(ids, 20, 0.2).tolist(), strict=True))
    kept = ids[::-3]  # many are deleted, the others come in another order
    assert held_out(kept, 20, 0.2).tolist() == [held[one] for one in kept]
    more = held_out(ids, 20, 0.3)  # a larger share takes none back
    assert [one for one, aside in zip(ids, more, strict=True) if held[one] and not aside] == []


def test_the_share_the_seed_and_the_id_decide() -> None:
    ids = [str(i) for i in range(20000)]
    one, other = (held_out(ids, seed, 0.2) for seed in (20, 21))
    for aside in (one, other):
        assert aside.mean() == pytest.approx(0.2, abs=0.012)  # four standard deviations
    assert (one & other).mean() == pytest.approx(0.04, abs=0.006)  # one seed's rows say nothing of the other's
    assert held_out(["a", "Zoë", "a"], 3, 0.5).tolist() == [True, False, True]  # the same for everyone, for ever
    assert held_out([], 20, 0.2).tolist() == []


@pytest.mark.parametrize(
    ("seed", "share"), [(1, 2.5), (1, 0.0), (1, 1), (1, "0.2"), ("a", 0.2), (True, 0.2), (1.5, 0.2)]
)
def test_a_share_or_seed_that_is_none_is_refused(seed: Any, share: Any) -> None:
    with pytest.raises(ModelError, match=r"of params\.yaml is .*: it is "):
        held_out(["a"], seed, share)


def test_a_row_without_an_id_is_known_by_its_cells() -> None:
    schema = SCHEMA.model_copy(update={"id": None})
    texts = made_up(schema, 40)
    texts = pd.concat([texts, texts[:10], texts[:5]], ignore_index=True)
    frame = typed(schema, texts)
    keys = row_keys(schema, frame)
    assert len(set(keys)) == len(frame)  # equal rows count, so that each counts once in the share
    shuffled = frame.sample(frac=1, random_state=1)[frame.columns[::-1]]
    assert sorted(row_keys(schema, shuffled)) == sorted(keys)
    assert set(keys) - set(row_keys(schema, frame.drop(index=7))) == {keys[47]}  # the last of the equal ones
    one = pd.DataFrame({"b": ["x'", None], "a": pd.array([1, None], "Int64"), "c": [1.5, float("nan")]})
    assert row_keys(schema, one) == ['(1, "x\'", 1.5) 1', "(None, None, None) 1"]
    assert row_keys(SCHEMA, frame.assign(key="k")) == ["k"] * len(frame)


SIMPLE = "target: {name: y, task: binary, positive: p, negative: n}\ncolumns: {x: {type: integer}}\n"


@pytest.mark.parametrize(("positives", "rows"), [(0, 100), (1, 100), (2, 3)])
def test_a_side_without_both_classes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, positives: int, rows: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("build").mkdir()
    Path("schema.yaml").write_text(SIMPLE)
    Path("params.yaml").write_text("seed: 1\nsplit: {holdout: 0.2}\n")
    labels = ["p"] * positives + ["n"] * (rows - positives)
    typed(load_schema(), pd.DataFrame({"y": labels, "x": range(rows)}, dtype="str")).to_parquet(data.TABLE)
    with pytest.raises(ModelError, match=rf"of {rows} rows \d+ are .* add rows, or change `split\.holdout` or `seed`"):
        data.split()

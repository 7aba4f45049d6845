"""`model score` answers what was evaluated, whatever the file looks like, and tells which rows it left out and why."""

import hashlib
import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import made_up
from small_model import ROWS, SCHEMA

from model import data
from model.__main__ import main
from serving.batch import job, rows_csv
from serving.batch.columns import check
from serving.batch.parts import Files, begin
from serving.batch.scorer import RAGGED, SPANNING, Scorer, score_batch
from serving.batch.source import Source
from serving.model_file.opening import MODEL
from serving.rows.errors import ModelError
from serving.rows.parameters import param
from serving.rows.schema import TOO_LARGE, Column, Schema, load_schema

OUT = Path("scores.csv")
ERRORS = Path("scores.csv.errors.csv")
GOOD = {"key": "k", "age": "30", "fee": "1.5", "plan": "a", "since": "2024-02-29", "ok": "true"}


def run(
    source: str | Path, out: Path = OUT, *, batch_rows: int = 100, workers: int = 1, force: bool = False
) -> pd.DataFrame:
    """Score, and return what was written, in a CSV file every cell as text."""
    job.run(str(source), str(out), None, batch_rows, workers, force=force)
    return pd.read_csv(out, dtype="str", keep_default_na=False) if out.suffix == ".csv" else pd.read_parquet(out)


def held_out() -> pd.DataFrame:
    """Return the small model's rows as the texts of a CSV file."""
    return made_up(SCHEMA, ROWS)


@pytest.mark.parametrize("batch_rows", [33, 1000])
def test_scores_are_those_of_the_evaluation(project: Path, batch_rows: int) -> None:
    evaluated = pd.read_parquet("build/predictions.parquet")
    made_up(load_schema()).iloc[data.read_rows(data.HOLDOUT).index].to_csv("rows.csv", index=False)
    names = evaluated["id"] if load_schema().id else pd.Series(range(1, len(evaluated) + 1))
    for source, out in (("rows.csv", Path("a.csv")), (data.HOLDOUT, Path("b.csv"))):
        found = run(source, out, batch_rows=batch_rows)
        # not to the last bit: how a library sums up may follow from how many rows it gets
        assert found["score"].astype(float).to_numpy() == pytest.approx(evaluated["score"].to_numpy(), rel=1e-6)
        assert found["id"].tolist() == names.astype("str").tolist()
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert sorted(path.name for path in project.glob("[ab].csv*")) == ["a.csv", "b.csv"]


def test_the_label_and_the_model_are_told(project: Path) -> None:
    target, found = load_schema().target, run(data.HOLDOUT)
    assert set(found["model"]) == {hashlib.md5(MODEL.read_bytes(), usedforsecurity=False).hexdigest()[:8]}
    if target.task == "binary":
        high = found["score"].astype(float) >= param("threshold")
        assert found["label"].tolist() == [target.positive if one else target.negative for one in high]
    else:
        assert list(found) == ["id", "score", "model_version", "model"]


def test_every_output_holds_the_same(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(data.HOLDOUT).astype({"score": float})
    assert expected["score"].tolist() == data.read_rows(Path("build/predictions.parquet"))["score"].tolist()
    for out, threads in ((Path("one.parquet"), 2), (Path("folder"), 0)):  # without threads, in a process
        monkeypatch.setattr(job, "THREADS", threads)
        pd.testing.assert_frame_equal(run(data.HOLDOUT, out, batch_rows=30, workers=max(threads, 1)), expected)
    assert len(list(Path("folder").iterdir())) == 3


def test_a_folder_is_read_in_the_order_of_its_names(small: Path) -> None:
    rows = data.read_rows(data.HOLDOUT)
    expected = run(data.HOLDOUT)
    for name, part in (("b/2", rows[50:]), ("a/1", rows[:20]), ("b/1", rows[20:50])):
        path = Path("many", f"{name}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(path)
    Path("many/_SUCCESS").touch()
    found = run("many", Path("many.csv"), batch_rows=17)
    pd.testing.assert_frame_equal(found, expected)


def test_a_partitions_value_is_a_column_and_stays_text(tmp_path: Path) -> None:
    schema = Schema(id="key", target=SCHEMA.target, columns={"plz": Column(type="category", values=["01067", "1067"])})
    for plz in ("01067", "1067"):
        folder = tmp_path / f"texts/plz={plz}"
        folder.mkdir(parents=True)
        (folder / "x.csv").write_text("key\nk\n")
        folder = tmp_path / f"typed/plz={plz}"
        folder.mkdir(parents=True)
        pd.DataFrame({"key": ["k"]}).to_parquet(folder / "x.parquet")
    for root in (tmp_path / "texts", tmp_path / "typed"):
        (batch,) = Source(str(root), schema).batches(10)
        assert batch.to_pydict() == {"key": ["k", "k"], "plz": ["01067", "1067"]}


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("age", "-3", "below its min 0"),
        ("age", "121", "above its max 120"),
        ("age", "old", "no integer"),
        ("age", "1.5", "no integer"),
        ("age", "inf", "no integer"),
        ("age", "NA", "missing"),
        ("age", "99999999999999999999", TOO_LARGE["integer"]),
        ("age", "-9007199254740992", TOO_LARGE["integer"]),
        ("fee", "1e39", TOO_LARGE["number"]),
        ("fee", "1,5", "no number"),
        ("fee", "-inf", "no number"),
        ("plan", "c", "none of its listed values"),
        ("plan", "", "missing"),
        ("since", "31.12.2024", "no date"),
        ("since", "2023-02-29", "no date"),
        ("ok", "maybe", "no boolean"),
        ("ok", "", "missing"),
    ],
)
def test_a_text_that_breaks_the_schema_is_told(column: str, cell: str, reason: str) -> None:
    rows = [GOOD, GOOD | {column: cell}, GOOD | {"fee": "", "since": "n/a"}]
    _, faults = check(SCHEMA, pa.RecordBatch.from_pylist(rows), reject_unknown=True)
    assert [(fault.column, fault.reason, fault.rows.tolist()) for fault in faults] == [
        (column, reason, [False, True, False])
    ]


@pytest.mark.parametrize(
    ("column", "values", "kind", "reason"),
    [
        ("age", [30, -1, 30], pa.int32(), "below its min 0"),
        ("age", [30.0, 30.5, 30.0], pa.float32(), "no integer"),
        ("age", [30.0, float("nan"), 30.0], pa.float64(), "missing"),
        ("age", [30, None, 30], pa.uint8(), "missing"),
        ("fee", [None, float("inf"), float("nan")], pa.float64(), "no number"),
        ("age", [30, 2**53 + 1, 2], pa.int64(), TOO_LARGE["integer"]),
        ("age", [30, 2**64 - 1, 2], pa.uint64(), TOO_LARGE["integer"]),
        ("age", [30.0, 1e300, 2.0], pa.float64(), TOO_LARGE["integer"]),
        ("age", [30.0, float("inf"), 2.0], pa.float64(), "no integer"),
        ("fee", [None, -1e39, 1e38], pa.float64(), TOO_LARGE["number"]),
        ("since", [0, 2**62, None], pa.timestamp("s"), "no date"),
        ("since", [0, -(2**62), None], pa.timestamp("ms", "UTC"), "no date"),
        ("ok", [True, None, False], pa.bool_(), "missing"),
        ("ok", [1, 2, 0], pa.int64(), "no boolean"),
        ("plan", ["a", "c", "b"], pa.dictionary(pa.int8(), pa.large_string()), "none of its listed values"),
    ],
)
def test_a_typed_value_that_breaks_the_schema_is_told(column: str, values: list[Any], kind: Any, reason: str) -> None:
    arrays = {name: pa.array([cell] * 3) for name, cell in GOOD.items()} | {column: pa.array(values, kind)}
    _, faults = check(SCHEMA, pa.RecordBatch.from_pydict(arrays), reject_unknown=True)
    assert [(fault.column, fault.reason, fault.rows.tolist()) for fault in faults] == [
        (column, reason, [False, True, False])
    ]


@pytest.mark.parametrize(("column", "kind"), [("plan", pa.int64()), ("since", pa.int64()), ("age", pa.date32())])
def test_a_column_of_another_type_is_refused(column: str, kind: Any) -> None:
    arrays = {name: pa.array([cell]) for name, cell in GOOD.items()} | {column: pa.array([1], pa.int32()).cast(kind)}
    with pytest.raises(ModelError, match=re.escape(f"column '{column}' holds {kind}")):
        check(SCHEMA, pa.RecordBatch.from_pydict(arrays), reject_unknown=True)


def test_texts_and_typed_values_become_the_same_inputs() -> None:
    typed = {"age": pa.array([30], pa.int8()), "fee": pa.array([1.5]), "ok": pa.array([True])}
    days = pa.array([19782], pa.int32()).cast(pa.date32())
    texts = {name: pa.array([f" {cell} "]) for name, cell in GOOD.items()}
    for since in (days, days.cast(pa.timestamp("ns")), pa.array(["2024-02-29T23:59"])):
        arrays = texts | typed | {"since": since}
        (one, faults), (two, _) = (
            check(SCHEMA, pa.RecordBatch.from_pydict(x), reject_unknown=True) for x in (texts, arrays)
        )
        assert not faults
        np.testing.assert_array_equal(one["numbers"], np.array([[30, 1.5, 19782, 1]], np.float32))
        np.testing.assert_array_equal(one["numbers"], two["numbers"])
        assert one["categories"].tolist() == two["categories"].tolist() == [["a"]]


def test_an_unknown_category_is_missing_where_that_is_the_policy() -> None:
    inputs, faults = check(SCHEMA, pa.RecordBatch.from_pylist([GOOD | {"plan": "c"}]), reject_unknown=False)
    assert inputs["categories"].tolist() == [[""]]
    assert [fault.reason for fault in faults] == ["missing"]  # and that this column may not be


def test_bad_rows_go_aside_and_the_others_keep_their_scores(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = held_out()
    rows.loc[[3, 40], "age"] = "=1+\n1"
    rows.to_csv("rows.csv", index=False)
    found, errors = run("rows.csv", batch_rows=11), pd.read_csv(ERRORS, dtype="str")
    assert errors["row"].tolist() == ["4", "41"]
    assert errors["id"].tolist() == rows["key"][[3, 40]].tolist()
    assert set(errors["column"]) == {"age"}
    assert set(errors["reason"]) == {"no integer"}
    evaluated = pd.read_parquet("build/predictions.parquet")["score"].drop([3, 40])
    assert found["score"].astype(float).tolist() == evaluated.tolist()
    assert f"{len(rows) - 2} of {len(rows)} rows scored" in capsys.readouterr().out
    run(data.HOLDOUT, force=True)
    assert not ERRORS.exists()  # they were another run's


def with_malformed(rows: pd.DataFrame, lines: dict[int, str]) -> str:
    """Return a CSV file's text in which each of the lines has the row number that is its key."""
    text, left = rows.iloc[:0].to_csv(index=False), iter(range(len(rows)))
    for number in range(1, len(rows) + len(lines) + 1):
        text += f"{lines[number]}\n" if number in lines else rows.iloc[[next(left)]].to_csv(index=False, header=False)
    return text


@pytest.mark.parametrize("block", [4000, 1 << 20])
@pytest.mark.parametrize("batch_rows", [7, 1000])
def test_a_malformed_row_goes_aside_and_keeps_its_number(
    small: Path, monkeypatch: pytest.MonkeyPatch, block: int, batch_rows: int
) -> None:
    monkeypatch.setattr(rows_csv, "BLOCK", block)
    rows = held_out()
    cells = "," * len(rows.columns)
    odd = {1: "one", 20: cells, 21: '"two\nlines"', len(rows) + 4: f"last{cells}", len(rows) + 5: "é"}
    Path("rows").mkdir()
    Path("rows/1.csv").write_text(with_malformed(rows, odd))
    rows.loc[0, "age"] = "odd"
    Path("rows/2.csv").write_text(with_malformed(rows, {3: "three"}))
    found, errors = run("rows", batch_rows=batch_rows), pd.read_csv(ERRORS, dtype="str", keep_default_na=False)
    second = len(rows) + len(odd)
    assert errors["row"].tolist() == [str(number) for number in (*odd, second + 1, second + 3)]
    assert errors["value"].tolist() == [*odd.values(), "odd", "three"]
    reasons = [RAGGED] * len(odd) + ["no integer", RAGGED]
    reasons[2] = SPANNING
    assert errors["reason"].tolist() == reasons
    evaluated = pd.read_parquet("build/predictions.parquet")["score"]
    assert found["score"].astype(float).tolist() == [*evaluated, *evaluated[1:]]
    assert found["id"].tolist() == [*rows["key"], *rows["key"][1:]]


def test_a_row_without_an_id_is_told(small: Path) -> None:
    rows = [{"key": key} for key in ("a", " ", None)]
    nothing = pa.schema([("key", pa.string()), *((name, pa.null()) for name in SCHEMA.columns)])
    scorer = Scorer(SCHEMA, MODEL.read_bytes(), "0" * 32, 0.5, reject_unknown=False)
    _, errors = score_batch(scorer, pa.RecordBatch.from_pylist(rows, nothing), 10)
    missing = [row for row in errors.to_pylist() if row["column"] == "key"]
    assert [(row["row"], row["reason"]) for row in missing] == [(11, "missing"), (12, "missing")]


def test_rows_that_have_no_id_are_known_by_their_numbers(small: Path) -> None:
    scorer = Scorer(SCHEMA.model_copy(update={"id": None}), MODEL.read_bytes(), "0" * 32, 0.5, reject_unknown=True)
    batch = pa.RecordBatch.from_pylist([GOOD, GOOD | {"age": "old"}, GOOD])
    scores, errors = score_batch(scorer, batch, 10)
    assert (scores["id"].to_pylist(), errors["id"].to_pylist()) == (["10", "12"], ["11"])


def test_scoring_a_batch_can_be_sent_elsewhere(small: Path) -> None:
    scorer = Scorer(SCHEMA, MODEL.read_bytes(), "0" * 32, 0.5, reject_unknown=True)
    (batch,) = Source(str(data.HOLDOUT), SCHEMA).batches(1000)
    here = score_batch(scorer, batch, 1)
    there = score_batch(*pickle.loads(pickle.dumps((scorer, batch, 1))))  # noqa: S301 - our own bytes
    assert here == there and here[0].num_rows == batch.num_rows


@pytest.mark.parametrize(
    ("source", "out", "sentence"),
    [
        ("none.csv", "o.csv", "there is no none.csv"),
        ("rows.xlsx", "o.csv", r"must be a \.csv or \.parquet file"),
        ("empty", "o.csv", "a folder of one kind"),
        ("header.csv", "o.csv", r"header\.csv has no rows, so there is nothing to score"),
        ("headers", "o.csv", "headers has no rows"),
        ("none.parquet", "o", r"none\.parquet has no rows"),
        ("wrong.parquet", "o.csv", r"wrong\.parquet can't be read as Parquet or as CSV"),
        ("quote.csv", "o.csv", r"quote\.csv can't be read.*Row #2: Expected 1 columns, got 2"),
        ("lacks.csv", "o.csv", r"lacks\.csv has no column '.+', which schema\.yaml lists"),
        ("build/holdout.parquet", "o.xlsx", r"o\.xlsx can't be written"),
        ("build/holdout.parquet", "gs://bucket/o.csv", "can't be written"),
        ("build/holdout.parquet", "schema", "schema is a file"),
        ("build/holdout.parquet", "there.csv", r"there\.csv exists"),
        ("build/holdout.parquet", "errors.csv", r"errors\.csv\.errors\.csv exists"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(small: Path, source: str, out: str, sentence: str) -> None:
    Path("empty").mkdir()
    Path("headers").mkdir()
    data.read_rows(data.HOLDOUT).head(0).to_parquet("none.parquet")
    contents = {"rows.xlsx": "", "wrong.parquet": "PAR1", "lacks.csv": "a,b\n1,2\n"}
    header = "key,age,fee,plan,since,ok,note\n"
    contents |= {"header.csv": header, "headers/1.csv": header, "headers/2.csv": header}
    contents |= {"quote.csv": 'a\n1,"' + 200 * "\n", "schema": "", "there.csv": "mine", "errors.csv.errors.csv": "mine"}
    for name, content in contents.items():
        Path(name).write_text(content)
    before = sorted(small.rglob("*"))
    with pytest.raises(ModelError, match=sentence):
        job.run(source, out, None, 100, 1, force=False)
    assert sorted(small.rglob("*")) == before
    assert Path("there.csv").read_text() == Path("errors.csv.errors.csv").read_text() == "mine"


@pytest.mark.parametrize("block", [150, 1 << 20])
def test_a_quote_that_swallows_rows_stops_the_run(small: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(rows_csv, "BLOCK", block)
    rows = held_out().assign(note="ok")
    for name, later, reason in (("end", "ok", "is never closed"), ("rows", '19"', "looks like rows")):
        lines = rows.to_csv(index=False).splitlines()
        lines[30] = lines[30].removesuffix("ok") + '"19 inch'
        lines[60] = lines[60].removesuffix("ok") + later
        Path(f"{name}.csv").write_text("\n".join(lines) + "\n")
        with pytest.raises(ModelError, match=rf"{name}\.csv: the quote that opens a cell in line 31 .*{reason}"):
            run(f"{name}.csv", Path(f"{name}.scores.csv"))
        assert not Path(f"{name}.scores.csv").exists()


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_file_in_another_encoding_is_refused_in_one_sentence(small: Path) -> None:
    Path("rows.csv").write_bytes("Ort;Preis\nKöln;1,5\n".encode("latin-1"))
    with pytest.raises(ModelError, match=r"rows\.csv can't be read as Parquet or as CSV \(UTF-8, commas\)"):
        run("rows.csv")


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> list[str]:
    """Interrupt a run while it writes, and return the names of the files that the next one writes."""
    written: list[str] = []
    write = job.write

    def stop(table: pa.Table, path: Path) -> None:
        if len(written) == after:
            raise KeyboardInterrupt
        write(table, path)
        written.append(path.name)

    def count(table: pa.Table, path: Path) -> None:
        write(table, path)
        written.append(path.name)

    monkeypatch.setattr(job, "write", stop)
    with pytest.raises(ModelError, match="interrupted: the same command goes on"):
        run(data.HOLDOUT, batch_rows=20)
    assert not OUT.exists()
    monkeypatch.setattr(job, "write", count)
    written.clear()
    return written


def test_what_was_interrupted_goes_on(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(data.HOLDOUT, Path("whole.csv"), batch_rows=20)
    written = interrupted(monkeypatch, after=3)
    run(data.HOLDOUT, batch_rows=20)
    assert written == ["000003.csv"]
    assert OUT.read_bytes() == Path("whole.csv").read_bytes()
    assert not list(small.glob("scores.csv.parts*"))


class Killed(BaseException):
    """What no code of ours may catch, as none can catch a SIGKILL."""


@pytest.mark.parametrize("out", [OUT, Path("folder")])
def test_killed_before_any_step_on_the_disk_the_next_run_finishes(
    small: Path, monkeypatch: pytest.MonkeyPatch, out: Path
) -> None:
    rows = held_out()
    rows.loc[5, "age"] = "odd"
    rows.to_csv("rows.csv", index=False)
    left = -1

    def step(real: Any) -> Any:
        def stepped(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return real(*arguments, **options)

        return stepped

    def written() -> list[tuple[str, bytes]]:
        return [(str(path), path.read_bytes()) for path in sorted(small.rglob("*")) if path.is_file()]

    for place, name in ((Path, "replace"), (Path, "rename"), (Path, "mkdir"), (shutil, "rmtree")):
        monkeypatch.setattr(place, name, step(getattr(place, name)))
    run("rows.csv", out, batch_rows=20)
    expected, kills, steps = written(), 0, -left - 1
    assert steps > 10 and expected
    for kill in range(1, steps + 3):
        left = kill
        try:
            run("rows.csv", out, batch_rows=20, force=True)
        except Killed:
            kills += 1
            left = -1
            run("rows.csv", out, batch_rows=20, force=True)
        assert written() == expected
    assert kills >= steps


@pytest.mark.parametrize("change", ["input", "model", "batch rows"])
def test_a_changed_job_starts_anew_and_says_so(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    written = interrupted(monkeypatch, after=2)
    if change == "input":
        os.utime(data.HOLDOUT, (1, 1))
    elif change == "model":
        MODEL.write_bytes(MODEL.read_bytes() + b"\x8a\xf8\x01\x00")  # a field that ONNX does not know
    run(data.HOLDOUT, batch_rows=21 if change == "batch rows" else 20)
    assert len(written) == 4
    assert f"starts anew, for this changed: {change}" in capsys.readouterr().err


def test_two_runs_at_once_do_not_mix(small: Path) -> None:
    files = Files(OUT, ERRORS)
    with begin(files, {"input": 1}, force=False), pytest.raises(ModelError, match="another run writes"):
        begin(files, {"input": 1}, force=False)


def test_the_command_says_what_is_wrong(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    OUT.touch()
    monkeypatch.setattr("sys.argv", ["model", "score", str(data.HOLDOUT), str(OUT)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: scores.csv exists: choose another name, or replace it with --force\n"
    monkeypatch.setattr("sys.argv", ["model", "score", str(data.HOLDOUT), str(OUT), "--force"])
    main()
    assert OUT.read_text().startswith('"id","score",')

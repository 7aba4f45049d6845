"""The scores file for people: the right rows in their order, numbers that parse, and no cell that computes itself."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet
from small_model import SCHEMA
from test_batch import held_out, run

from model import data
from model.__main__ import main
from serving.api.reasons import Explainer
from serving.batch import job, layout, reviewed
from serving.batch.layout import Layout
from serving.model_file.opening import MODEL, open_model, reference
from serving.rows.errors import ModelError
from serving.rows.matrices import from_frame

IN, OUT = "rows.csv", "scores.csv"


def score(monkeypatch: pytest.MonkeyPatch, *words: str, source: str = IN, out: str = OUT) -> Path:
    """Run the command with these options."""
    monkeypatch.setattr("sys.argv", ["model", "score", source, out, *words])
    main()
    return Path(out)


@pytest.fixture
def table(small: Path) -> pd.DataFrame:
    """The small model's rows in a CSV file, many of them twice, so that scores are equal; with their scores."""
    rows = pd.concat([held_out(), held_out().assign(key=[f"again {i}" for i in range(len(held_out()))])])
    rows.to_csv(IN, index=False)
    return run(IN, Path("plain.csv")).astype({"score": float})


@pytest.mark.parametrize("batch_rows", [33, 1000])
def test_ranked_rows_are_those_of_a_sort_in_memory(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    monkeypatch.setattr(layout, "PIECE", 7)  # rows of equal scores fall into two pieces
    monkeypatch.setattr(layout, "ROW_GROUP", 5)
    expected = table.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    ranks = table["score"].rank(method="min", ascending=False).astype(int)
    for out in (Path("ranked.parquet"), Path("ranked.csv")):
        job.run(IN, str(out), None, batch_rows, 1, force=False, layout=Layout(rank=True))
        found = pd.read_parquet(out) if out.suffix == ".parquet" else pd.read_csv(out, dtype={"model": str})
        assert list(found) == ["rank", "decile", *table]
        assert found["rank"].tolist() == sorted(ranks)
        assert found["decile"].tolist() == [(rank - 1) * 10 // len(table) + 1 for rank in sorted(ranks)]
        pd.testing.assert_frame_equal(found[list(table)], expected, check_dtype=False)
    assert found["rank"].duplicated().any() and found["decile"].max() == 10


def test_the_top_is_the_head_of_the_ranking(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = pd.read_csv(score(monkeypatch, "--rank", out="whole.csv"))
    top = pd.read_csv(score(monkeypatch, "--top", "9", "--round", "2", out="top.csv"), dtype={"score": str})
    assert top["id"].tolist() == whole["id"].tolist()[:9]
    assert top["decile"].tolist() == whole["decile"].tolist()[:9]
    assert top["score"].tolist() == [f"{value:.2f}" for value in whole["score"][:9]]
    assert "top.csv holds the 9 highest scores of them" in capsys.readouterr().out
    assert len(pd.read_csv(score(monkeypatch, "--top", "9999", out="all.csv"))) == len(table)
    assert "highest scores" not in capsys.readouterr().out


@pytest.mark.parametrize(("spreadsheet", "delimiter", "decimal"), [("comma", ";", ","), ("point", ",", ".")])
def test_a_spreadsheet_of_either_language_reads_numbers(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, spreadsheet: str, delimiter: str, decimal: str
) -> None:
    path = score(monkeypatch, "--rank", "--round", "3", "--reasons", "2", "--spreadsheet", spreadsheet)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfrank" + delimiter.encode())
    found = pd.read_csv(path, sep=delimiter, decimal=decimal, encoding="utf-8-sig")
    assert found["score"].dtype == np.float64 and found["rank"].dtype == np.int64
    expected = table.sort_values("score", ascending=False, kind="stable")
    assert found["score"].tolist() == expected["score"].round(3).tolist()
    assert found["id"].tolist() == expected["id"].tolist()
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    assert lines[1].split(delimiter)[3] == f"{expected['score'].iloc[0]:.3f}".replace(".", decimal)  # not in quotes


def test_delimiter_and_decimal_mark_are_free(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    path = score(monkeypatch, "--delimiter", "tab", "--decimal", ",")
    found = pd.read_csv(path, sep="\t", decimal=",")
    assert found["score"].tolist() == table["score"].tolist()  # to the last digit
    assert not path.read_bytes().startswith(b"\xef\xbb\xbf")


def test_reasons_are_those_of_the_service(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    found = pd.read_csv(score(monkeypatch, "--reasons", "2"), keep_default_na=False)
    rows = data.read_rows(data.HOLDOUT)
    model = open_model()
    explained = list(Explainer(model, SCHEMA, reference(model)["typical"]).explain(from_frame(SCHEMA, rows), 2))
    texts = [[reason["text"] for reason in reasons] + [""] * (2 - len(reasons)) for reasons in explained]
    assert found[["reason_1", "reason_2"]].to_numpy().tolist() == texts * 2
    said = {text.partition(": ")[2] for pair in texts for text in pair}
    assert said == {"raises the score", "lowers the score", ""}


def test_reasons_skip_bad_rows_and_keep_their_places(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = held_out()
    rows.to_csv(IN, index=False)
    whole = pd.read_csv(score(monkeypatch, "--reasons", "1", out="whole.csv"))
    rows.loc[[0, 7], "age"] = "odd"
    rows.to_csv(IN, index=False)
    found = pd.read_csv(score(monkeypatch, "--reasons", "1"))
    pd.testing.assert_frame_equal(found, whole.drop([0, 7]).reset_index(drop=True))


def test_what_a_spreadsheet_would_compute_is_disarmed_there_and_kept_elsewhere(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = held_out()
    odd = ["=1+1", "+49 30", "-7", '@x;"y"', "a=b"]
    rows.loc[: len(odd) - 1, "key"] = odd
    rows.loc[len(odd), "age"] = "=cmd"
    rows.to_csv(IN, index=False)
    plain = pd.read_csv(score(monkeypatch, out="plain.csv"), dtype=str)
    assert plain["id"].tolist()[: len(odd)] == odd
    sheet = pd.read_csv(score(monkeypatch, "--spreadsheet", "comma"), sep=";", encoding="utf-8-sig", dtype=str)
    assert sheet["id"].tolist()[: len(odd)] == ["'=1+1", "'+49 30", "'-7", '\'@x;"y"', "a=b"]
    errors = pd.read_csv("scores.csv.errors.csv", sep=";", encoding="utf-8-sig")
    assert errors["value"].tolist() == ["'=cmd"]
    assert "5 cells start with = + - @" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "out", "sentence"),
    [
        (["--decimal", ",", "--delimiter", ","], OUT, "a comma can't stand in numbers and between cells too"),
        (["--rank"], "folder", "folder is a folder, whose files hold the rows as they came"),
        (["--spreadsheet", "comma"], "o.parquet", r"o\.parquet is Parquet, and delimiter"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(
    table: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    out: str,
    sentence: str,
) -> None:
    with pytest.raises(SystemExit):
        score(monkeypatch, *words, out=out)
    assert re.search(sentence, capsys.readouterr().err)
    assert not Path(out).exists()


def locked(small: Path) -> None:
    """Write the dvc.lock that the pipeline of this folder would have left."""
    made = {
        "deps": [{"path": "schema.yaml", "md5": reviewed._md5(small / "schema.yaml")}],
        "params": {"params.yaml": {"model": {"format": "onnx"}}},
        "outs": [{"path": "build/model.bin", "md5": reviewed._md5(MODEL)}],
    }
    evaluated = {"params": {"params.yaml": {"threshold": 0.5}}}
    reviewed.LOCK.write_text(yaml.safe_dump({"stages": {"train": made, "evaluate": evaluated}}))


def test_a_stale_build_is_refused(table: pd.DataFrame, small: Path) -> None:
    locked(small)
    reviewed.check_build()
    for path, old, new, sentence in (
        ("params.yaml", "threshold: 0.5", "threshold: 0.4", r"threshold in params\.yaml has changed since `evaluate`"),
        ("params.yaml", "format: onnx", "format: skops", r"model in params\.yaml has changed since `train`"),
        ("schema.yaml", "max: 120", "max: 121", r"schema\.yaml has changed since `train` ran, .*uv run dvc repro"),
    ):
        text = Path(path).read_text()
        assert old in text
        Path(path).write_text(text.replace(old, new))
        with pytest.raises(ModelError, match=sentence):
            reviewed.check_build()
        Path(path).write_text(text)
    MODEL.write_bytes(MODEL.read_bytes() + b"\x8a\xf8\x01\x00")
    with pytest.raises(ModelError, match=r"build/model\.bin is not the model that dvc\.lock names: `uv run gitops"):
        reviewed.check_build()


def test_the_command_looks_at_the_build(
    table: pd.DataFrame, small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    locked(small)
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("0.5", "0.4"))
    with pytest.raises(SystemExit):
        score(monkeypatch)
    assert "or score with a release: --release production" in capsys.readouterr().err
    assert not Path(OUT).exists()


def test_the_version_is_in_each_row_and_in_parquets_metadata(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_out().to_csv(IN, index=False)
    assert set(pd.read_csv(score(monkeypatch))["model_version"]) == {"dev"}
    Path("release.json").write_text("{}")
    with pytest.raises(ModelError, match=r"release\.json is not what `gitops fetch-release` writes"):
        run(IN, Path("none.csv"))
    Path("release.json").write_text('{"version": "1.2.0"}')
    found = pd.read_parquet(score(monkeypatch, "--rank", out="o.parquet"))
    assert set(found["model_version"]) == {"1.2.0"}
    noted = parquet.read_schema("o.parquet").metadata
    assert noted[b"model_version"] == b"1.2.0" and noted[b"model_md5"].decode() == reviewed._md5(MODEL)


def test_scores_that_are_all_equal_are_ranked_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "PIECE", 3)
    parts, size = [], 4
    for number in range(3):
        scores = pa.table({"id": [f"{number}{i}" for i in range(size)], "score": [0.25] * size})
        parts.append(tmp_path / f"{number}.parquet")
        parquet.write_table(layout.sorted_part(scores, number * size), parts[-1], row_group_size=2)
    schema, pieces = layout.arranged(parts, scores.schema, Layout(rank=True))
    found = pa.concat_tables(pieces)
    assert found["id"].to_pylist() == [f"{i // size}{i % size}" for i in range(3 * size)]
    assert set(found["rank"].to_pylist()) == set(found["decile"].to_pylist()) == {1}
    assert found.schema == schema

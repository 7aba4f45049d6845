"""An erasure: exactly the rows leave, everything that held them goes, and a killed run is finished by the next one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from gitops.erase import table
from gitops.erase.record import Erasure, hashed
from gitops.shell import CommandError
from harness import Failed, run
from people import Person, found

KILL = Path(__file__).parent / "kill.py"
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("content", "ids", "left"),
    [
        (b"id,n\na,1\nb,2\nc,3\n", {"b"}, b"id,n\na,1\nc,3\n"),
        (b"id,n\r\na,1\r\nb,2\r\nc,3", {"b"}, b"id,n\r\na,1\r\nc,3"),
        (b"id,n\r\na,1\r\nb,2", {"b"}, b"id,n\r\na,1\r\n"),
        (BOM + b"id,n\nb,1\na,2\n", {"b"}, BOM + b"id,n\na,2\n"),
        (BOM + b'"id",n\nb,1\na,2\n', {"b"}, BOM + b'"id",n\na,2\n'),
        (b'n,id\n"1\nb\n2",a\n"x\r\n""y"", b",b\n3,c\n', {"b"}, b'n,id\n"1\nb\n2",a\n3,c\n'),
        (b'id,n\n "b",1\n"b ",2\n b,3\nbb,4\n"b""",5\n', {"b"}, b'id,n\n "b",1\nbb,4\n"b""",5\n'),
        (b' id  of it ,n\n\nb,1\n\n  a ,"\xff"\n', {"b"}, b' id  of it ,n\n\n\n  a ,"\xff"\n'),
        ("id,n\nZoë,ü\n".encode(), {"Zoë"}, b"id,n\n"),
        (b"id,n\nb,1\na,2\nb,3\n", {"b", "unknown"}, b"id,n\na,2\n"),
        (b'id,n\rb,1\ra,19" rack\r', {"b"}, b'id,n\ra,19" rack\r'),
        (b"id,n\na," + b"x" * 200_000 + b"\nb,1\n", {"b"}, b"id,n\na," + b"x" * 200_000 + b"\n"),
        (b"id,n\na,1\n", {"A"}, b"id,n\na,1\n"),
    ],
)
def test_exactly_the_rows_leave_a_csv_file(tmp_path: Path, content: bytes, ids: set[str], left: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    path.chmod(0o444)
    column = "id of it" if b"of it" in content else "id"
    rows = sum(table.count(path, column, ids).values())
    assert table.remove(path, column, ids) == rows == (2 if b"b,3" in content else rows)
    assert path.read_bytes() == left
    assert not table.count(path, column, ids) and [file.name for file in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id,n\na,1,2\nb,1\n", "has a row of 3 cells, and its header has 2"),
        (b'id,n\na,"1\nb,1\n', "can't be read as CSV"),
        (b'id,n\na,"1"2\nb,1\n', "can't be read as CSV"),
        (b"key,n\na,1\n", "has no column 'id'"),
        (b"PAR1", "is not a readable Parquet file"),
    ],
)
def test_a_table_in_which_rows_can_t_be_told_is_left_alone(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    for command in (table.count, table.remove):
        with pytest.raises(CommandError, match=words):
            command(path, "id", {"b"})
    assert path.read_bytes() == content and len(list(tmp_path.iterdir())) == 1


def test_rows_leave_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    rows = pd.DataFrame({"id": [1, 2, 3, 2], "x": pd.array([1, None, 3, 4], "Int64"), "t": ["a", None, "c", "d"]})
    rows.to_parquet(path, row_group_size=3)
    assert table.count(path, "id", {"2", "7"}) == {"2": 2} and table.remove(path, "id", {"2"}) == 2
    pd.testing.assert_frame_equal(
        pd.read_parquet(path).reset_index(drop=True), rows.iloc[[0, 2]].reset_index(drop=True)
    )


PYPROJECT = """
[project]
name = "tiny"
[tool.gitops]
score = "python -m x"
probe = "python -m x"
rows = "build/rows.csv"
predictions = "build/rows.csv"
metrics = "metrics.json"
model = "build/model.bin"
data = "table.csv"
contract = "openapi.json"
description = "model.json"
bento = {service = "x:X", files = ["build/model.bin"]}
"""
STAGES = """
stages:
  split: {cmd: mkdir -p build && sort table.csv > build/rows.csv, deps: [table.csv], outs: [build/rows.csv]}
  train: {cmd: echo fitted > build/model.bin, deps: [build/rows.csv], outs: [build/model.bin]}
"""
DESCRIPTION = {
    "format": 1,
    "target": {"name": "y", "task": "regression", "labels": []},
    "threshold": None,
    "id": "id",
    "features": [{"name": "n", "type": "number", "min": None, "max": None, "values": [], "nullable": False}],
    "ignored": {},
    "model": {"kind": "x", "file_format": "x", "code": []},
    "parameters": {},
    "service": {"path": "/", "records": "r", "predictions": "p", "score": "s", "version": "v"},
}
IDENTITY = "a" * 64


@pytest.fixture
def two(tmp_path: Path) -> tuple[Person, Person]:
    """Two people with a small project: two versions of its table hold the row `ada`, the first is released."""
    origin = found(tmp_path)
    ann = Person(tmp_path, origin, "ann")
    for name, text in (("pyproject.toml", PYPROJECT), ("dvc.yaml", STAGES), ("model.json", json.dumps(DESCRIPTION))):
        (ann.path / name).write_text(text)
    version(ann, "id,n\nada,1\nbob,2\n")
    ann.git("tag", "--annotate", "tiny@v1.0.0", "-m", f"tiny 1.0.0: first\n\nidentity: {IDENTITY}")
    ann.git("push", "--quiet", "origin", "tiny@v1.0.0")
    version(ann, "id,n\nada,1\nbob,2\neve,3\n")
    bob = Person(tmp_path, origin, "bob")
    bob.gitops("store", "pull")
    ann.git("switch", "--quiet", "--create", "erase")
    return ann, bob


def version(person: Person, text: str) -> None:
    """Commit and push a version of the table, with what is made of it."""
    (person.path / "table.csv").write_text(text)
    person.dvc("add", "--quiet", "table.csv")
    person.dvc("repro", "--quiet")
    person.git("add", "--all")
    person.git("commit", "--quiet", "-m", "Version")
    person.git("push", "--quiet", "origin", "HEAD:main")
    person.gitops("store", "push")


def everywhere(person: Person) -> Iterator[bytes]:
    """Yield all that a clone holds of the data: working tree, cache, store, and each of Git's objects."""
    for path in person.path.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            yield path.read_bytes()
    words = ("git", "cat-file", "--batch", "--batch-all-objects")
    yield subprocess.run(words, cwd=person.path, env=person.env, capture_output=True, check=True).stdout


def on_branch(person: Person) -> list[str]:
    """Return what origin's store holds, in all of its history."""
    person.git("fetch", "--quiet", "origin")
    return person.git("log", "-p", "--text", "--format=", "origin/dvc-store").splitlines()


@pytest.mark.slow
def test_killed_anywhere_it_is_finished_by_the_next_run(two: tuple[Person, Person]) -> None:
    ann, bob = two
    erase = ("erase", "--id", "ada", "--reason", "asked for it")
    with pytest.raises(Failed, match=r"error: no row has the id 'adam', neither in table\.csv nor in the 2 versions"):
        ann.gitops("erase", "--id", "ada", "--id", "adam")
    (ann.path / "table.csv").write_text("id,n\nada,1\n")
    with pytest.raises(Failed, match=r"error: table\.csv is not the version that table\.csv\.dvc names"):
        ann.gitops(*erase)
    ann.dvc("checkout", "--quiet", "--force", "table.csv.dvc")

    before = ann.git("status", "--porcelain"), ann.git("rev-parse", "HEAD", "dvc-store"), list(everywhere(ann))
    said = ann.gitops(*erase, "--dry-run")
    assert "Rows that leave table.csv: 1\nVersions of it to be purged: 2; files, with what was made of them: 4" in said
    assert "Releases that were trained on them: 1.0.0\nNothing was done." in said
    assert (
        ann.git("status", "--porcelain"),
        ann.git("rev-parse", "HEAD", "dvc-store"),
        list(everywhere(ann)),
    ) == before

    for step in ("› the rows leave", "› dvc add", "› dvc push", "› purge", "› git gc", "› the record"):
        with pytest.raises(Failed):
            run(sys.executable, KILL, step, *erase, cwd=ann.path, env=ann.env)
        assert len(list((ann.path / "docs/erasures").glob("*"))) == 1
        if step == "› dvc push":
            with pytest.raises(Failed, match=r"the id 'eve' is none of its own"):
                ann.gitops("erase", "--id", "eve")
    said = ann.gitops("erase")  # the rows have left, so the id is not needed any more
    assert "goes on" in said and "Release 1.0.0 was trained on erased rows" in said

    record = Erasure.model_validate_json(next((ann.path / "docs/erasures").glob("*.json")).read_text())
    assert (record.state, record.rows, record.releases, record.reason) == ("finished", 1, ("1.0.0",), "asked for it")
    assert record.names("ada") and not record.names("bob") and record.ids == hashed(["ada"], record.salt)
    assert record.by == "Dana <dana@example.invalid>" and len(record.data) == 2 and len(record.objects) == 4
    assert (ann.path / "table.csv").read_text() == "id,n\nbob,2\neve,3\n"
    assert not any(b"ada,1" in content for content in everywhere(ann))
    lines = on_branch(ann)
    assert not any("ada,1" in line for line in lines) and "+fitted" in lines and "+bob,2" in lines
    assert ann.git("status", "--porcelain") == ""
    assert "Nothing to do" in ann.gitops(*erase)

    # what was made of the new version has its place in the store, and somebody's older clone brings nothing back
    ann.dvc("repro", "--quiet")
    ann.git("add", "--all")
    ann.git("commit", "--quiet", "-m", "Train again")
    ann.gitops("store", "push")
    ann.gitops("lock")
    ann.git("push", "--quiet", "origin", "HEAD:main")
    with pytest.raises(Failed, match=r"error: table\.csv\.dvc names a version of the data of which rows were erased"):
        bob.gitops("store", "push")
    bob.git("pull", "--quiet")
    bob.gitops("store", "pull")
    assert (bob.path / "table.csv").read_text() == "id,n\nbob,2\neve,3\n"
    version(bob, "id,n\nbob,2\neve,3\nmax,4\n")
    lines = on_branch(ann)
    assert not any("ada,1" in line for line in lines) and "+max,4" in lines
    assert any(b"ada,1" in content for content in everywhere(bob))
    assert "Done: they are gone." in bob.gitops("erase")
    assert not any(b"ada,1" in content for content in everywhere(bob))


@pytest.mark.slow
def test_what_an_older_factory_brings_back_is_purged_again(two: tuple[Person, Person]) -> None:
    ann, bob = two
    ann.gitops("erase", "--id", "ada")
    there = bob.path / ".dvc/store"
    for words in ("fetch --quiet origin dvc-store", "merge --quiet --no-edit --allow-unrelated-histories FETCH_HEAD"):
        run("git", *words.split(), cwd=there, env=bob.env)
    run("git", "push", "--quiet", "origin", "dvc-store", cwd=there, env=bob.env)
    assert "+ada,1" in on_branch(ann)
    assert "Done: they are gone." in ann.gitops("erase")
    assert "+ada,1" not in on_branch(ann) and not any(b"ada,1" in content for content in everywhere(ann))


@pytest.mark.slow
def test_a_remote_that_is_no_branch_is_purged_too(tmp_path: Path) -> None:
    ann = Person(tmp_path, found(tmp_path), "ann")
    command = "mkdir -p parts && cp table.csv parts/a && echo same > parts/b"
    folder = f"  parts: {{cmd: {command}, deps: [table.csv], outs: [parts]}}\n"
    (ann.path / "pyproject.toml").write_text(PYPROJECT)
    (ann.path / "dvc.yaml").write_text(STAGES + folder)
    (ann.path / "model.json").write_text(json.dumps(DESCRIPTION))
    ann.dvc("remote", "modify", "--quiet", "store", "url", str(tmp_path / "bucket"))
    version(ann, "id,n\nada,1\nbob,2\n")
    (ann.path / "tried.csv").write_text("n,id\n1,ada\n")
    ann.dvc("add", "--quiet", "tried.csv")  # of an experiment that was never committed
    for name in ("tried.csv", "tried.csv.dvc"):
        (ann.path / name).unlink()
    ann.gitops("erase", "--id", "ada")
    ann.dvc("repro", "--quiet")
    ann.gitops("store", "push")
    contents = [path.read_bytes() for path in (tmp_path / "bucket").rglob("*") if path.is_file()]
    assert b"fitted\n" in contents and b"same\n" in contents and b"id,n\nbob,2\n" in contents
    assert not any(b"ada,1" in content or b"1,ada" in content for content in (*contents, *everywhere(ann)))

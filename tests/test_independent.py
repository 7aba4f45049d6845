"""The base judges a pull request's model as data: a lie in the pull request's own files changes nothing."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from laptop import Laptop

pytestmark = pytest.mark.slow

STUMP = {
    "kind: linear ": "kind: gradient_boosting ",
    "max_iter: 80": "max_iter: 1",
    "max_leaf_nodes: 8": "max_leaf_nodes: 2",
}
NAN_MODEL = """
import numpy, onnx, sys
from onnx import helper, numpy_helper
model = onnx.load("build/model.bin")
last = model.graph.output[-1].name
model.graph.initializer.append(numpy_helper.from_array(numpy.float32("nan"), "nan"))
model.graph.node.append(helper.make_node("Mul", [last, "nan"], ["spoilt"]))
model.graph.output[-1].name = "spoilt"
onnx.save(model, "build/model.bin.part")
"""
HOLDOUT, PREDICTIONS, MODEL = "build/holdout.parquet", "build/predictions.parquet", "build/model.bin"


@pytest.fixture(scope="module")
def hostile(champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """A clone whose branch `worse` holds a ruined model; each test starts a branch of its own there."""
    laptop = Laptop(champion, tmp_path_factory.mktemp("hostile"))
    for old, new in STUMP.items():
        laptop.replace("params.yaml", old, new)
    laptop.run("dvc repro --quiet", "git add --all", "git commit --quiet -m worse", "git branch worse")
    return laptop


def start(laptop: Laptop, name: str, at: str = "worse") -> None:
    """Begin a pull request; what DVC keeps of the start is put in its place."""
    laptop.run(f"git switch --quiet --force-create {name} {at}", "dvc checkout --quiet --force")
    for path in (HOLDOUT, PREDICTIONS, MODEL):  # files of one's own, as the cache's may be linked here
        (laptop.path / path).write_bytes((laptop.path / path).read_bytes())


def lie(laptop: Laptop, stage: str) -> None:
    """Put what was edited under the hash that dvc.lock names, as `dvc commit` does it."""
    laptop.run(f"dvc commit --quiet --force {stage}")


def assess(laptop: Laptop) -> dict[str, Any]:
    """Commit what is there, and return what the base says of it."""
    laptop.run("git add --all", "git commit --quiet --allow-empty -m case")
    head = laptop.run("git rev-parse HEAD").strip()
    laptop.run("git switch --quiet --force main", f"python -m gitops assess {head} --out assessment")
    found: dict[str, Any] = json.loads(laptop.read("assessment/assessment.json"))
    assert found["facts"]["commit"] == head
    return found


def reasons(found: dict[str, Any]) -> list[str]:
    assert (found["verdict"] == "block") is bool(found["reasons"])
    return list(found["reasons"])


TOLD = ("verdict", "reasons", "warnings", "notes")
FLOOR = "is below its floor 0.8 by"


def test_an_honest_model_is_judged_as_its_author_judges_it(hostile: Laptop) -> None:
    start(hostile, "honest", "main")
    hostile.replace("params.yaml", "alpha: 1.0 ", "alpha: 3.0 ")
    hostile.run("dvc repro --quiet")
    hostile.review()
    own = json.loads(hostile.read("review/review.json"))
    base = assess(hostile)
    assert base["facts"]["unjudged"] == "" and [base[key] for key in TOLD] == [own[key] for key in TOLD]
    assert base["facts"]["judgement"] == own["facts"]["judgement"]
    assert base["facts"]["changes"]["params"] == own["facts"]["changes"]["params"] != []


def test_held_out_rows_that_the_author_picked_do_not_judge(hostile: Laptop) -> None:
    start(hostile, "picked")
    rows, predictions = (pd.read_parquet(hostile.path / path) for path in (HOLDOUT, PREDICTIONS))
    right = ((predictions["score"] > 0.3) == (predictions["truth"] > 0.5)).to_numpy()
    rows[right].to_parquet(hostile.path / HOLDOUT)
    predictions[right].to_parquet(hostile.path / PREDICTIONS, index=False)
    lie(hostile, "split evaluate")
    found = assess(hostile)
    assert found["facts"]["judgement"]["rows"] == len(rows), "all that the base holds out"
    assert FLOOR in reasons(found)[0]
    assert f"{PREDICTIONS} lacks {(~right).sum():,} of the {len(rows):,} rows that are held out" in reasons(found)


def test_rows_that_are_swapped_or_doubled_and_perfect_predictions_are_seen(hostile: Laptop) -> None:
    start(hostile, "edited")
    rows, predictions = (pd.read_parquet(hostile.path / path) for path in (HOLDOUT, PREDICTIONS))
    rows.assign(churn=rows["churn"].to_numpy()[::-1]).to_parquet(hostile.path / HOLDOUT)
    perfect = predictions.assign(score=predictions["truth"])
    pd.concat([perfect.iloc[1:], perfect.iloc[-1:]]).to_parquet(hostile.path / PREDICTIONS, index=False)
    hostile.replace("metrics.json", '"roc_auc": 0.', '"roc_auc": 0.9')
    lie(hostile, "split evaluate")
    told = reasons(assess(hostile))
    assert FLOOR in told[0]
    assert f"{PREDICTIONS} lacks 1 of the {len(rows):,} rows that are held out" in told
    assert any(line.startswith("metrics.json says roc_auc 0.9") for line in told)


def test_a_seed_that_favours_the_model_splits_nothing(hostile: Laptop) -> None:
    start(hostile, "lucky")
    hostile.replace("params.yaml", "seed: 20 ", "seed: 21 ")
    hostile.run("dvc repro --quiet")
    found = assess(hostile)
    assert any("of the 1," in line and "rows that are held out" in line for line in reasons(found))
    assert FLOOR in reasons(found)[0]


def test_scores_that_are_no_numbers_block(hostile: Laptop) -> None:
    start(hostile, "nan")
    (hostile.path.parent / "nan.py").write_text(NAN_MODEL)
    hostile.run(f"python {hostile.path.parent / 'nan.py'}")
    (hostile.path / f"{MODEL}.part").replace(hostile.path / MODEL)
    lie(hostile, "train")
    found = assess(hostile)
    assert {row["verdict"] for row in found["facts"]["judgement"]["metrics"]} == {"missing"} and reasons(found)


def test_another_file_than_the_locked_one_is_not_taken(hostile: Laptop) -> None:
    start(hostile, "planted", "main")
    good = (hostile.path / MODEL).read_bytes()
    start(hostile, "planted")
    locked = hostile.run("git show worse:dvc.lock").partition(f"path: {MODEL}\n")[2].split()
    digest = locked[locked.index("md5:", 1) + 1]
    kept = hostile.path / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    honest = kept.read_bytes()
    kept.chmod(0o644)
    kept.write_bytes(good)
    try:
        assert reasons(assess(hostile)) == [f"{MODEL} is not in the data remote"]
    finally:
        kept.write_bytes(honest)


@pytest.mark.parametrize(("name", "content"), [("pickle", b"\x80\x04K\x01."), ("zip", b"PK\x03\x04"), ("empty", b"")])
def test_a_file_that_may_run_code_is_not_opened(hostile: Laptop, name: str, content: bytes) -> None:
    start(hostile, name)
    (hostile.path / MODEL).write_bytes(content)
    lie(hostile, "train")
    found = assess(hostile)
    assert "may run code when it is opened" in found["facts"]["unjudged"]
    assert found["verdict"] == "warn" and found["facts"]["judgement"]["rows"] == 0
    assert found["warnings"][0].startswith("a code owner must look: the base can't score this model (")


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("schema.yaml", "what a row is changes with schema.yaml"),
        ("src/serving/rows/matrices.py", "the code that scores rows changes: src/serving/rows/matrices.py"),
    ],
)
def test_what_the_base_would_score_in_another_way_is_said(hostile: Laptop, file: str, why: str) -> None:
    start(hostile, "other")
    hostile.write(file, hostile.read(file) + "\n# another\n")
    found = assess(hostile)
    assert found["facts"]["unjudged"] == why and found["verdict"] == "warn"
    assert found["facts"]["changes"]["owned_changes"] == [file]


def test_a_table_that_grew_is_split_by_the_base(hostile: Laptop) -> None:
    start(hostile, "grown", "main")
    table = (hostile.path / "data/table.csv").read_text().splitlines(keepends=True)
    more = [line.replace(line.partition(",")[0], f"NEW-{place}", 1) for place, line in enumerate(table[1:501])]
    path = hostile.path / "data/table.csv"
    path.unlink()
    path.write_text("".join([*table, *more]))
    hostile.run("dvc add --quiet data/table.csv")
    pointer = hostile.path / "data/table.csv.dvc"
    hostile.run("dvc repro --quiet")
    pointer.write_text(pointer.read_text().replace("path: table.csv", "path: ../../../stolen.csv"))
    found = assess(hostile)
    assert found["facts"]["unjudged"] == "" and found["facts"]["judgement"]["rows"] > 1409
    assert not list(hostile.path.parents[1].rglob("stolen.csv")), "the pointer's path is the pull request's word"


def test_the_first_model_is_judged_by_its_floors(prepared: Path, tmp_path: Path) -> None:
    laptop = Laptop(prepared, tmp_path)
    assert "dvc.lock" not in laptop.run("git ls-tree --name-only main").split()
    found = assess(laptop)
    assert found["facts"]["champion"]["state"] == "none" and found["verdict"] == "pass"
    assert {row["verdict"] for row in found["facts"]["judgement"]["metrics"]} == {"meets the gate"}

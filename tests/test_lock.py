"""Is dvc.lock fresh? Asked of real DVC, in a clean clone, where its own commands answer wrongly."""

from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Failed
from people import Person, found

PIPELINE = """stages:
  train:
    cmd: cat table.csv train.py params.yaml > model.bin
    deps: [table.csv, train.py]
    params: [depth]
    outs: [model.bin]
  evaluate:
    cmd: wc -c model.bin > metrics.json
    deps: [model.bin]
    metrics: [metrics.json: {cache: false}]
"""


@pytest.fixture
def author(tmp_path: Path) -> Person:
    """Return somebody who trained, pushed data and model, and pushed the branch."""
    made = Person(tmp_path, found(tmp_path), "author")
    for name, text in {"dvc.yaml": PIPELINE, "params.yaml": "depth: 3\n", "train.py": "1\n"}.items():
        (made.path / name).write_text(text)
    (made.path / "data").mkdir()
    made.add("table.csv", b"a,b\n1,2\n")
    made.dvc("repro")
    publish(made)
    made.gitops("store", "push")
    return made


def publish(person: Person) -> None:
    """Commit everything and push it."""
    person.git("add", "--all")
    person.git("commit", "--quiet", "-m", "Change")
    person.git("push", "--quiet", "origin", "main")


def clone(author: Person, *, store: bool = True) -> Person:
    """Return a clean clone, as a workflow has it, with the data remote mounted."""
    runner = Person(author.path.parent, author.path.parent / "origin.git", "runner")
    if store:
        runner.gitops("store", "pull")
    return runner


def test_a_fresh_lock_is_fresh_in_a_clean_clone_that_has_no_file(author: Person) -> None:
    runner = clone(author)
    assert "describes this commit" in runner.gitops("lock")
    assert not (runner.path / "model.bin").exists()


def write(name: str, text: str) -> Callable[[Person], object]:
    """Return a change of one file."""
    return lambda person: (person.path / name).write_text(text)


def relock(person: Person) -> None:
    """Run a stage on new data and then put the old data version back, as a bad merge of dvc.lock does."""
    pointer = (person.path / "table.csv.dvc").read_text()
    (person.path / "table.csv").write_text("a,b\n9,9\n")
    person.dvc("repro")
    person.gitops("store", "push")
    (person.path / "table.csv.dvc").write_text(pointer)


def renew_data(person: Person) -> None:
    """Bring a new data version and forget to train."""
    (person.path / "table.csv").write_text("a,b\n3,4\n")
    person.dvc("add", "--quiet", "table.csv")
    person.gitops("store", "push")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (write("params.yaml", "depth: 4\n"), "stage train: depth is modified"),
        (write("train.py", "2\n"), "stage train: train.py is modified"),
        (write("metrics.json", "0\n"), "stage evaluate: metrics.json is modified"),
        (write("dvc.yaml", PIPELINE.replace("cat ", "cat -u ")), "stage train: changed command"),
        (write("dvc.yaml", PIPELINE + "  report:\n    cmd: touch r\n    outs: [r]\n"), "stage report was never run"),
        (renew_data, "stage train read another version of table.csv than the one that is locked now"),
        (relock, "stage train read another version of table.csv than the one that is locked now"),
    ],
    ids=["parameter", "code", "hand-edited metrics", "command", "new stage", "new data", "mixed lock"],
)
def test_a_stale_lock_says_why_and_what_to_do(author: Person, change: Callable[[Person], object], reason: str) -> None:
    change(author)
    publish(author)
    runner = clone(author)
    with pytest.raises(Failed) as failed:
        runner.gitops("lock")
    assert f"error: {reason}" in str(failed.value)
    assert "uv run dvc repro && uv run gitops store push" in str(failed.value)


def test_a_forgotten_push_names_what_is_missing(author: Person) -> None:
    write("params.yaml", "depth: 5\n")(author)
    author.dvc("repro")
    publish(author)
    runner = clone(author)
    with pytest.raises(Failed, match="error: model.bin is in dvc.lock, but not in the data remote"):
        runner.gitops("lock")


def test_without_any_store_everything_is_missing(author: Person) -> None:
    runner = clone(author, store=False)
    with pytest.raises(Failed) as failed:
        runner.gitops("lock")
    for name in ("model.bin", "table.csv"):
        assert f"{name} is in dvc.lock, but not in the data remote" in str(failed.value)

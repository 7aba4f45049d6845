"""Is dvc.lock fresh? Asked of real DVC, in a clean clone, where its own commands answer wrongly."""

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import once
from harness import Failed, run
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


def plant(folder: Path) -> None:
    """Let somebody train, push data and model, and push the branch."""
    folder.mkdir()
    made = Person(folder, found(folder), "author")
    for name, text in {"dvc.yaml": PIPELINE, "params.yaml": "depth: 3\n", "train.py": "1\n"}.items():
        (made.path / name).write_text(text)
    (made.path / "data").mkdir()
    made.add("table.csv", b"a,b\n1,2\n")
    made.dvc("repro")
    publish(made)
    made.gitops("store", "push")


@pytest.fixture
def author(shared: Path, tmp_path: Path) -> Person:
    """Return this test's own copy of somebody who trained and pushed everything."""
    planted = once(shared, "author", plant)
    for name in ("author", "origin.git"):
        shutil.copytree(planted / name, tmp_path / name, symlinks=True)
    return Person(tmp_path, tmp_path / "origin.git", "author")


def publish(person: Person) -> None:
    """Commit everything and push it."""
    person.git("add", "--all")
    person.git("commit", "--quiet", "-m", "Change")
    person.git("push", "--quiet", "origin", "main")


def clone(author: Person, *, store: bool = True) -> Person:
    """Return a clean clone, as a workflow has it, with the data remote mounted."""
    runner = Person(
        author.path.parent, author.path.parent / "origin.git", f"runner-{len(list(author.path.parent.iterdir()))}"
    )
    if store:
        with contextlib.suppress(Failed):  # some file was never pushed, as the case may be
            runner.gitops("store", "pull")
    return runner


def test_a_fresh_lock_is_fresh_in_a_clean_clone_that_has_no_file(author: Person) -> None:
    runner = clone(author, store=False)
    assert "describes this commit" in runner.gitops("lock"), "which mounts the data remote itself"
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


MODULES = """stages:
  train:
    cmd: python -m own.train
    deps: [src/own]
    outs: [model.bin]
  report:
    foreach: [a, b]
    do:
      cmd: echo ${item} > ${item}.txt
      deps: [model.bin]
      outs: ["${item}.txt"]
"""
TRAIN = "from own.features import x\nopen('model.bin', 'w').write(str(x))\n"


def modules(person: Person) -> None:
    """Make a pipeline of a Python package and of stages that DVC makes from one, run and pushed."""
    for name, text in {"__init__.py": "", "train.py": TRAIN, "features.py": "x = 1\n"}.items():
        (person.path / "src/own" / name).parent.mkdir(parents=True, exist_ok=True)
        (person.path / "src/own" / name).write_text(text)
    (person.path / "metrics.json").unlink()
    for name, text in {"dvc.yaml": MODULES, ".dvcignore": "__pycache__/\n"}.items():
        (person.path / name).write_text(text)
    person.env["PYTHONPATH"] += f":{person.path / 'src'}"
    del person.env["PYTHONPYCACHEPREFIX"]  # compiled files lie beside the code, as on every laptop
    person.dvc("repro")
    publish(person)
    person.gitops("store", "push")


def test_a_stages_own_module_that_it_does_not_declare_is_named(author: Person) -> None:
    modules(author)
    assert list(author.path.glob("src/own/__pycache__/*")), "what lies in a folder beside the code is not hashed"
    assert "describes this commit" in author.gitops("lock"), "also with stages made by foreach"
    assert "describes this commit" in clone(author).gitops("lock")
    (author.path / "src/own/features.py").write_text("x = 2\n")
    with pytest.raises(Failed, match="error: stage train: src/own is modified"):
        author.gitops("lock")

    (author.path / "dvc.yaml").write_text(MODULES.replace("[src/own]", "[src/own/train.py]"))
    author.dvc("repro", "--quiet")
    assert author.dvc("status") == "Data and pipelines are up to date.", "DVC believes the list"
    with pytest.raises(Failed) as failed:
        author.gitops("lock")
    sentence = (
        "stage train imports src/own/features.py, and dvc.yaml does not name it under deps: add it (or its folder)"
    )
    assert f"error: {sentence}\n" in str(failed.value)


def test_a_data_file_may_have_any_letters(author: Person) -> None:
    author.add("städte 'ß'.csv", b"plz,ort\n")
    publish(author)
    author.gitops("store", "push")
    assert "describes this commit" in author.gitops("lock")


def test_an_open_merge_is_one_sentence_that_names_the_files(author: Person) -> None:
    for depth in (4, 5):
        author.git("switch", "--quiet", "--create", f"depth-{depth}", "main")
        write("params.yaml", f"depth: {depth}\n")(author)
        author.dvc("repro")
        author.git("commit", "--quiet", "--all", "--message", "Idea")
    with pytest.raises(Failed):
        author.git("merge", "--quiet", "depth-4")
    for command in (["lock"], ["review"], ["release"], ["store", "push"]):
        with pytest.raises(
            Failed, match=r"error: two branches changed dvc\.lock, .*params\.yaml, and the merge is not"
        ):
            author.gitops(*command)
    author.git("add", "--all")  # with the marks in it
    with pytest.raises(Failed, match=r"error: two branches changed dvc\.lock, .*params\.yaml, and the merge is not"):
        author.gitops("lock")
    author.git("checkout", "--quiet", "HEAD", "dvc.lock", "metrics.json")  # the way out that the sentence gives
    write("params.yaml", "depth: 6\n")(author)
    author.dvc("repro")
    author.git("commit", "--quiet", "--all", "--message", "Merge")
    author.gitops("store", "push")
    assert "describes this commit" in author.gitops("lock")


def test_a_folder_that_is_not_the_root_is_told_apart(author: Person, tmp_path: Path) -> None:
    inner, outer = author.path / "data", author.path / "nested"
    for folder, sentence in ((inner, "and not its root: run this from there"), (outer, "move it out")):
        folder.mkdir(exist_ok=True)
        if folder is outer:
            (outer / ".dvc").mkdir()
            (outer / "pyproject.toml").write_text("")
        with pytest.raises(Failed, match=f"error: this is a folder of the repository .*{sentence}"):
            run(sys.executable, "-m", "gitops", "lock", cwd=folder, env=author.env)
    with pytest.raises(Failed, match="error: this is no Git repository"):
        run(sys.executable, "-m", "gitops", "lock", cwd=tmp_path, env=author.env)


def test_an_earlier_version_that_lies_here_is_no_change(author: Person) -> None:
    bob = clone(author)
    renew_data(author)
    author.dvc("repro")
    publish(author)
    author.gitops("store", "push")
    bob.git("pull", "--quiet")
    said = bob.gitops("lock")
    assert "describes this commit" in said and "Here lies another version of model.bin, table.csv" in said
    (bob.path / "table.csv").write_text("a,b\n7,7\n")  # but an edit is one
    with pytest.raises(Failed, match=r"table\.csv is modified"):
        bob.gitops("lock")


def test_a_forgotten_push_names_what_is_missing(author: Person) -> None:
    write("params.yaml", "depth: 5\n")(author)
    author.dvc("repro")
    publish(author)
    runner = clone(author)
    with pytest.raises(Failed, match="error: model.bin is in dvc.lock, but not in the data remote"):
        runner.gitops("lock")


def test_without_any_store_everything_is_missing(author: Person) -> None:
    author.git("push", "--quiet", "origin", "--delete", "dvc-store")
    runner = clone(author, store=False)
    with pytest.raises(Failed) as failed:
        runner.gitops("lock")
    for name in ("model.bin", "table.csv"):
        assert f"{name} is in dvc.lock, but not in the data remote" in str(failed.value)

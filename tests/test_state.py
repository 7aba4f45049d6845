"""What a commit says of its model is read once, in one call of Git, and a broken file is one sentence."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from gitops import git, lock
from gitops.review import review
from gitops.review.changes import changes_since
from gitops.review.record import Change, LockState
from gitops.review.state import CommitState, of_commit, of_working_tree
from gitops.shell import CommandError
from projects import project

NAMES = ("lock", "params", "gates", "contract", "metrics", "description", "data_pointer", "pyproject", "uv_lock")
PROJECT = project(model="build/m", data="data/t.csv")
FILES = {
    "dvc.lock": "stages:\n  train: {outs: [{path: build/m, md5: aa}]}\n  evaluate: {}\n",
    "params.yaml": "model: {kind: linear, alpha: 1.0}\n",
    "gates.yaml": "metrics: {roc_auc: }\n",
    "openapi.json": "{}",
    "metrics.json": '{"roc_auc": 0.84}\n',
    "model.json": "{}",
    "data/t.csv.dvc": "outs: [{path: t.csv, md5: 0123456789ab, size: 12345}]\n",
    "pyproject.toml": '[tool.gitops]\nscore = "python -m model"\n',
    "uv.lock": '[[package]]\nname = "numpy"\nversion = "2.4.6"\n',
}


def state(**texts: str | None) -> CommitState:
    """Return the state of a working tree that has only these files."""
    return CommitState("", **(dict.fromkeys(NAMES) | texts))


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> Path:
    """A repository with one commit of all files, in the current folder."""
    for name in ("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_NOSYSTEM"):
        monkeypatch.setenv(name, env[name])
    monkeypatch.chdir(tmp_path)
    git.git("init", "--quiet")
    write(FILES)
    git.git("add", "--all")
    git.git("commit", "--quiet", "--message", "first")
    return tmp_path


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


def test_a_commit_and_its_working_tree_say_the_same(clone: Path) -> None:
    commit, tree = of_commit("HEAD", PROJECT), of_working_tree(PROJECT)
    assert [getattr(commit, name) for name in NAMES] == [getattr(tree, name) for name in NAMES] == [*FILES.values()]
    assert tree.outputs == {"build/m": "aa"} and [*tree.stages] == ["train", "evaluate"]
    assert tree.parameters == {"model.kind": "linear", "model.alpha": 1.0}
    assert tree.recorded_metrics == {"roc_auc": 0.84} and tree.packages == {"numpy": "2.4.6"}
    assert tree.data and (tree.data.path, tree.data.md5, tree.data.size) == ("t.csv", "0123456789ab", 12345)
    assert tree.score_command == "python -m model"


def test_one_call_of_git_reads_a_commit(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, run = list[Any](), subprocess.run

    def counted(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments)
        return run(*arguments, **more)

    monkeypatch.setattr(subprocess, "run", counted)
    of_commit("HEAD", PROJECT)
    assert len(calls) == 1


def test_a_file_that_is_not_there_is_none(clone: Path) -> None:
    assert of_commit("4b825dc642cb6eb9a060e54bf8d69288fbee4904", PROJECT).outputs == {}, "Git's empty tree"
    Path("uv.lock").unlink()
    Path("gates.yaml").unlink()
    Path("gates.yaml").mkdir()
    assert (of_working_tree(PROJECT).uv_lock, of_working_tree(PROJECT).gates) == (None, None)
    assert state().data is None and state().parameters == {} and state().recorded_metrics is None


def test_every_kind_of_content_comes_back(clone: Path) -> None:
    Path("folder").mkdir()
    contents = {
        "empty": b"",
        "crlf": b"a\r\nb\r\n",
        "latin": b"\xe4\n",
        "blob": b"x missing\nHEAD:a blob 3\nabc",
        "folder/a": b"1",
    }
    for name, content in contents.items():
        Path(name).write_bytes(content)
    git.git("-c", "core.autocrlf=false", "add", "--all")
    git.git("commit", "--quiet", "--message", "more")
    names = ["empty", "folder", "crlf", "none", "latin", "blob", "folder/a", "with space"]
    texts = git.show_many([f"HEAD:{name}" for name in names])
    assert texts == ["", None, "a\nb\n", None, "\udce4\n", "x missing\nHEAD:a blob 3\nabc", "1", None]
    with pytest.raises(CommandError, match="it has a line end"):
        git.show_many(["HEAD:a\nHEAD:b"])


@pytest.mark.parametrize(
    ("name", "text", "asked"),
    [
        ("params", "a: [", "parameters"),
        ("params", "- a", "parameters"),
        ("params", "a: 2027-02-31", "parameters"),
        ("params", "\udce4", "parameters"),
        ("lock", "stages: {", "outputs"),
        ("lock", "x", "stages"),
        ("data_pointer", "outs: ]", "data"),
        ("pyproject", "[tool", "score_command"),
        ("pyproject", "", "score_command"),
    ],
)
def test_a_broken_file_is_one_sentence(name: str, text: str, asked: str) -> None:
    for revision, where in (("", ""), ("abc" * 13, " of abcabcabc")):
        broken = CommitState(revision, **(dict.fromkeys(NAMES) | {name: text}))
        with pytest.raises(CommandError, match=r"(is not valid YAML|is not a mapping|names no command)") as stop:
            getattr(broken, asked)
        assert "\n" not in str(stop.value) and f"{where} " in str(stop.value)


def test_what_changes_is_told_from_two_states(clone: Path) -> None:
    write({"src/gitops/a.py": "a = 1\n" * 9, "src/model/b.py": "b = 1\n"})
    git.git("add", "--all")
    git.git("commit", "--quiet", "--message", "code")
    base = of_commit(git.git("rev-parse", "HEAD"), PROJECT)
    Path("docs").mkdir()
    git.git("mv", "src/gitops/a.py", "docs/a.py")
    write(
        {
            "src/model/b.py": "b = 2\n",
            "params.yaml": "model: {kind: linear}\nseed: 3\n",
            "gates.yaml": "metrics: {r2: }\n",
        }
    )
    write(
        {"dvc.lock": FILES["dvc.lock"].replace("aa", "bb"), "data/t.csv.dvc": "outs: [{path: t.csv, md5: 99, size: 1}]"}
    )
    found = changes_since(base, of_working_tree(PROJECT), PROJECT)
    assert found.params == (Change("model.alpha", "1.0", "–"), Change("seed", "–", "3"))
    assert found.data == (Change("t.csv", "012345678 (12,345 bytes)", "99 (1 bytes)"),)
    assert {entry.area: entry.files for entry in found.code} == {
        "model": ("src/model/b.py (−1 +1)",),
        "factory": ("src/gitops/a.py (−9 +0)",),
        "other files": ("docs/a.py (−0 +9)", "gates.yaml (−1 +1)"),
    }
    assert found.stages == ("train",) and found.gates_changed
    assert found.owned_changes == ("gates.yaml", "src/gitops/a.py"), "moved out of the factory, and told all the same"
    assert changes_since(base, base, PROJECT).params == ()


def test_dependencies_are_compared_as_they_are_locked(clone: Path) -> None:
    package = '[[package]]\nname = "{}"\nversion = "{}"\n'
    old = package.format("numpy", "2.4.6") + package.format("scipy", "1.17.1") + package.format("dvc", "3.67.1")
    new = package.format("numpy", "2.5.0") + package.format("dvc", "3.67.1") + package.format("onnx", "1.23.2")
    head = git.git("rev-parse", "HEAD")
    base = CommitState(head, **(dict.fromkeys(NAMES) | {"uv_lock": old}))
    assert changes_since(base, state(uv_lock=new), PROJECT).dependencies == (
        Change("numpy", "2.4.6", "2.5.0"),
        Change("onnx", "–", "1.23.2"),
        Change("scipy", "1.17.1", "–"),
    )
    assert state(uv_lock="not a lock [").packages == {}


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [("true", LockState(missing=("here", "gone"))), ("", LockState(missing=("gone",), unpushed=("here",)))],
)
def test_on_a_laptop_what_the_remote_lacks_is_not_pushed_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workflow: str, expected: LockState
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").write_text("")
    monkeypatch.setenv("GITHUB_ACTIONS", workflow)
    monkeypatch.setattr(lock, "stale", list)
    monkeypatch.setattr(lock, "missing", lambda: ["here", "gone"])
    monkeypatch.setattr(lock, "other_versions", set)
    assert review._lock_state() == expected
    monkeypatch.setattr(lock, "stale", lambda: ["stage train: params.yaml is modified"])
    assert review._lock_state() == LockState(stale=("stage train: params.yaml is modified",)), (
        "it is not the locked one"
    )

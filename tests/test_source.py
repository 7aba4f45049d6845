"""What a release refuses to be made of, on small real repositories."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from gitops import tags
from gitops.project import Project
from gitops.release import bento, source
from gitops.shell import CommandError
from harness import environment, run

IMAGE = f"registry.example.com/acme/model@sha256:{'a' * 64}"
RELEASE = tags.Release("model@v1.0.0", "1.0.0", "c" * 40, "2026-01-02T03:04:05+00:00", "first", "d" * 64, IMAGE)
HELD = {"digest": IMAGE.partition("@")[2], "revision": "c" * 40, "identity": "d" * 64}
Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Return Git in a clone, the current folder, whose `main` is pushed."""
    env, clone = environment(tmp_path / "home"), tmp_path / "clone"
    monkeypatch.setenv("HOME", env["HOME"])
    run("git", "init", "--quiet", "--bare", tmp_path / "origin.git", cwd=tmp_path, env=env)
    run("git", "clone", "--quiet", tmp_path / "origin.git", clone, cwd=tmp_path, env=env)
    monkeypatch.chdir(clone)
    # what a release holds is another module's matter
    names = ("params.yaml", "new.py")
    monkeypatch.setattr(bento, "contents", lambda _: [name for name in names if Path(name).exists()])

    def call(*words: str) -> str:
        return run("git", *words, cwd=clone, env=env)

    Path("params.yaml").write_text("threshold: 0.5\n")
    call("add", "params.yaml")
    call("commit", "--quiet", "-m", "Start")
    call("push", "--quiet", "origin", "HEAD:refs/heads/main")
    return call


@pytest.fixture
def project() -> Project:
    return Project.model_construct(name="model", model="build/model.bin")


def test_what_main_holds_is_released(git: Git, project: Project) -> None:
    source.check(project)
    Path("notes.txt").write_text("nobody packs this")
    source.check(project)


def test_a_commit_that_is_not_on_main_is_refused(git: Git, project: Project) -> None:
    git("commit", "--quiet", "--allow-empty", "-m", "Nobody saw this")
    git("update-ref", "refs/remotes/origin/main", "HEAD")  # a clone can say anything: origin is asked
    with pytest.raises(
        CommandError, match=r"this commit is not on origin's main, .* push the branch, open a pull request"
    ):
        source.check(project)
    git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    source.check(project)


def test_without_an_origin_it_is_said_that_nobody_reviewed(
    git: Git, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    git("remote", "remove", "origin")
    source.check(project)
    assert "no `origin`, so nobody reviewed this commit" in capsys.readouterr().out


@pytest.mark.parametrize("overlook", ["", "--assume-unchanged", "--skip-worktree"])
def test_a_changed_file_is_refused_whatever_git_was_told_to_overlook(git: Git, project: Project, overlook: str) -> None:
    Path("params.yaml").write_text("threshold: 0.9\n")
    if overlook:
        git("update-index", overlook, "params.yaml")
        assert git("status", "--short") == ""
    with pytest.raises(CommandError, match=r"params\.yaml differs from the commit that would be released"):
        source.check(project)


def test_a_packed_file_that_nobody_committed_is_refused(git: Git, project: Project) -> None:
    Path("new.py").write_text("")
    with pytest.raises(CommandError, match=r"new\.py differs from the commit"):
        source.check(project)
    git("add", "new.py")
    with pytest.raises(CommandError, match=r"new\.py differs from the commit"):
        source.check(project)
    Path("params.yaml").unlink()
    with pytest.raises(CommandError, match=r"new\.py, params\.yaml differ from the commit"):
        source.check(project)


def registry(held: dict[str, str]) -> Callable[[str], dict[str, str]]:
    """Return a registry that says this of every image."""
    return lambda _: held


def test_a_tagged_release_is_taken_up_where_the_registry_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE", "registry.example.com/acme/model")
    source.check_tagged(RELEASE, [RELEASE], registry(HELD))
    for name in HELD:
        words = rf"the {name} of its image is .* and the registry says x: .*git push origin --delete"
        with pytest.raises(CommandError, match=words):
            source.check_tagged(RELEASE, [RELEASE], registry(HELD | {name: "x"}))
    with pytest.raises(CommandError, match="the registry says that there is none"):
        source.check_tagged(RELEASE, [RELEASE], registry({}))
    bare = replace(RELEASE, image="")
    with pytest.raises(CommandError, match="names no image, and IMAGE says that releases have one"):
        source.check_tagged(bare, [bare], registry(HELD))
    monkeypatch.setenv("IMAGE", "registry.example.com/acme/other")
    with pytest.raises(CommandError, match=r"names an image in registry\.example\.com/acme/model, and IMAGE says"):
        source.check_tagged(RELEASE, [RELEASE], registry(HELD))


def test_a_review_that_blocks_stops_the_release() -> None:
    source.check_review("1.1.0", [])
    with pytest.raises(
        CommandError, match=r"1\.1\.0 is not released.*\n  auc is below its floor\n  improve the model.*waivers"
    ):
        source.check_review("1.1.0", ["auc is below its floor"])

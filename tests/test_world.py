"""The runner must do what GitHub's does: here a small repository shows that it lets nothing through."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_server import make_repository
from harness import environment, run
from world import REPOSITORY, World

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
UPLOAD = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"
DOWNLOAD = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"
SETUP_UV = "astral-sh/setup-uv@20cfd1bf945f4377ade1205e4dbc17946fc9a30d"
TOP = """on: {pull_request: , push: , merge_group: }
defaults: {run: {shell: bash}}
jobs:
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A repository with one commit, which holds one file."""
    make_repository(tmp_path / "hub", REPOSITORY)
    with World(tmp_path) as made:
        made.git("commit", "--quiet", "--allow-empty", "-m", "root")
        made.git("push", "--quiet", "origin", "HEAD:main")
        made.commit("main", {"file": "main\n"})
        yield made


def job(*steps: str, name: str = "job", more: str = "") -> str:
    """Write one job of a workflow; a step is `- run: ...` or `- uses: ...`."""
    return f"  {name}:\n    runs-on: ubuntu-24.04\n{more}    steps:\n" + "".join(f"      {step}\n" for step in steps)


def uses(action: str, **given: str) -> str:
    """Write a step that uses an action."""
    return f"- {{uses: {action}, with: {{{', '.join(f'{key}: {value}' for key, value in given.items())}}}}}"


def pull_request(small: World, *jobs: str, fork: str | None = None):  # type: ignore[no-untyped-def]
    """Run a workflow of these jobs for a pull request which changes `file`, and return the run."""
    small.commit("change", {"file": "change\n", ".github/workflows/w.yml": TOP + "".join(jobs)})
    return small.act(small.open_pr("change", fork=fork), "w.yml")


def test_a_pull_request_runs_on_its_merge_commit(small: World) -> None:
    done = pull_request(
        small,
        job(
            uses(CHECKOUT, **{"fetch-depth": "2", "persist-credentials": "false"}),
            "- run: cat file && git log --format=%s && git show HEAD^1:file && git status --short --branch",
            "- run: echo $GITHUB_REF $GITHUB_BASE_REF ${{ github.event.pull_request.base.sha }}",
        ),
    )
    assert done.jobs == {"job": "success"}, str(done)
    base = small.git("rev-parse", "origin/main")
    lines = done.log().split("\n")
    assert lines[:4] == ["change", "Merge change", lines[2], lines[3]] and "main" in lines, str(done)
    assert f"refs/pull/7/merge main {base}" in lines
    assert "## HEAD (no branch)" in lines


def test_a_clone_without_credentials_can_not_fetch(small: World) -> None:
    steps = (uses(CHECKOUT, **{"persist-credentials": "false"}), "- run: git fetch origin main")
    done = pull_request(small, job(*steps))
    assert done.jobs == {"job": "failure"}
    assert "could not read Username" in done.log()


def test_a_clone_with_credentials_can_fetch_and_push_but_not_to_main(small: World) -> None:
    steps = (uses(CHECKOUT), "- run: git fetch origin main && git push origin HEAD:refs/heads/new")
    assert pull_request(small, job(*steps)).jobs == {"job": "success"}
    assert small.refs("refs/heads/new") == {"refs/heads/new": "commit"}
    done = pull_request(small, job(uses(CHECKOUT), "- run: git push --force origin HEAD:refs/heads/main"))
    assert done.jobs == {"job": "failure"} and "GH013" in done.log()


def test_a_fork_gets_a_token_that_only_reads(small: World) -> None:
    steps = (uses(CHECKOUT), "- run: cat file", "- run: git push origin HEAD:refs/heads/new")
    done = pull_request(small, job(*steps), fork="stranger")
    assert done.jobs == {"job": "failure"} and "change\n" in done.log() and "403" in done.log(), str(done)
    assert small.refs("refs/heads") == {"refs/heads/main": "commit"}, "a fork's branch is not in this repository"


def test_a_ref_that_is_not_there_fails_and_leaves_an_empty_clone(small: World) -> None:
    missing = uses(CHECKOUT, ref="nowhere", path="inner/store").replace("{uses", "{continue-on-error: true, uses")
    done = pull_request(small, job(uses(CHECKOUT), missing, "- run: ls -A inner/store && exit 1"))
    assert done.jobs == {"job": "failure"} and ".git\n" in done.log()
    assert "A branch or tag with the name 'nowhere' could not be found" in done.annotations(), str(done)


def test_a_branch_is_checked_out_as_a_branch(small: World) -> None:
    small.commit("side", {"side": "side\n"})
    steps = (uses(CHECKOUT), uses(CHECKOUT, ref="side", path="inner"), "- run: cat inner/side && git -C inner branch")
    done = pull_request(small, job(*steps))
    assert done.jobs == {"job": "success"} and done.log().startswith("side\n* side"), str(done)


def test_artifacts_go_from_job_to_job_once_a_name_and_without_hidden_files(small: World) -> None:
    make = "- run: mkdir -p out/deep && touch out/deep/a out/.hidden"
    upload, download = uses(UPLOAD, name="x", path="out"), uses(DOWNLOAD, name="x", path="got")
    done = pull_request(
        small,
        job(make, upload, name="one"),
        job(download, "- run: find got -type f", name="two", more="    needs: one\n"),
        job(make, upload, name="three", more="    needs: one\n"),
        job(uses(DOWNLOAD, name="y"), name="four", more="    needs: one\n"),
    )
    assert done.jobs == {"one": "success", "two": "success", "three": "failure", "four": "failure"}, str(done)
    assert "got/deep/a\n" in done.log("two") and "hidden" not in done.log("two")
    assert [path.name for path in done.artifacts.iterdir()] == ["x"]
    nothing = uses(UPLOAD, name="z", path="none", **{"if-no-files-found": "error"})
    assert pull_request(small, job(nothing)).jobs == {"job": "failure"}


def test_push_and_merge_group_run_on_their_commits(small: World) -> None:
    steps = ("- run: echo $GITHUB_EVENT_NAME $GITHUB_SHA ${{ github.event.merge_group.base_sha }}",)
    small.commit("change", {".github/workflows/w.yml": TOP + job(*steps)})
    queued = small.queue("change")
    base = small.git("rev-parse", "origin/main")
    assert f"merge_group {queued.sha} {base}\n" in small.act(queued, "w.yml").log()
    merged = small.merge("change")
    assert f"push {merged.sha}\n" in small.act(merged, "w.yml").log()
    assert small.git("rev-parse", f"{merged.sha}^1") == base


def test_a_step_sees_neither_this_machine_nor_the_tools_of_these_tests(small: World) -> None:
    steps = (uses(SETUP_UV), '- run: echo "$HOME" && uv --version && command -v zizmor || echo no zizmor')
    log = pull_request(small, job(*steps)).log()
    assert str(small.folder / "run-1/home") in log and "no zizmor" in log


def test_an_action_without_a_stand_in_is_refused(small: World) -> None:
    with pytest.raises(AssertionError, match="no stand-in"):
        pull_request(small, job(uses("a/b@" + "0" * 40)))
    with pytest.raises(AssertionError, match="does not know the input"):
        pull_request(small, job(uses(CHECKOUT, lfs="true")))


def test_the_environment_keeps_how_to_reach_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", "elsewhere")
    monkeypatch.setenv("GITHUB_TOKEN", "of the developer")
    env = environment(tmp_path / "home")
    assert env["UV_CACHE_DIR"] == "elsewhere" and "GITHUB_TOKEN" not in env and "VIRTUAL_ENV" not in env
    assert run("git", "config", "user.name", cwd=tmp_path, env=env) == "Dana"

"""A model's life on GitHub, each workflow really run: what is said, allowed and released, and nothing twice."""

import contextlib
import json

import pytest
from act import Run
from gitops import tags
from gitops.project import load
from harness import needs
from world import World

pytestmark = pytest.mark.slow

MARKER = "<!-- gitops-review -->"
JOBS = ("check", "review", "assess", "verdict")
GREEN = dict.fromkeys((*JOBS, "comment"), "success")
BLOCKED = GREEN | {"verdict": "failure"}
V1, V2 = "refs/tags/churn-model@v1.0.0", "refs/tags/churn-model@v1.1.0"


@pytest.fixture
def trained(world: World) -> World:
    """The repository after its first model was merged."""
    needs("uv")
    world.merge("first")
    return world


def review(world: World, branch: str, fork: str | None = None) -> Run:
    """Open a pull request, or push to it, and run its workflow."""
    return world.act(world.open_pr(branch, fork=fork), "pull-request.yml")


def expect(done: Run, jobs: dict[str, str]) -> None:
    """Assert which jobs ran, and how they ended; a failure shows the whole log."""
    assert done.jobs == jobs, str(done)


def comment(world: World) -> str:
    """Return the text of the one comment on the pull request."""
    (row,) = world.hub.comments
    assert row["issue"] == 7 and row["body"].startswith(MARKER)
    return str(row["body"])


def test_the_first_model_has_no_champion_to_beat(world: World) -> None:
    done = review(world, "first")
    expect(done, GREEN)
    text = comment(world)
    assert "✅ **Ready to merge**: the first model reaches every floor" in text
    assert "| `roc_auc` | – | 0.82" in text and "✅ meets the gate" in text
    assert "Running stage" not in done.log("review"), "what the author trained and pushed is not trained again"
    report, _, link = text.removeprefix(MARKER).strip().partition("\n\n<sub>Everything about it: ")
    assert report == done.summary.strip(), "forks, which get no comment, read the same"
    assert "/actions/runs/" in link


def test_a_better_model_may_be_merged(trained: World) -> None:
    done = review(trained, "better")
    expect(done, GREEN)
    text = comment(trained)
    assert "✅ **Ready to merge**: better in `roc_auc`, `log_loss`, worse in nothing" in text
    assert "| `roc_auc` | 0.82" in text and "Both models scored the same 1,428 held-out rows" in text
    assert "| `model.linear.alpha` | `100000.0` | `1.0` |" in text
    assert sorted(path.name for path in done.artifacts.iterdir()) == ["assessment", "review"]
    own, base = (
        json.loads((done.artifacts / name).read_text()) for name in ("review/review.json", "assessment/assessment.json")
    )
    assert base["verdict"] == "pass" and base["facts"]["unjudged"] == ""
    assert base["facts"]["judgement"] == own["facts"]["judgement"], "both scored the same rows with the same model"


def test_a_worse_model_is_blocked_until_a_push_mends_it(trained: World) -> None:
    done = review(trained, "worse")
    expect(done, BLOCKED)
    text = comment(trained)
    assert "⛔ **Blocked**: `roc_auc 0.7275 is below its floor 0.8 by 0.0725`" in text
    assert "**What to do.** Improve the model on this branch." in text
    assert "roc_auc 0.7275 is below its floor 0.8 by 0.0725" in done.log("verdict")

    trained.git("push", "--quiet", "--force", "origin", "origin/better:refs/heads/worse")
    done = review(trained, "worse")
    expect(done, GREEN)
    assert "✅ **Ready to merge**" in comment(trained) and "Blocked" not in comment(trained)
    assert [path.rpartition("/")[0] for path in trained.hub.calls("PATCH")] == [
        "/repos/acme/churn-model/issues/comments"
    ]


def test_no_change_of_the_model_is_said_and_not_trained(trained: World) -> None:
    done = review(trained, "unchanged")
    expect(done, GREEN)
    assert "✅ **Ready to merge**: the model does not change" in comment(trained)
    assert "Running stage" not in done.log("review")


def test_a_stale_lock_is_trained_shown_and_blocked(trained: World) -> None:
    done = review(trained, "stale")
    expect(done, BLOCKED)
    text = comment(trained)
    assert "⛔ **Blocked**: `dvc.lock is stale: stage train: " in text
    assert "On this branch: `uv run dvc repro && uv run gitops store push`, then commit" in text
    assert "trained in this run" in text and "✅ better" in text, "the reviewer sees the numbers all the same"
    assert "> python -m model.train" in done.log("review")


def test_a_fork_is_trained_and_reviewed_and_writes_nothing(trained: World) -> None:
    done = review(trained, "unpushed", fork="stranger")
    expect(done, dict.fromkeys(JOBS, "success") | {"verdict": "failure"})
    assert "`build/model.bin is not in the data remote`" in done.summary
    assert "A maintainer, on a checkout of this pull request: `uv run dvc repro" in done.summary
    assert "✅ better" in done.summary and "trained in this run" in done.summary
    assert trained.hub.comments == [] and {call.method for call in trained.hub.log} <= {"GET"}, "it only reads"


def test_broken_code_is_blocked_by_the_one_required_check(trained: World) -> None:
    trained.commit("unformatted", {"tests/new.py": "x=1\n"}, start="origin/unchanged")
    done = review(trained, "unformatted")
    expect(done, BLOCKED | {"check": "failure"})
    assert "the job `check` did not succeed" in done.log("verdict")


def test_the_merge_queue_gets_a_verdict_and_no_comment(trained: World) -> None:
    trained.open_pr("better")
    done = trained.act(trained.queue("better"), "pull-request.yml")
    expect(done, dict.fromkeys(JOBS, "success"))
    assert trained.hub.comments == []


def test_a_merge_without_a_model_releases_nothing(world: World) -> None:
    world.commit("text", {"docs.md": "text\n"})
    done = world.act(world.merge("text"), "release.yml")
    expect(done, {"release": "success"})
    assert "Nothing to release" in done.log() and world.refs("refs/tags") == {} and world.hub.releases == []


def test_merges_become_releases_and_nothing_is_released_twice(world: World) -> None:
    merged = world.merge("first")
    done = world.act(merged, "release.yml")
    expect(done, {"release": "success"})
    assert world.refs("refs/tags") == {V1: "tag"}, "annotated, so that it says who and when"
    (release,) = world.hub.releases
    assert (release["tag_name"], release["draft"]) == ("churn-model@v1.0.0", False)
    assert world.git("ls-remote", "origin", f"{V1}^{{}}").split()[0] == merged.sha
    assets = {asset["name"]: asset["size"] for asset in release["assets"]}
    assert {"churn-model-1.0.0.bento", "release.json"} <= set(assets) and all(assets.values())

    writes = len(world.hub.calls("POST"))
    assert world.act(merged, "release.yml").jobs == {"release": "success"}
    assert world.act(world.merge("unchanged"), "release.yml").jobs == {"release": "success"}
    assert len(world.hub.calls("POST")) == writes and world.refs("refs/tags") == {V1: "tag"}

    done = world.act(world.merge("better"), "release.yml")
    expect(done, {"release": "success"})
    assert world.refs("refs/tags") == {V1: "tag", V2: "tag"}
    assert [row["tag_name"] for row in world.hub.releases] == ["churn-model@v1.0.0", "churn-model@v1.1.0"]


def test_a_release_that_broke_off_is_finished_by_the_next_run(world: World) -> None:
    merged = world.merge("first")
    world.hub.fail("POST", r"/releases/\d+/assets", 502)
    assert world.act(merged, "release.yml").jobs == {"release": "failure"}
    assert [row["draft"] for row in world.hub.releases] == [True], "nobody sees half a release"
    done = world.act(merged, "release.yml")
    expect(done, {"release": "success"})
    (release,) = world.hub.releases
    names = [asset["name"] for asset in release["assets"]]
    assert not release["draft"] and len(names) == len(set(names)) and "churn-model-1.0.0.bento" in names
    assert world.refs("refs/tags") == {V1: "tag"}


def test_a_commit_that_nobody_trained_is_not_released(trained: World) -> None:
    done = trained.act(trained.merge("stale"), "release.yml")
    assert done.jobs == {"release": "failure"}
    assert "this commit was never trained as it is" in done.log()
    assert trained.refs("refs/tags") == {} and trained.hub.releases == []


def test_a_person_lets_an_environment_run_a_release(world: World) -> None:
    needs("kubectl")
    world.merge("first")
    world.git("fetch", "--quiet", "origin")
    world.git("switch", "--quiet", "--detach", "origin/main")
    image = f"registry.example.com/acme/churn-model@sha256:{'a' * 64}"
    world.variables = {"IMAGE": "registry.example.com/acme/churn-model"}
    with contextlib.chdir(world.clone):
        text = tags.message(load(), "1.0.0", "the first release", "f" * 64, image)
    world.git("tag", "--annotate", "--message", text, "churn-model@v1.0.0")
    world.git("push", "--quiet", "origin", "churn-model@v1.0.0")

    done = world.act(world.dispatch(action="promote", environment="staging", version=""), "promote.yml")
    expect(done, {"plan": "success", "promote": "success"})
    assert "staging: nothing → 1.0.0" in done.log()
    facts = json.loads(world.git("--git-dir", str(world.origin), "show", "env/staging:release.json"))
    assert (facts["version"], facts["image"]) == ("1.0.0", image) and facts["metrics"]["roc_auc"] > 0.8
    assert image in world.git("--git-dir", str(world.origin), "show", "env/staging:manifests.yaml")
    written = world.git("--git-dir", str(world.origin), "log", "--format=%an %(trailers)", "env/staging")
    assert written.startswith("github-actions[bot] ") and "Requested-by: @dana" in written

    hostile = "--dry-run $(touch stolen)"
    done = world.act(world.dispatch(action="promote", environment="production", version=hostile), "promote.yml")
    expect(done, {"plan": "failure"})
    assert f"there is no release '{hostile}' of churn-model: the last one is 1.0.0" in done.annotations()[0]
    assert set(world.refs("refs/heads/env")) == {"refs/heads/env/staging"}
    assert not list(world.folder.rglob("stolen"))

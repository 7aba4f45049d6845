"""A pull request that wants to pass, to shout or to run something: it can't, one test for each way."""

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from act import Run
from fake_github import FakeGitHub
from fake_server import BOT_TOKEN, make_repository
from gitops.markdown import code
from gitops.review import claims, codec, scoring, verdict
from gitops.review.bootstrap import finite
from gitops.review.decide import beside
from gitops.review.record import LockState, MetricRow, Outcome, Verdict
from gitops.review.state import read_metrics
from gitops.shell import CommandError
from harness import ROOT, TEMPLATE, needs
from laptop import Laptop
from projects import project
from test_golden import edit_table
from test_report import GOOD, SEGMENT
from test_report import review as finished
from test_state import state
from world import World

HOSTILE = "a|b`c` <!-- x --> @acme **bold** [l](http://evil) <img src=x> ```mermaid $(touch pwned)"
HARMS = ("evil", "@acme", "<!-- x", "<img", "**bold", "$(touch", "```mermaid $")
BRANCH = "x`@acme`<img/src=x>$(touch${IFS}pwned);`touch${IFS}pwned`"
STUMP = {
    "kind: linear ": "kind: gradient_boosting ",
    "max_iter: 80": "max_iter: 1",
    "max_leaf_nodes: 8": "max_leaf_nodes: 2",
}
ALWAYS = "return Conclusion(Outcome.PASSES, (), (), ())"
FACTORY = "a code owner must look, this pull request changes what judges it: "


def outside(text: str) -> str:
    """Return what GitHub renders as Markdown: all but the code spans."""
    return re.sub(r"`[^`\n]*`", "", text)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    """A GitHub with pull request 7, and this process as a workflow's trusted job."""
    make_repository(tmp_path / "hub", "acme/churn-model")
    with FakeGitHub(tmp_path / "hub") as server:
        monkeypatch.setenv("GITHUB_TOKEN", BOT_TOKEN)
        monkeypatch.setenv("GITHUB_REPOSITORY", "acme/churn-model")
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        yield server


def changes(hub: FakeGitHub, old: str, new: str) -> None:
    """Let pull request 7 turn files (`git mktree` can't nest them, so one name each) from `old` into `new`."""
    shas = [_commit(hub, name) for name in (old, new)]
    parented = hub.git(*_WHO, "commit-tree", "-m", "new", "-p", shas[0], f"{shas[1]}^{{tree}}")
    hub.pulls = [{"number": 7, "base": {"sha": shas[0]}, "head": {"sha": parented}}]


_WHO = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")


def _commit(hub: FakeGitHub, path: str) -> str:
    entry, kind = str(hub.git("hash-object", "-w", "--stdin", text="a text that is the same\n")), "100644 blob"
    for name in reversed(path.split("/")):
        entry, kind = str(hub.git("mktree", text=f"{kind} {entry}\t{name}\n")), "040000 tree"
    return str(hub.git(*_WHO, "commit-tree", "-m", "one", entry))


def saved(folder: Path, **parts: Any) -> Path:
    path = folder / "review.json"
    path.write_text(codec.dumps(finished(**parts)))
    return path


# What judges it


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("src/gitops/review/review.py", "src/gitops/other.py", "src/gitops/other.py, src/gitops/review/review.py"),
        ("src/gitops/review/review.py", "docs/review.py", "src/gitops/review/review.py"),
        ("a", ".github/workflows/pull-request.yml", ".github/workflows/pull-request.yml"),
        ("a", "pyproject.toml", "pyproject.toml (unreadable)"),
        ("a", "uv.lock", "uv.lock (unreadable)"),
        ("a", "gates.yaml", "gates.yaml"),
    ],
)
def test_a_change_of_the_factory_is_said_first_whatever_the_review_says(
    hub: FakeGitHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)  # the base has none of these files
    changes(hub, old, new)
    path = saved(tmp_path)
    assert verdict.read(path).conclusion.verdict is Outcome.PASSES
    assert verdict.write_comment(path, 7) == 0
    first = hub.comments[0]["body"].splitlines()[1]
    assert first.startswith(f"⚠️ **Look before you merge**: `{FACTORY}") and set(named.split(", ")) <= set(
        first.rpartition(": ")[2].strip("`").split(", ")
    )
    for given in ("7", "refs/heads/gh-readonly-queue/main/pr-7-" + "a" * 40):
        capsys.readouterr()
        assert verdict.print_verdict(path, "", given) == 0, "a code owner's approval decides, not this check"
        assert FACTORY in capsys.readouterr().out


def test_a_block_stays_a_block_when_the_factory_changes(hub: FakeGitHub, tmp_path: Path) -> None:
    changes(hub, "a", "src/gitops/review/review.py")
    path = saved(tmp_path, lock=LockState(stale=("reason",)))
    assert verdict.print_verdict(path, "", "7") == 1
    verdict.write_comment(path, 7)
    assert hub.comments[0]["body"].splitlines()[1] == "⛔ **Blocked**: `dvc.lock is stale: reason`"
    assert FACTORY in hub.comments[0]["body"].splitlines()[2]


def test_another_change_adds_nothing(hub: FakeGitHub, tmp_path: Path) -> None:
    changes(hub, "src/model/train.py", "src/model/fit.py")
    verdict.write_comment(saved(tmp_path), 7)
    assert "✅ **Ready to merge**" in hub.comments[0]["body"] and FACTORY not in hub.comments[0]["body"]


def test_when_github_does_not_say_what_changes_nothing_passes(hub: FakeGitHub, tmp_path: Path) -> None:
    hub.fail("GET", "/files", 502)
    with pytest.raises(CommandError, match="502"):
        verdict.print_verdict(saved(tmp_path), "", "7")
    with pytest.raises(CommandError, match="names no pull request"):
        verdict.print_verdict(saved(tmp_path), "", "refs/heads/pr-x")


def test_a_change_too_large_to_list_is_looked_at(
    hub: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes(hub, "a", "b")
    monkeypatch.setattr(verdict, "FILES_LIMIT", 1)
    verdict.write_comment(saved(tmp_path), 7)
    assert f"`{FACTORY}too many files to list`" in hub.comments[0]["body"]


def test_a_review_gives_the_runner_no_command(
    hub: FakeGitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict.print_verdict(saved(tmp_path, remarks=("::add-mask::e", "x\n::error::forged", "a ##[error]forged")), "")
    lines = capsys.readouterr().out.splitlines()
    assert any("::add-mask::e" in line for line in lines)
    assert not [line for line in lines if line.strip().startswith("::") or "##[" in line]


@pytest.mark.slow
def test_an_edited_review_script_does_not_pass_unseen(world: World) -> None:
    needs("uv")
    world.merge("first")
    source = (ROOT / TEMPLATE / "src/gitops/review/conclude.py").read_text()
    old = next(line.strip() for line in source.splitlines() if line.strip().startswith("return Conclusion("))
    world.commit("worse", {"src/gitops/review/conclude.py": source.replace(old, ALWAYS)})
    done = world.act(world.open_pr("worse"), "pull-request.yml")
    told = json.loads((done.artifacts / "review/review.json").read_text())
    assert told["conclusion"]["verdict"] == "pass", f"the trick works in the untrusted job: {done}"
    (row,) = world.hub.comments
    assert row["body"].splitlines()[1] == f"⚠️ **Look before you merge**: `{FACTORY}src/gitops/review/conclude.py`"
    assert f"{FACTORY}src/gitops/review/conclude.py" in done.log("verdict")


# Names and values


@pytest.mark.slow
def test_a_branch_name_runs_nothing(world: World) -> None:
    needs("uv")
    world.merge("first")
    world.git("push", "--quiet", "origin", f"origin/unchanged:refs/heads/{BRANCH}")
    done: Run = world.act(world.open_pr(BRANCH), "pull-request.yml")
    assert done.jobs == dict.fromkeys(("check", "review", "comment", "verdict"), "success"), str(done)
    assert list(world.folder.rglob("pwned")) == []
    assert not [harm for harm in ("@acme", "<img") if harm in outside(world.hub.comments[0]["body"])]


@pytest.mark.slow
def test_names_and_values_stay_in_their_code_spans(on_laptop: Laptop, hub: FakeGitHub) -> None:
    changes(hub, "a", "b")
    value = json.dumps(HOSTILE)
    on_laptop.write("params.yaml", f"{on_laptop.read('params.yaml')}{value}: {value}\n")
    edit_table(on_laptop, lambda row: row | {HOSTILE: HOSTILE} if row["contract"] != "One year" else None)
    schema = f"  {value}: {{type: category, values: [{value}], nullable: true}}\n"
    on_laptop.write("schema.yaml", on_laptop.read("schema.yaml") + schema)
    on_laptop.run("python -m model contract", "dvc repro --quiet")
    on_laptop.review()
    env = on_laptop.env | {key: os.environ[key] for key in ("GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL")}
    subprocess.run(
        [sys.executable, "-m", "gitops", "comment", "--pull-request", "7"], cwd=on_laptop.path, env=env, check=True
    )
    (row,) = hub.comments
    text = row["body"].removeprefix("<!-- gitops-review -->")
    assert text.count("evil") >= 3, "parameter, value and column are all told"
    assert [harm for harm in HARMS if harm in outside(text)] == []
    assert text.count("<details>") == text.count("</details>") > 0
    assert list(on_laptop.path.rglob("pwned")) == []


@pytest.mark.parametrize("place", ["metric", "segment"])
def test_a_metrics_and_a_categorys_name_stay_in_their_code_spans(hub: FakeGitHub, tmp_path: Path, place: str) -> None:
    changes(hub, "a", "b")
    row = replace(GOOD if place == "metric" else SEGMENT, name=HOSTILE, verdict=Verdict.WORSE, reason=HOSTILE)
    verdict.write_comment(saved(tmp_path, **{f"{place}s": (row,)}), 7)
    text = hub.comments[0]["body"].removeprefix("<!-- gitops-review -->")
    assert "evil" in text and [harm for harm in HARMS if harm in outside(text)] == []


# Files that claim something


ROW = MetricRow(
    name="roc_auc",
    rows=3,
    more_is_better=True,
    champion=None,
    challenger=0.84,
    difference=None,
    floor=None,
    tolerance=0.01,
    require="not_worse",
    verdict=Verdict.MEETS_THE_GATE,
)
UNREADABLE = "is not a small JSON object of numbers"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"roc_auc": 0.84001, "other": 3}', []),
        ('{"other": 3}', []),
        ('{"roc_auc": 0.99}', ["says roc_auc 0.99 and the held-out rows say 0.84"]),
        ('{"roc_auc": NaN}', ["says roc_auc nan and the held-out rows say 0.84"]),
        ('{"roc_auc": "0.84"}', ["says roc_auc nan"]),
        ('{"roc_auc": 1' + "0" * 400 + "}", ["says roc_auc inf"]),
        ('{"roc_auc": 0.84' + " " * 10 * 2**20 + "}", [UNREADABLE]),
        ("[" * 100_000, [UNREADABLE]),
        ("[0.84]", [UNREADABLE]),
        ("\0\udcff", [UNREADABLE]),
        (None, ["is gone"]),
    ],
)
def test_a_metrics_file_is_believed_only_as_far_as_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scored = table()
    scored.to_parquet("predictions.parquet")
    found = claims.contradictions(project(predictions="predictions.parquet"), state(metrics=text), scored, [ROW])
    assert len(found) == len(words) and all(word in sentence for word, sentence in zip(words, found, strict=True))
    assert finished(claims=tuple(found)).conclusion.verdict is (Outcome.BLOCKS if words else Outcome.PASSES)


@pytest.mark.parametrize("text", ['{"roc_auc": NaN}', '{"roc_auc": "<b>"}', "{" * 10 * 2**20, "", "null"])
def test_a_champions_metrics_file_of_nonsense_leaves_its_cell_empty(text: str) -> None:
    committed = finite((read_metrics(text) or {}).get("roc_auc", math.nan))
    assert beside(ROW, committed).champion is None
    assert beside(ROW, 0.8).champion == 0.8


def table() -> pd.DataFrame:
    return pd.DataFrame({"id": ["a", "b", "c"], "truth": [0.0, 1, 1], "score": [0.2, 0.4, 0.9]})


@pytest.mark.parametrize(
    ("edited", "words"),
    [
        (table().assign(score=[0.2, 0.4, 0.9 + 1e-7]), ""),
        (table().assign(score=table()["truth"]), "was not made by this model: 3 of its rows differ"),
        (table().assign(truth=[0.0, 0, 1]), "1 of its rows differ"),
        (table().assign(id=["a", "b", "x"]), "1 of its rows differ"),
        (table().assign(score=[0.2, 0.4, np.nan]), "1 of its rows differ"),
        (table().assign(score="high"), "is not a table of id, truth and score"),
        (table().iloc[1:], "has 2 rows and the held-out rows are 3"),
        (table().drop(columns="id"), "is not a table of id, truth and score"),
    ],
)
def test_predictions_are_compared_with_what_the_model_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: pd.DataFrame, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    edited.to_parquet("predictions.parquet")
    found = claims.contradictions(project(predictions="predictions.parquet"), state(metrics="{}"), table(), [])
    assert (found == []) if not words else (len(found) == 1 and words in found[0])


@pytest.mark.slow
def test_edited_predictions_are_noticed(on_laptop: Laptop) -> None:
    """The author puts perfect predictions and metrics into the store, under hashes that dvc.lock names."""
    path = on_laptop.path / "build/predictions.parquet"
    perfect = pd.read_parquet(path)
    path.unlink()  # the cache's own file may be linked here
    perfect.assign(score=perfect["truth"]).to_parquet(path, index=False)
    on_laptop.replace("metrics.json", '"roc_auc": 0.8', '"roc_auc": 0.9')
    on_laptop.run("dvc commit --quiet --force evaluate")
    assert hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() in on_laptop.read("dvc.lock")
    text = on_laptop.review()
    first, second = text.splitlines()[:2]
    assert first.startswith("⛔ **Blocked**: `build/predictions.parquet was not made by this model: 1,428 of its rows")
    assert second.startswith("- `metrics.json says roc_auc 0.93855 and the held-out rows say 0.83855")
    assert "dvc.lock is stale" not in text and "| `roc_auc` | 0.8385 | 0.8385 |" in text


@pytest.mark.slow
def test_lowered_gates_judge_nothing(on_laptop: Laptop) -> None:
    for old, new in STUMP.items():
        on_laptop.replace("params.yaml", old, new)
    on_laptop.replace("gates.yaml", "floor: 0.80 ", "floor: 0.10 ")
    on_laptop.replace("gates.yaml", "tolerance: ", "tolerance: 9")
    on_laptop.run("dvc repro --quiet")
    text = on_laptop.review()
    review = json.loads(on_laptop.read("review/review.json"))["conclusion"]
    assert review["verdict"] == "block" and "is below its floor 0.8 by" in text.splitlines()[0]
    assert review["warnings"][0] == "gates.yaml changes here: this review used the gates of the base"
    assert code(review["warnings"][0]) in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"p95_ms": 1.5}', 1.5),
        ('{"p95_ms": 1.5, "format": "skops"}', 1.5),
        ('{"p95_ms": "fast"}', None),
        ('{"p95_ms": Infinity}', None),
        ('{"p95_ms": 1' + "0" * 400 + "}", None),
        ("[" * 100_000, None),
        ('["onnx"]', None),
        ("no JSON", None),
    ],
)
def test_what_a_model_says_of_its_speed_is_a_number_or_nothing(tmp_path: Path, text: str, told: float | None) -> None:
    file = tmp_path / "timing.json"
    file.write_text(text)
    assert scoring._p95(file) == told

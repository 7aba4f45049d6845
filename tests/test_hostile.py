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
from gitops.review import claims, codec, independent, scoring, verdict
from gitops.review.bootstrap import finite
from gitops.review.decide import beside
from gitops.review.record import LockState, MetricRow, Outcome, Verdict
from gitops.review.state import read_metrics
from gitops.shell import CommandError
from harness import ROOT, TEMPLATE, needs
from laptop import Laptop
from projects import project
from test_description import GOOD as DESCRIBED
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


def saved(folder: Path, **parts: Any) -> Path:
    path = folder / "review.json"
    path.write_text(codec.dumps(finished(**parts)))
    return path


# What judges it


def sources(folder: Path, base: dict[str, Any], **own: Any) -> verdict.Sources:
    """Write the review of the pull request's own job, and the base's assessment with these facts."""
    (folder / "assessment.json").write_text(text := codec.dumps(finished(**base)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return verdict.Sources(saved(folder, **own), folder / "assessment.json", digest)


LOST = replace(GOOD, verdict=Verdict.BELOW_FLOOR, reason="roc_auc 0.7 is below its floor 0.8 by 0.1")
OWNED = "a code owner must look at what changes here: src/sitecustomize.py"


def test_a_review_that_lies_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = sources(tmp_path, {"metrics": (LOST,), "owned_changes": ("src/sitecustomize.py",)})
    assert verdict.read(given.review).verdict is Outcome.PASSES, "the trick works in the untrusted job"
    assert verdict.print_verdict(given, "") == 1
    assert capsys.readouterr().out.splitlines()[:3] == ["⛔ Blocked", f"- `{LOST.reason}`", f"- `{OWNED}`"]


def test_what_the_own_job_objects_to_blocks_although_the_base_found_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = sources(tmp_path, {"owned_changes": ("gates.yaml",)}, lock=LockState(stale=("stage train: x is modified",)))
    assert verdict.print_verdict(given, "") == 1
    told = capsys.readouterr().out.splitlines()
    assert told[1] == "- `dvc.lock is stale: stage train: x is modified`"
    assert "- `a code owner must look at what changes here: gates.yaml`" in told, "whatever that job says of it"


def test_a_model_that_the_base_cant_score_is_never_just_green(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = sources(tmp_path, {"unjudged": "what a row is changes with schema.yaml"})
    assert verdict.print_verdict(given, "") == 0, "a code owner's approval decides, not this check"
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == "⚠️ Look before you merge"
    assert second.startswith(
        "- `a code owner must look: the base can't score this model (what a row is changes with sch"
    )
    shown = verdict.combined(given)
    assert shown.facts.judgement == verdict.read(given.review).facts.judgement, "its own numbers are better than none"


def test_a_review_that_blocks_itself_does_not_hide_what_the_base_found(tmp_path: Path) -> None:
    given = sources(tmp_path, {"metrics": (LOST,)}, claims=("metrics.json is gone",))
    assert verdict.combined(given).reasons == ("metrics.json is gone", LOST.reason)


@pytest.mark.parametrize(
    ("described", "content", "opened"),
    [
        ("onnx", b"\x08\x08", True),
        ("onnx", b"PK\x03\x04", False),
        ("onnx", b"", False),
        ("json", b"{}", False),
        (None, b"\x08\x08", False),
    ],
)
def test_only_a_file_that_runs_no_code_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, described: str | None, content: bytes, opened: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model").write_bytes(content)
    text = None
    if described:
        form = DESCRIBED["model"] | {"file_format": described}
        text = json.dumps(DESCRIBED | {"model": form})
    given = state(), state(description=text)
    if opened:
        independent._check_format(project(model="model"), *given)
        return
    with pytest.raises(independent.Unjudged, match="may run code when it is opened"):
        independent._check_format(project(model="model"), *given)


@pytest.mark.parametrize("sha256", ["", "0" * 64])
def test_an_assessment_that_another_job_put_in_its_place_is_refused(tmp_path: Path, sha256: str) -> None:
    given = replace(sources(tmp_path, {}), sha256=sha256)
    with pytest.raises(CommandError, match="somebody replaced it"):
        verdict.print_verdict(given, "")
    assert verdict.print_verdict(given, json.dumps({"assess": {"result": "failure"}})) == 1


def test_a_review_gives_the_runner_no_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = saved(tmp_path, remarks=("::add-mask::e", "x\n::error::forged", "a ##[error]forged"))
    verdict.print_verdict(verdict.Sources(given), "")
    lines = capsys.readouterr().out.splitlines()
    assert any("::add-mask::e" in line for line in lines)
    assert not [line for line in lines if line.strip().startswith("::") or "##[" in line]


FORGE = """
import atexit, json, os, pathlib

def forge():
    path = pathlib.Path("review/review.json")
    if path.exists():
        told = json.loads(path.read_text())
        told |= {"verdict": "pass", "reasons": [], "warnings": [], "notes": []}
        told["facts"] |= {"claims": [], "lock": {"stale": [], "missing": [], "unpushed": []}}
        told["facts"]["judgement"] |= {"metrics": [], "segments": [], "remarks": []}
        told["facts"]["changes"]["owned_changes"] = []
        path.write_text(json.dumps(told))

atexit.register(forge)
"""
EVIL_REMOTE = "\n['remote \"evil\"']\n    url = https://evil.invalid/store\n"


@pytest.mark.slow
def test_a_ruined_model_stays_blocked_whatever_its_pull_request_brings_along(world: World) -> None:
    """A shadowed start of Python, pytest plugins, an edited factory, another data remote: each runs, none decides."""
    needs("uv")
    world.merge("first")
    source = (ROOT / TEMPLATE / "src/gitops/review/conclude.py").read_text()
    old = next(line.strip() for line in source.splitlines() if line.strip().startswith("return Conclusion("))
    brought = {
        "src/sitecustomize.py": FORGE,
        "tests/conftest.py": FORGE,
        "conftest.py": FORGE,
        "src/gitops/review/conclude.py": source.replace(old, ALWAYS),
        ".dvc/config": world.git("show", "origin/worse:.dvc/config") + EVIL_REMOTE,
    }
    world.commit("worse", brought)
    done = world.act(world.open_pr("worse"), "pull-request.yml")
    told = json.loads((done.artifacts / "review/review.json").read_text())
    assert told["verdict"] == "pass", f"the trick works in the untrusted job: {done}"
    assert done.jobs["assess"] == "success" and done.jobs["verdict"] == "failure", str(done)
    (row,) = world.hub.comments
    first, *further = row["body"].splitlines()[1:]
    assert first.startswith("⛔ **Blocked**: `roc_auc ") and "is below its floor 0.8 by" in first
    owned = ".dvc/config, conftest.py, src/gitops/review/conclude.py, src/sitecustomize.py"
    assert f"- `a code owner must look at what changes here: {owned}`" in further
    assert "is below its floor 0.8 by" in done.log("verdict") and "evil.invalid" not in done.log("assess")


# Names and values


@pytest.mark.slow
def test_a_branch_name_runs_nothing(world: World) -> None:
    needs("uv")
    world.merge("first")
    world.git("push", "--quiet", "origin", f"origin/unchanged:refs/heads/{BRANCH}")
    done: Run = world.act(world.open_pr(BRANCH), "pull-request.yml")
    assert done.jobs == dict.fromkeys(("check", "review", "assess", "comment", "verdict"), "success"), str(done)
    assert list(world.folder.rglob("pwned")) == []
    assert not [harm for harm in ("@acme", "<img") if harm in outside(world.hub.comments[0]["body"])]


@pytest.mark.slow
def test_names_and_values_stay_in_their_code_spans(on_laptop: Laptop, hub: FakeGitHub) -> None:
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
    row = replace(GOOD if place == "metric" else SEGMENT, name=HOSTILE, verdict=Verdict.WORSE, reason=HOSTILE)
    verdict.write_comment(verdict.Sources(saved(tmp_path, **{f"{place}s": (row,)})), 7)
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
    assert finished(claims=tuple(found)).verdict is (Outcome.BLOCKS if words else Outcome.PASSES)


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
        (table().assign(id=["a", "b", "x"]), "lacks 1 of the 3 rows that are held out"),
        (table().assign(score=[0.2, 0.4, np.nan]), "1 of its rows differ"),
        (table().assign(score="high"), "is not a table of id, truth and score"),
        (table().iloc[1:], "lacks 1 of the 3 rows that are held out"),
        (pd.concat([table(), table()]), "has 6 rows and the held-out rows are 3"),
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
    review = json.loads(on_laptop.read("review/review.json"))
    assert review["verdict"] == "block" and "is below its floor 0.8 by" in text.splitlines()[0]
    assert review["warnings"][:2] == [
        "a code owner must look at what changes here: gates.yaml",
        "gates.yaml changes here: this review used the gates of the base",
    ]
    assert all(code(warning) in text for warning in review["warnings"][:2])


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
